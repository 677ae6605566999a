"""Codestreams: coded pixel data come in; their frame header goes out, or the fault of which part is missing.

Decoders fill up what is missing without an error, so completeness is checked here. Imported by codecs and raster.
"""
