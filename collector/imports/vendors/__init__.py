"""Vendors: a vendor's file comes in; keyed outputs go out. One module per vendor."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from collector.imports.vendors import csv, lunit, vuno
from collector.imports.vendors.base import Mapper, Output

READERS: Mapping[str, Callable[[Path, Mapper], Iterator[Output]]] = {
    "lunit": lunit.read,
    "vuno": vuno.read,
    "csv": csv.read,
}

__all__ = ["READERS", "Mapper", "Output"]
