"""A running site: broker, box, collector and simulated vendors, each as a process of its own.

It takes a bundle and a folder and gives a site that exposures can be sent to. `sim.demo` and `sim.app` import it.
"""
