"""Faults: what the commands raise on purpose, by what it means to the person at the command line."""

from __future__ import annotations

from sim.bundles import NoBundle
from sim.cases import NoFilms
from sim.demo import DemoFault, Unanswered
from sim.manifest import ManifestFault
from sim.modality import NoRoute
from sim.phantom_check import CheckFault
from sim.phantom_files import BadChoice
from sim.process import PartFailed
from sim.send import NotSent

BAD_INPUT = (BadChoice, DemoFault, ManifestFault, NoBundle, NoFilms, NoRoute)
KNOWN = (CheckFault, NotSent, PartFailed, Unanswered)
