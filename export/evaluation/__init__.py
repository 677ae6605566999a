"""Evaluation: held-out images and the box's classifier come in; figures, curves and robustness tables go out.

Imported by card and build.
"""
