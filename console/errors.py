"""Exit codes, the base classes of expected errors, and the one line on standard error that reports an error."""

from __future__ import annotations

import logging
import sys
from importlib import metadata
from typing import ClassVar, Final

DISTRIBUTION: Final = "pneumoflag"
TRACEBACK_VARIABLE: Final = "PNEUMOFLAG_TRACEBACK"

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


def report(error: Exception, *, program: str, extra: str) -> int:
    """Print one line about the error to standard error and return the exit code.

    `extra` is what `pip install` needs for the program's dependencies. An unexpected error is logged with its
    traceback where logging is set up.
    """
    match error:
        case ExpectedError():
            code, text = error.exit_code, str(error)
        case ModuleNotFoundError(name=str(module)) if not _is_internal(module):
            package = module.partition(".")[0]
            text = f"{package} is not installed in this environment; run: pip install '{DISTRIBUTION}[{extra}]'"
            code = FAILED
        case OSError():
            code, text = FAILED, f"{error.filename or 'system'}: {error.strerror or error}"
        case _ if logging.getLogger().handlers:
            logging.getLogger(program).critical("unexpected_error", exc_info=error)
            return FAILED
        case _:
            code, text = FAILED, f"{type(error).__name__}: {error} (set {TRACEBACK_VARIABLE}=1 to see where)"
    print(f"{program}: {text}", file=sys.stderr)
    return code


def _is_internal(module: str) -> bool:
    """A missing module of this project is a bug, which no installation fixes."""
    top = module.partition(".")[0]
    return DISTRIBUTION in metadata.packages_distributions().get(top, ())
