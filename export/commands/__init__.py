"""Commands of `pneumoflag-export`: parsed options come in; a bundle on the disk and lines on the screen go out.

Imported by `export.app` alone.
"""
