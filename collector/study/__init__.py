"""Study: stored results, vendor outputs and reads come in; cases matched by keyed identifiers go out.

What counts as positive is decided by its counting rules. Imported by report, imports, web and app.
"""
