"""The modality: cases come in; DX files by C-STORE or into a folder go out.

Imported by site, demo and app.
"""
