"""Fitting: a network and training images come in; fitted weights and their history go out.

Strategies for several devices, weight averaging and TensorBoard logs are here. Imported by run.
"""
