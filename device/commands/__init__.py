"""Commands of `pneumoflag-device` that are more than one call.

Take parsed options; print what a person reads, or raise a `console.errors.ExpectedError`, which carries the exit code.
Imported by `device.app` alone.
"""
