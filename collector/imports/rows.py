"""Imports: a vendor's or readers' file and the site's settings come in; rows for the store go out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.config import CollectorConfig, VendorConfig
from collector.errors import ImportFault
from collector.imports import reads
from collector.imports.vendors import READERS, Mapper
from device.contract import iso_utc, load_site_key


def vendor_rows(path: Path, vendor: str, system: str, settings: CollectorConfig) -> list[dict[str, Any]]:
    """All rows of a vendor's file, or none: raises ImportFault naming the line, ContractError for the site key."""
    key = load_site_key(settings.site_key_file)
    vendor_config: VendorConfig = getattr(settings.vendors, vendor)
    mapper = Mapper(system=system, vendor=vendor, config=vendor_config, key=key)
    now = iso_utc(datetime.now(UTC))
    return _consistent((output.to_row(now) for output in READERS[vendor](path, mapper)), "output_id", path)


def read_rows(path: Path, settings: CollectorConfig) -> list[dict[str, Any]]:
    """All rows of a file of reads, or none: raises ImportFault naming the line, ContractError for the site key."""
    key = load_site_key(settings.site_key_file)
    now = iso_utc(datetime.now(UTC))
    return _consistent((read.to_row(now) for read in reads.read(path, key)), "read_id", path)


def _consistent(rows: Iterable[dict[str, Any]], key: str, path: Path) -> list[dict[str, Any]]:
    """Each record once. Raises ImportFault when a file says two things of the same film."""
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows, 1):
        if found.setdefault(row[key], row) != row:
            raise ImportFault(f"{path}, record {number}: differs from an earlier record of the same film; keep one")
    if not found:
        raise ImportFault(f"{path}: no record in it")
    return list(found.values())
