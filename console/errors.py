"""Exit codes, and the base classes of every error that a person can do something about."""

from __future__ import annotations

from typing import ClassVar, Final

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2

EXIT_CODES = (
    "Exit codes: 0 done; 1 something failed, and standard error says what; "
    "2 wrong usage: an option, a setting or an input file that cannot be used."
)


class ExpectedError(Exception):
    """An error whose message says what is wrong and what to do. The program prints it and exits with `exit_code`."""

    exit_code: ClassVar[int] = FAILED


class UsageError(ExpectedError):
    """What the person named cannot be used: an option, a setting, or an input file."""

    exit_code: ClassVar[int] = USAGE
