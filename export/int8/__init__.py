"""Int8: a trained network comes in; its quantized form, and how far the two differ on held-out images, go out.

Audits for the Edge TPU are here. Imported by bundle, evaluation and build.
"""
