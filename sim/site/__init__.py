"""A site: broker, box, collector and simulated vendors, each as a process of its own.

Imported by demo and app.
"""
