"""Errors: named for what happens next. Imports nothing, so that the command line can know them all."""

from __future__ import annotations


class ImportFault(Exception):
    """A file cannot be imported; the words name the line, the field and what was expected.

    They never repeat what stands in the file: in a file without a header, or with a column too many, that is a name.
    """


class StoreError(Exception):
    """The store cannot be opened or used; the words name it and the remedy."""


class StoreAway(StoreError):
    """Locked, full, damaged or unreachable: what was to be stored is kept, and tried again."""


class Unstorable(StoreError):
    """A value does not fit the store (a number beyond 64 bits, text that is no Unicode): trying again will not help."""
