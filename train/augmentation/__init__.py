"""Augmentation: images come in; changed copies go out, for training and for robustness tests.

Imported by fitting, calibration and export's evaluation.
"""
