"""Site: a box's results and a site's reads come in; the operating point that they support goes out.

Imported by set_thresholds.
"""
