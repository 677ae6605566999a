"""Commands of `pneumoflag-export`: a request comes in; a bundle on the disk and lines on the screen go out.

Imported by `export.app` alone.
"""
