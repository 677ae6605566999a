"""Reception: bytes of an exposure come in by C-STORE or from a watched folder; a durable file in the spool goes out.

Untrusted peers end here: nothing of the bytes is parsed beyond what the protocol needs.
Imported by pipeline, board, commands and service.
"""
