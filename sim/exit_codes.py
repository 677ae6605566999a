"""Faults: what the commands raise on purpose, by what it means to the person at the command line."""

from __future__ import annotations

from sim.demo.demo import DemoFault, Unanswered
from sim.demo.phantom_check import CheckFault
from sim.modality.cases import NoFilms
from sim.modality.manifest import ManifestFault
from sim.modality.modality import NoRoute
from sim.modality.phantom_files import BadChoice
from sim.modality.send import NotSent
from sim.site.bundles import NoBundle
from sim.site.process import PartFailed

BAD_INPUT = (BadChoice, DemoFault, ManifestFault, NoBundle, NoFilms, NoRoute)
KNOWN = (CheckFault, NotSent, PartFailed, Unanswered)
