"""Model card: an evaluation comes in; an HTML page and a Markdown text go out.

Imported by build.
"""
