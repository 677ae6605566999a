"""A program's command line: the options that all share, and one line on standard error for every expected error."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from console.errors import DISTRIBUTION, DONE, EXIT_CODES, TRACEBACK_VARIABLE, report

HELP_COLUMNS = 100


def new_app(program: str, about: str) -> typer.Typer:
    """Return an application with `--version`, `--help` and shell completion. `about` is the text of `--help`."""
    app = typer.Typer(
        name=program,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: it starts sooner, and reads the same in a log
        context_settings={"max_content_width": HELP_COLUMNS, "help_option_names": ["--help", "-h"]},
    )

    app.callback(help=f"{about}\n\n{EXIT_CODES}")(_shared_options)
    return app


def _show_version(context: typer.Context, wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        print(f"{context.command.name} {metadata.version(DISTRIBUTION)}")
        raise typer.Exit


def _shared_options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def run(app: typer.Typer, *, extra: str, args: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit. `extra` is what `pip install` needs for this program's dependencies.

    This holds the only broad catch of a program. An unexpected error is logged with its traceback where logging is set
    up, and is otherwise one line.
    """
    try:
        app(args=args)
        code = DONE
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        code = report(error, program=app.info.name or DISTRIBUTION, extra=extra)
    sys.exit(code)
