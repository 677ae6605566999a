"""Simulation: a whole site on one machine, with phantoms instead of patients. Nothing but tests imports it."""
