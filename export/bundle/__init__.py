"""Bundle: a quantized network and its facts come in; a signed bundle file goes out.

The reading side is `device.bundle`. Imported by evaluation, card, site, build and set_thresholds.
"""
