"""Web: the store comes in; the administrator's pages and JSON go out, read-only.

Imported by service and app.
"""
