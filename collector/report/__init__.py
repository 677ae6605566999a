"""Report: a comparison comes in; text for the terminal and plots go out.

Imported by web and app.
"""
