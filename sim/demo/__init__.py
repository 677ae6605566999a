"""The demo: a site and a day's exposures come in; what was lost, flagged and compared goes out, as a report.

Imported by `sim.app`.
"""
