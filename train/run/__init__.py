"""Runs: one training's folder of networks, scores, reports and comparisons, written and read.

The face of a run towards export. Imported by commands and export.
"""
