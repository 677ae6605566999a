"""DICOM and image files: bytes come in; checked header facts and stored pixel values go out.

Runs inside the intake's worker process, and `reader` in training. Imported by intake and pipeline.
"""
