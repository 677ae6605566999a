"""Calibration: held-out logits come in; a calibration, thresholds and an out-of-distribution threshold go out.

Imported by fitting, run and export.
"""
