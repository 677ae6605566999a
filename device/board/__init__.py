"""Flag board: the box's own record of flags comes in; a live page for the technologist goes out.

Reads the flag history and the spool, never the network. Imported by service.
"""
