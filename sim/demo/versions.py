"""Versions: this environment and a bundle come in; what ran, by name and version, goes out."""

from __future__ import annotations

import importlib.metadata
import platform
from pathlib import Path

_PACKAGES = (
    "pneumoflag", "ai-edge-litert", "tflite-runtime", "numpy", "opencv-python-headless", "pydicom", "pynetdicom",
    "paho-mqtt", "iotcore", "sqlalchemy",
)  # fmt: skip


def versions(bundle: Path) -> dict[str, str]:
    """Python, the packages that are here, and the bundle's file name."""
    found = {"python": platform.python_version(), "bundle": bundle.name}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
