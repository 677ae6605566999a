"""Commands of `pneumoflag-train`: parsed options come in; work with progress bars and printed tables goes out.

Imported by `train.app`.
"""
