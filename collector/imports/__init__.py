"""Imports: files of vendor outputs, reads and case lists come in; checked rows for the store go out.

Imported by app.
"""
