"""Inference: a preprocessed image comes in; calibrated probability, evidence map and distance go out.

Runs a verified bundle on one of the `backends`. Imported by pipeline, commands, service and export.
"""
