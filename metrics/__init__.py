"""Metrics: labels, calls and scores come in; figures with 95 % intervals and paired tests go out. Pure.

Every statistic of the project once, with its source. Imports nothing of the project; anyone may import it.
"""
