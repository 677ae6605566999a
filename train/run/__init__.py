"""Runs: a recipe and images are trained into a folder of networks and scores, which is read back, reported, compared.

`trained_run` is the interface towards export. Imported by commands and export.
"""
