"""Errors of the collector, named for what happens next."""

from __future__ import annotations

from console.errors import ExpectedError, UsageError


class ImportFault(UsageError):
    """A file cannot be imported; the message names the line, the field and what was expected.

    It never quotes the file: in one without a header, or with a column too many, any cell may be a name.
    """


class StoreError(ExpectedError):
    """The store cannot be opened or used; the message names it and the remedy."""


class StoreUnavailable(StoreError):
    """Locked, full, damaged or unreachable: what was to be stored is kept, and tried again."""


class InvalidValue(StoreError):
    """A value does not fit the store (a number beyond 64 bits, text that is no Unicode); a retry will not help."""
