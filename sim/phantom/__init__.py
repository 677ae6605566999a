"""Phantom: a seed and a finding come in; a simulated film that looks like a chest radiograph goes out."""

from sim.phantom.image import FULL_SIZE, Film, View, render
from sim.phantom.spec import Finding, Spec, draw_spec

__all__ = ["FULL_SIZE", "Film", "Finding", "Spec", "View", "draw_spec", "render"]
