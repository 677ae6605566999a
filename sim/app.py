"""App: a command line comes in; phantoms, exposures, vendors' files or a whole site at work go out."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

FAILED, USAGE = 1, 2
HELP = """A whole site on one machine: phantoms, a modality, vendors, the demonstration. No patient is touched.

Exit codes: 0 done, 1 something failed (named on standard error), 2 wrong usage or input.
"""
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same films.")]
BundleOption = Annotated[
    Path | None, typer.Option("--bundle", help="The signed model bundle; by default the newest under firmware_config/.")
]
TrustOption = Annotated[list[Path], typer.Option("--trust", help="A public key to trust besides the shipped ones.")]


@app.command()
def phantom(
    out: Annotated[Path, typer.Option("--out", help="Folder for films, one file each.")] = Path("phantoms"),
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Write only a contact sheet of eight, as PNG.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many films.")] = 8,
    seed: SeedOption = 7,
    finding: Annotated[str, typer.Option("--finding", help="normal, lobar, patchy or mixed.")] = "mixed",
    view: Annotated[str, typer.Option("--view", help="pa, lateral or hand.")] = "pa",
    form: Annotated[str, typer.Option("--form", help="png (1024 pixels) or dicom (3072 pixels, 14 bits).")] = "png",
) -> None:
    """Draw simulated chest films."""
    from sim.modality.phantom_files import write_phantoms
    from sim.phantom.sheet import write_sheet

    if sheet is not None:
        write_sheet(sheet, seed)
        print(f"{sheet}: eight phantoms, seeds {seed} to {seed + 7}")
        return
    for path in write_phantoms(out, count=count, seed=seed, finding=finding, view=view, form=form):
        print(path)


@app.command("phantom-check")
def phantom_check(
    bundle: BundleOption = None,
    trust: TrustOption = [],  # noqa: B006 - typer reads it
    count: Annotated[int, typer.Option("--count", min=1, help="Films of each kind.")] = 40,
    seed: SeedOption = 5000,
) -> None:
    """Say how the bundle flags phantoms with and without consolidation, as a table. It is no measure of the network."""
    from sim.demo.phantom_check import check, table
    from sim.site.bundles import newest_bundle

    print(table(check(bundle or newest_bundle(), trusted=tuple(trust), count=count, seed=seed)))


@app.command()
def modality(
    port: Annotated[int | None, typer.Option("--port", help="DICOM port of the box; without it only --folder.")] = None,
    host: Annotated[str, typer.Option("--host", help="Address of the box.")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title of the box.")] = "PNEUMOFLAG",
    folder: Annotated[Path | None, typer.Option("--folder", help="The folder that the box watches.")] = None,
    films: Annotated[Path | None, typer.Option("--films", help="Films of one's own: DICOM, JPEG, PNG.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many phantoms, or at most how many films.")] = 24,
    per_minute: Annotated[float | None, typer.Option("--per-minute", min=0.1, help="Rate; else at once.")] = None,
    odd: Annotated[bool, typer.Option("--odd/--no-odd", help="Films that the gate must turn away, too.")] = False,
    manifest: Annotated[Path, typer.Option("--manifest", help="CSV of what was sent, for `vendors`.")] = Path(
        "manifest.csv"
    ),
    run_name: Annotated[str | None, typer.Option("--run", help="Names the identifiers; else the time.")] = None,
    seed: SeedOption = 1,
) -> None:
    """Act as a modality: send films to a box until each is answered Success."""
    from sim.modality.cases import film_cases, phantom_cases
    from sim.modality.modality import Route, send_all
    from sim.modality.send import Address

    if port is None and folder is None:
        _fail("no way to the box: name --port, --folder or both", USAGE)
    address = Address(host=host, port=port, ae_title=ae_title) if port is not None else None
    cases = (
        film_cases(films, seed=seed, limit=count)
        if films
        else phantom_cases(count, seed=seed, odd=odd, files=folder is not None)
    )
    name = run_name or datetime.now(UTC).isoformat()
    send_all(cases, Route(address=address, folder=folder), manifest, run_name=name, per_minute=per_minute)
    print(f"{manifest}: {len(cases)} exposures")


@app.command()
def vendors(
    manifest: Annotated[Path, typer.Argument(help="What the modality sent.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for lunit.jsonl, vuno.csv and reads.csv.")],
    seed: SeedOption = 1,
) -> None:
    """Draw plausible outputs of two vendors' AI and reads of three readers for the films of a manifest."""
    from sim.modality.manifest import read_manifest
    from sim.site.vendors import write_outputs

    files = write_outputs(read_manifest(manifest), out, seed=seed)
    print(f"{files.lunit}\n{files.vuno}\n{files.reads}")


@app.command()
def demo(
    exposures: Annotated[Path | None, typer.Option("--exposures", help="A folder of one's own films.")] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="How many chest phantoms.")] = 24,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report; emptied first.")] = Path("demo-out"),
    stay: Annotated[
        bool | None, typer.Option("--stay/--no-stay", help="Keep running until Ctrl-C; by default at a terminal.")
    ] = None,
    bundle: BundleOption = None,
    trust: TrustOption = [],  # noqa: B006 - typer reads it
    seed: SeedOption = 1,
) -> None:
    """Run a whole hospital for a minute: broker, box, collector, modality; kill the box in the middle; report."""
    from sim.demo.demo import Options, run_demo
    from sim.progress import Teller
    from sim.site.bundles import newest_bundle

    # However it is ended, the parts are ended with it.
    signal.signal(signal.SIGTERM, _interrupt)
    options = Options(
        out=out,
        bundle=bundle or newest_bundle(),
        trusted_keys=tuple(trust),
        exposures=exposures,
        count=count,
        seed=seed,
        stay=sys.stdout.isatty() if stay is None else stay,
    )
    run_demo(options, Teller())


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _fail(words: str, code: int) -> NoReturn:
    print(f"pneumoflag-sim: {words}", file=sys.stderr)
    raise SystemExit(code)


def main() -> None:
    """Console script. The one broad catch: a fault becomes one clear line and an exit code."""
    from sim.exit_codes import BAD_INPUT, KNOWN

    try:
        app()
    except BAD_INPUT as error:
        _fail(str(error), USAGE)
    except KNOWN as error:
        _fail(str(error), FAILED)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except OSError as error:
        _fail(f"{error.filename or 'system'}: {error.strerror or error}", FAILED)
    except Exception as error:  # noqa: BLE001 - whatever is left: one line for the person
        _fail(f"{type(error).__name__}: {error}", FAILED)
