"""App: a command line comes in; a running collector, an import or a comparison goes out."""
# the heavy imports stand inside the commands, so that --help is quick

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from collector.config import CollectorConfig, ConfigError, described, load_config
from collector.errors import ImportFault, StoreError
from device.contract import ContractError

if TYPE_CHECKING:
    from collector.store.store import ImportCounts, Store
    from collector.study.study import Study

FAILED: Final = 1
USAGE: Final = 2

app = typer.Typer(
    name="pneumoflag-collector",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Collects the boxes' results and compares them with vendor AI and radiologists' reads. Research use only.\n\n"
    "Exit codes: 0 done, 1 something failed, 2 usage or bad input.",
)

Config = Annotated[Path, typer.Option("--config", "-c", help="settings; `pneumoflag-collector config` prints them all")]
Json = Annotated[Path | None, typer.Option("--json", help="write the figures as JSON; `-` to standard output alone")]
Html = Annotated[Path | None, typer.Option("--html", help="write the page as one file that needs no network")]


class Vendor(StrEnum):
    """Whose file it is."""

    LUNIT = "lunit"
    VUNO = "vuno"
    CSV = "csv"


class Unclassified(StrEnum):
    """What a film counts that the box did not classify."""

    EXCLUDE = "exclude"
    WRONG = "wrong"


class UsageFault(Exception):
    """The command line asks for something that cannot be; the words say what can."""


@app.command()
def run(config: Config) -> None:
    """Subscribe, store, send receipts and serve the pages until SIGTERM or Ctrl-C."""
    from collector.service import serve

    serve(load_config(config))


@app.command()
def migrate(config: Config) -> None:
    """Bring the database to this version's form (`run` and the imports do so by themselves)."""
    settings = load_config(config)
    _opened(settings).close()
    typer.echo("The database is up to date.")


@app.command("config")
def print_config() -> None:
    """Print every setting with its default and its meaning, as YAML to start from."""
    typer.echo(described(), nl=False)


@app.command("import-vendor")
def import_vendor(
    file: Annotated[Path, typer.Argument(help="its shape is in docs/collector.md")],
    config: Config,
    vendor: Annotated[Vendor, typer.Option(help="whose file it is")],
    system: Annotated[str | None, typer.Option(help="name in the comparison (the vendor's by default)")] = None,
) -> None:
    """Import a vendor's outputs. Identifiers are keyed while they are read; the same file twice changes nothing."""
    from collector.imports.rows import vendor_rows
    from collector.store.tables import vendor_outputs

    settings = load_config(config)
    rows = vendor_rows(file, vendor.value, system or vendor.value, settings)
    store = _opened(settings)
    _summary(file, len(rows), store.put_imports(vendor_outputs, rows))
    without = sum(row.positive is None for row in rows)
    if without:
        typer.echo(f"{without} without a score for the rule's findings: kept, and shown as no score.")
    store.close()


@app.command("import-reads")
def import_reads(
    file: Annotated[Path, typer.Argument(help="CSV: reader,label and an identifier; see docs/collector.md")],
    config: Config,
) -> None:
    """Import radiologists' reads. The same file twice changes nothing; a changed label replaces the former one."""
    from collector.imports.rows import read_rows
    from collector.store.tables import reads

    settings = load_config(config)
    rows = read_rows(file, settings)
    store = _opened(settings)
    _summary(file, len(rows), store.put_imports(reads, rows))
    store.close()


@app.command()
def compare(
    config: Config,
    json_out: Json = None,
    html: Html = None,
    unclassified: Annotated[Unclassified | None, typer.Option(help="overrides compare.unclassified")] = None,
) -> None:
    """Compare the boxes with vendors by the radiologists' reads, over the store."""
    from collector.study.from_store import stored_study

    settings = load_config(config)
    if unclassified is not None:
        settings = settings.model_copy(
            update={"compare": settings.compare.model_copy(update={"unclassified": unclassified.value})}
        )
    store = _opened(settings)
    study = stored_study(store, settings.compare)
    store.close()
    _deliver(study, json_out, html, settings.compare.resamples, settings.compare.seed)


@app.command("compare-files")
def compare_files(
    reads: Annotated[Path, typer.Option(help="CSV: case_id,label or case_id,reader,label")],
    system: Annotated[list[str], typer.Option(help="NAME=FILE, a CSV: case_id,label[,score]; give it once per system")],
    json_out: Json = None,
    html: Html = None,
) -> None:
    """Compare systems by reads over plain case lists: label 1 is pneumonia, 0 is normal. No store is needed."""
    from collector.imports.case_lists import study

    named = [_named(text) for text in system]
    if len({name for name, _ in named}) < len(named):
        raise UsageFault("--system: a name stands twice; every system needs its own")
    _deliver(study(reads, named), json_out, html, 2000, 20_240_417)


def _named(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals or not name.strip() or not file.strip():
        raise UsageFault(f"--system {text}: NAME=FILE expected, for instance --system cnn=cnn.csv")
    return name.strip(), Path(file.strip())


def _opened(settings: CollectorConfig) -> Store:
    from collector.store.store import Store

    store = Store(settings.store.url, busy_s=settings.store.busy_s)
    store.migrate()
    return store


def _summary(file: Path, rows: int, done: ImportCounts) -> None:
    counts = f"{done.new} new, {done.changed} changed, {done.unchanged} already there"
    typer.echo(f"{file}: {rows} records: {counts}.")


def _deliver(study: Study, json_out: Path | None, html: Path | None, resamples: int, seed: int) -> None:
    from rich.console import Console

    from collector.report.terminal import show
    from collector.study.study import to_json

    comparison = study.comparison(resamples=resamples, seed=seed)
    text = json.dumps(to_json(study, comparison), indent=2, allow_nan=False)
    if json_out == Path("-"):
        typer.echo(text)
    else:
        console = Console() if sys.stdout.isatty() else Console(width=200)
        show(study, comparison, console)
        if json_out is not None:
            json_out.write_text(text + "\n", encoding="utf-8")
    if html is not None:
        from collector.web.comparisons import standalone

        html.write_text(standalone(study, comparison), encoding="utf-8")


def main() -> None:
    """Console script. The one broad catch of the collector: a fault becomes one line and an exit code."""
    sys.exit(_guarded(app))


def _guarded(command: Callable[[], object]) -> int:
    try:
        command()
    except (UsageFault, ConfigError, ContractError, ImportFault) as error:
        return _said(str(error), USAGE)
    except StoreError as error:
        return _said(f"{error}; see store.url", FAILED)
    except KeyboardInterrupt:
        return _said("stopped", FAILED)
    except OSError as error:
        return _said(f"{error.filename or 'system'}: {error.strerror or error}", FAILED)
    except Exception as error:  # noqa: BLE001  # whatever is left: one line for the person, the kind for a report
        return _said(f"{type(error).__name__}: {error}", FAILED)
    return 0


def _said(text: str, code: int) -> int:
    typer.echo(f"pneumoflag-collector: {text}", err=True)
    return code
