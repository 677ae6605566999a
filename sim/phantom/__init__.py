"""The phantom: it takes a seed and a finding and gives a simulated image that looks like a chest radiograph.

`sim.modality` and `sim.app` import it.
"""

from sim.phantom.image import FULL_SIZE, PhantomImage, View, render
from sim.phantom.spec import Finding, Spec, draw_spec

__all__ = ["FULL_SIZE", "Finding", "PhantomImage", "Spec", "View", "draw_spec", "render"]
