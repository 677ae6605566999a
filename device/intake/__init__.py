"""Intake: untrusted bytes of the spool come in; an accepted image or a rejection with its reason goes out.

Parsing and decoding run in a confined worker process; the gate decides from the header facts alone.
Imported by pipeline, commands and service.
"""
