"""Metrics: labels, calls and scores come in; figures with 95 % intervals and paired tests go out.

Every statistic of the project is defined here once, with its source. The functions are pure: they need NumPy, SciPy and
statsmodels only. The package imports nothing of the project. The collector, training and export may import it.
"""
