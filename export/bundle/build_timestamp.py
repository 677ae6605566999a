"""Moment: the environment comes in; the time that a bundle bears goes out."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def now() -> datetime:
    """SOURCE_DATE_EPOCH (reproducible-builds.org) makes the same input give the same bundle, byte by byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC).replace(microsecond=0)
