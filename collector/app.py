"""Command line of the collector."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.errors import UsageError
from console.program import new_app, run

if TYPE_CHECKING:  # heavy imports wait for the command that needs them
    from collector.config import CollectorConfig
    from collector.store.store import ImportCounts, Store
    from collector.study.study import Study

app = new_app(
    "pneumoflag-collector",
    "Collects the boxes' results and compares them with vendor AI and radiologists' reads. Research use only.\n\n"
    "Example: pneumoflag-collector run --config /etc/pneumoflag/collector.yaml",
)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="Settings, a YAML file; `pneumoflag-collector config` prints one.")
]
JsonOption = Annotated[
    Path | None, typer.Option("--json", help="File for the figures as JSON; `-` prints the JSON and nothing else.")
]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="File for the comparison, one page that needs no network.")
]
SEED, RESAMPLES = 20_240_417, 2000
"""Of the bootstrap where there are no settings; the same as the settings' defaults."""


class Vendor(StrEnum):
    """The vendor that wrote a file, or `csv` for any other system."""

    LUNIT = "lunit"
    VUNO = "vuno"
    CSV = "csv"


class Unclassified(StrEnum):
    """How an exposure counts that the box did not classify."""

    EXCLUDE = "exclude"
    WRONG = "wrong"


@app.command("run")
def run_service(config: ConfigOption) -> None:
    """Run the collector until SIGTERM or Ctrl-C.

    It subscribes to results, stores them, sends receipts and serves the pages. Prints where it listens, then one JSON
    object per log line on standard error.

    Example: pneumoflag-collector run --config /etc/pneumoflag/collector.yaml
    """
    from collector.config import load_config
    from collector.service import serve

    serve(load_config(config))


@app.command()
def migrate(config: ConfigOption) -> None:
    """Bring the database to the schema of this version.

    `run` and the imports do this by themselves.

    Example: pneumoflag-collector migrate --config /etc/pneumoflag/collector.yaml
    """
    from collector.config import load_config

    _open_store(load_config(config)).close()
    print("The database is up to date.")


@app.command("config")
def print_config() -> None:
    """Print every setting, as a YAML file to start from.

    Example: pneumoflag-collector config > collector.yaml
    """
    from collector.config import CollectorConfig
    from console.settings import settings_template

    print(settings_template(CollectorConfig), end="")


@app.command("import-vendor")
def import_vendor(
    file: Annotated[Path, typer.Argument(help="The vendor's file; docs/collector.md describes its columns.")],
    config: ConfigOption,
    vendor: Annotated[Vendor, typer.Option(help="The vendor, or `csv` for any other system.")],
    system: Annotated[str | None, typer.Option(help="Name in the comparison; default: the vendor.")] = None,
) -> None:
    """Import a vendor's outputs. Importing the same file twice changes nothing.

    Identifiers are replaced by keyed hashes while they are read.

    Example: pneumoflag-collector import-vendor --vendor lunit lunit.jsonl --config collector.yaml
    """
    from collector.config import load_config
    from collector.imports.rows import vendor_rows
    from collector.store.tables import vendor_outputs

    settings = load_config(config)
    rows = vendor_rows(file, vendor.value, system or vendor.value, settings)
    store = _open_store(settings)
    _print_summary(file, len(rows), store.put_imports(vendor_outputs, rows))
    without = sum(row.positive is None for row in rows)
    if without:
        print(f"{without} without a score for the rule's findings: kept, and listed as `no score`.")
    store.close()


@app.command("import-reads")
def import_reads(
    file: Annotated[Path, typer.Argument(help="CSV: reader, label and an identifier; see docs/collector.md.")],
    config: ConfigOption,
) -> None:
    """Import radiologists' reads. Importing the same file twice changes nothing; a changed label replaces the old one.

    Example: pneumoflag-collector import-reads reads.csv --config collector.yaml
    """
    from collector.config import load_config
    from collector.imports.rows import read_rows
    from collector.store.tables import reads

    settings = load_config(config)
    rows = read_rows(file, settings)
    store = _open_store(settings)
    _print_summary(file, len(rows), store.put_imports(reads, rows))
    store.close()


@app.command()
def compare(
    config: ConfigOption,
    json_out: JsonOption = None,
    html: HtmlOption = None,
    unclassified: Annotated[
        Unclassified | None, typer.Option(help="Instead of the setting compare.unclassified.")
    ] = None,
) -> None:
    """Compare the boxes with vendor AI and radiologists' reads.

    All results, vendor outputs and reads in the store count.

    Example: pneumoflag-collector compare --config collector.yaml --html comparison.html
    """
    from collector.config import load_config
    from collector.study.from_store import stored_study

    settings = load_config(config)
    if unclassified is not None:
        settings = settings.model_copy(
            update={"compare": settings.compare.model_copy(update={"unclassified": unclassified.value})}
        )
    store = _open_store(settings)
    study = stored_study(store, settings.compare)
    store.close()
    _deliver(study, json_out, html, settings.compare.resamples, settings.compare.seed)


@app.command("compare-files")
def compare_files(
    reads: Annotated[
        Path, typer.Option(help="CSV: case_id,label or case_id,reader,label; label 1 is pneumonia, 0 is normal.")
    ],
    system: Annotated[
        list[str], typer.Option(metavar="NAME=FILE", help="CSV: case_id,label[,score]; repeatable, once per system.")
    ],
    json_out: JsonOption = None,
    html: HtmlOption = None,
) -> None:
    """Compare systems on plain case lists. No store and no settings are needed.

    Example: pneumoflag-collector compare-files --reads reads.csv --system cnn=cnn.csv --system vuno=vuno.csv
    """
    from collector.imports.case_lists import study

    named = [_name_and_file(text) for text in system]
    if len({name for name, _ in named}) < len(named):
        raise UsageError("--system: the same name twice; give every system its own")
    _deliver(study(reads, named), json_out, html, RESAMPLES, SEED)


def _name_and_file(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")
    if not equals or not name.strip() or not file.strip():
        raise UsageError(f"--system: expected NAME=FILE such as cnn=cnn.csv, got {text}")
    return name.strip(), Path(file.strip())


def _open_store(settings: CollectorConfig) -> Store:
    from collector.store.store import Store

    store = Store(settings.store.url, busy_s=settings.store.busy_s)
    store.migrate()
    return store


def _print_summary(file: Path, rows: int, done: ImportCounts) -> None:
    counts = f"{done.new} new, {done.changed} changed, {done.unchanged} already there"
    print(f"{file}: {rows} records: {counts}.")


def _deliver(study: Study, json_out: Path | None, html: Path | None, resamples: int, seed: int) -> None:
    from rich.console import Console

    from collector.report.terminal import show
    from collector.study.study import to_json

    comparison = study.comparison(resamples=resamples, seed=seed)
    text = json.dumps(to_json(study, comparison), indent=2, allow_nan=False)
    if json_out == Path("-"):
        print(text)
    else:
        console = Console() if sys.stdout.isatty() else Console(width=200)
        show(study, comparison, console)
        if json_out is not None:
            json_out.write_text(text + "\n", encoding="utf-8")
    if html is not None:
        from collector.web.comparisons import standalone

        html.write_text(standalone(study, comparison), encoding="utf-8")


def main() -> None:
    """Entry point of `pneumoflag-collector`."""
    run(app, extra="collector")
