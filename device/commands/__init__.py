"""Commands of `pneumoflag-device` that are more than one call.

Take parsed options; print what a person reads, or raise an error that `exit_codes` maps to the exit status.
Imported by `device.app` alone.
"""
