"""Study: stored results, vendor outputs and reads come in; cases matched by keyed identifiers go out.

Its counting rules decide what counts as positive. Imported by report, imports, web and app.
"""
