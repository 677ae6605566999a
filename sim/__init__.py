"""The simulation: a whole site on one machine, with phantoms instead of patients.

It takes a model bundle and gives exposures, vendors' outputs and a running site. Only tests import it.
"""
