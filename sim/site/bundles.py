"""Bundles: this installation comes in; the newest released model bundle for adults goes out."""

from __future__ import annotations

import re
from pathlib import Path

import firmware_config

FOLDER = Path(next(iter(firmware_config.__path__))) / "bundles"


class NoBundle(Exception):
    """No bundle is here; the words say how to name one."""


def newest_bundle(folder: Path = FOLDER) -> Path:
    """The `.bundle` file of adults with the highest number in its name. Raises NoBundle."""
    found = sorted(folder.glob("*adult*.bundle"), key=_order)
    if not found:
        raise NoBundle(f"{folder}: holds no released bundle for adults; name one with --bundle")
    return found[-1]


def _order(path: Path) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d+", path.stem)], path.name
