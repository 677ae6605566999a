"""Exceptions that the commands raise on purpose, by the exit code that they lead to."""

from __future__ import annotations

from sim.demo.demo import DemoError, Unanswered
from sim.demo.phantom_check import MissingResults
from sim.modality.cases import NoImages
from sim.modality.manifest import ManifestError
from sim.modality.modality import NoDestination
from sim.modality.phantom_files import InvalidChoice
from sim.modality.send import NotSent
from sim.site.process import ProcessFailed
from sim.site.site import NoBundle

BAD_INPUT = (DemoError, InvalidChoice, ManifestError, NoBundle, NoDestination, NoImages)
FAILED = (MissingResults, NotSent, ProcessFailed, Unanswered)
