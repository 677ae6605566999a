"""Vendors: a vendor's file comes in; its outputs with keyed identifiers go out.

A vendor that reports scores by finding is one more `FindingsFormat`. Imported by `collector.imports`.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from collector.imports.vendors import csv
from collector.imports.vendors.base import Mapper
from collector.imports.vendors.findings import LUNIT, VUNO
from collector.store.rows import VendorOutput

READERS: Mapping[str, Callable[[Path, Mapper], Iterator[VendorOutput]]] = {
    "lunit": LUNIT.read_outputs,
    "vuno": VUNO.read_outputs,
    "csv": csv.read_outputs,
}

__all__ = ["READERS", "Mapper"]
