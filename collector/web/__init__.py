"""Web: the store comes in; the administrators' pages, their JSON and metrics go out, read-only.

Imported by service and app.
"""
