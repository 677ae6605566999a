"""The demonstration: a site and a day's exposures, what was lost, flagged and compared, and a report of it.

`sim.app` imports it.
"""
