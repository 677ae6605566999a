"""Data: a manifest and image files come in; labelled images by part of the split, and the data set's card, go out.

Splits by patient and near-duplicate cluster. Imported by fitting, calibration, run, commands and export.
"""
