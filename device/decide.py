"""Decide: a calibrated probability and the thresholds in force come in; the flag goes out."""

from __future__ import annotations

from device.contract import Flag, Thresholds


def decide(probability: float, thresholds: Thresholds) -> Flag:
    """`flag_at` and above is pneumonia, below `clear_below` is clear, between them a person looks.

    Raises ValueError for anything but a number from 0 to 1: a broken score must never look like a clear film.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability: 0 to 1 expected, got {probability}")
    if probability >= thresholds.flag_at:
        return Flag.PNEUMONIA
    return Flag.CLEAR if probability < thresholds.clear_below else Flag.REVIEW
