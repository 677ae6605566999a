"""Lunit INSIGHT CXR: a file of its outputs comes in; keyed outputs go out. The shape is in docs/collector.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from collector.imports.vendors.base import Mapper, Output
from collector.imports.vendors.findings import outputs

FINDINGS = (
    "atelectasis",
    "calcification",
    "cardiomegaly",
    "consolidation",
    "fibrosis",
    "mediastinal widening",
    "nodule",
    "pleural effusion",
    "pneumoperitoneum",
    "pneumothorax",
)


def read(path: Path, mapper: Mapper) -> Iterator[Output]:
    """Outputs in the file's order. Raises ImportFault naming the line."""
    return outputs(path, mapper, names=FINDINGS, list_field="findings", name_field="name")
