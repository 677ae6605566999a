"""Rows: a vendor's or readers' file and the site's settings come in; rows for the store go out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from collector.config import CollectorConfig, VendorConfig
from collector.imports.files import ImportFault
from collector.imports.reads import read_reads
from collector.imports.vendors import READERS, Mapper
from collector.store.rows import Read, VendorOutput
from device.contract import load_site_key

Row = TypeVar("Row", Read, VendorOutput)


def vendor_rows(path: Path, vendor: str, system: str, settings: CollectorConfig) -> list[VendorOutput]:
    """Return all rows of a vendor's file.

    Raises ImportFault naming the line, and then nothing is imported; ContractError for the site key.
    """
    vendor_config: VendorConfig = getattr(settings.vendors, vendor)
    key = load_site_key(settings.site_key_file)
    mapper = Mapper(system=system, vendor=vendor, config=vendor_config, key=key, imported_at=datetime.now(UTC))
    return _distinct(((row.output_id, row) for row in READERS[vendor](path, mapper)), path)


def read_rows(path: Path, settings: CollectorConfig) -> list[Read]:
    """Return all rows of a file of reads.

    Raises ImportFault naming the line, and then nothing is imported; ContractError for the site key.
    """
    key = load_site_key(settings.site_key_file)
    return _distinct(((row.read_id, row) for row in read_reads(path, key, datetime.now(UTC))), path)


def _distinct(rows: Iterable[tuple[str, Row]], path: Path) -> list[Row]:
    """Return each record once. Raises ImportFault when two records of one exposure differ."""
    distinct: dict[str, Row] = {}
    for number, (row_id, row) in enumerate(rows, 1):
        if distinct.setdefault(row_id, row) != row:
            raise ImportFault(f"{path}, record {number}: differs from an earlier record of the same exposure; keep one")
    if not distinct:
        raise ImportFault(f"{path}: no record in it")
    return list(distinct.values())
