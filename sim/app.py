"""Command line of the simulated site."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from console.errors import UsageError
from console.program import new_app, run

app = new_app(
    "pneumoflag-sim",
    "Simulates a whole site on one machine: phantoms, a modality, vendor AI and the demonstration. "
    "It uses no patient data.\n\n"
    "Example: pneumoflag-sim demo --count 24",
)

SeedOption = Annotated[int, typer.Option("--seed", help="The same seed gives the same images.")]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help="The signed model bundle; default: the newest in firmware_config/bundles."),
]
TrustedKeyOption = Annotated[
    list[Path],
    typer.Option("--trusted-key", metavar="<path>", help="A public key to trust besides the shipped ones; repeatable."),
]


@app.command()
def phantom(
    out: Annotated[Path, typer.Option("--out", help="Folder for the images, one file each.")] = Path("phantoms"),
    sheet: Annotated[
        Path | None, typer.Option("--sheet", help="Write only a contact sheet of eight phantoms, as PNG.")
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="<int>", min=1, help="Number of images.")] = 8,
    seed: SeedOption = 7,
    finding: Annotated[str, typer.Option("--finding", help="normal, lobar, patchy or mixed.")] = "mixed",
    view: Annotated[str, typer.Option("--view", help="pa, lateral or hand.")] = "pa",
    file_format: Annotated[
        str,
        typer.Option("--format", help="png (1024 pixels) or dicom (3072 pixels, 14 bits)."),
    ] = "png",
) -> None:
    """Write simulated chest radiographs.

    Example: pneumoflag-sim phantom --out phantoms --count 8 --finding lobar
    """
    from sim.modality.phantom_files import write_phantoms
    from sim.phantom.sheet import write_sheet

    if sheet is not None:
        write_sheet(sheet, seed)
        print(f"{sheet}: eight phantoms, seeds {seed} to {seed + 7}")
        return
    for path in write_phantoms(out, count=count, seed=seed, finding=finding, view=view, form=file_format):
        print(path)


@app.command("phantom-check")
def phantom_check(
    bundle: BundleOption = None,
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
    count: Annotated[
        int, typer.Option("--count", metavar="<int>", min=1, help="Number of images with each finding.")
    ] = 40,
    seed: SeedOption = 5000,
) -> None:
    """Print how a bundle flags phantoms.

    The table counts flags with and without consolidation. It does not measure the model.

    Example: pneumoflag-sim phantom-check --bundle model.bundle --count 40
    """
    from sim.demo.phantom_check import classify_phantoms, format_table
    from sim.site.site import newest_bundle

    results = classify_phantoms(bundle or newest_bundle(), trusted=tuple(trusted_key), count=count, seed=seed)
    print(format_table(results))


@app.command()
def modality(
    port: Annotated[int | None, typer.Option("--port", help="DICOM port of the box; optional with --folder.")] = None,
    host: Annotated[str, typer.Option("--host", help="Address of the box.")] = "127.0.0.1",
    ae_title: Annotated[str, typer.Option("--ae-title", help="AE title of the box.")] = "PNEUMOFLAG",
    folder: Annotated[Path | None, typer.Option("--folder", help="Folder that the box watches.")] = None,
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of DICOM, JPEG or PNG files to send instead of phantoms.")
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--count", metavar="<int>", min=1, help="Number of phantoms; with --images, the most files to send."
        ),
    ] = 24,
    per_minute: Annotated[
        float | None,
        typer.Option(
            "--per-minute", metavar="<float>", min=0.1, help="Exposures per minute; default: without a pause."
        ),
    ] = None,
    rejects: Annotated[
        bool, typer.Option("--rejects/--no-rejects", help="Also send exposures that the gate must reject.")
    ] = False,
    manifest: Annotated[Path, typer.Option("--manifest", help="CSV of what was sent, for `vendors`.")] = Path(
        "manifest.csv"
    ),
    run_name: Annotated[
        str | None, typer.Option("--run-name", help="Name from which identifiers are derived; default: the time.")
    ] = None,
    seed: SeedOption = 1,
) -> None:
    """Act as a modality and send exposures to a box.

    Each exposure is sent again until the box answers with Success.

    Example: pneumoflag-sim modality --port 11112 --count 24 --rejects
    """
    from sim.modality.cases import file_cases, phantom_cases
    from sim.modality.modality import Destination, send_all
    from sim.modality.send import Address

    if port is None and folder is None:
        raise UsageError("no destination; name --port, --folder or both")
    address = Address(host=host, port=port, ae_title=ae_title) if port is not None else None
    cases = (
        file_cases(images, seed=seed, limit=count)
        if images
        else phantom_cases(count, seed=seed, rejects=rejects, files=folder is not None)
    )
    name = run_name or datetime.now(UTC).isoformat()
    destination = Destination(address=address, folder=folder)
    send_all(cases, destination, manifest, run_name=name, per_minute=per_minute)
    print(f"{manifest}: {len(cases)} exposures")


@app.command()
def vendors(
    manifest: Annotated[Path, typer.Argument(help="Manifest that the modality wrote.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for lunit.jsonl, vuno.csv and reads.csv.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same outputs and reads.")] = 1,
) -> None:
    """Write plausible vendor AI outputs and reads.

    They are of two vendors and three readers, for the exposures of a manifest.

    Example: pneumoflag-sim vendors manifest.csv --out vendors
    """
    from sim.modality.manifest import read_manifest
    from sim.site.vendors import write_outputs

    files = write_outputs(read_manifest(manifest), out, seed=seed)
    print(f"{files.lunit}\n{files.vuno}\n{files.reads}")


@app.command()
def demo(
    images: Annotated[
        Path | None, typer.Option("--images", help="Folder of DICOM, JPEG or PNG files to use instead of phantoms.")
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="<int>", min=1, help="Number of chest phantoms.")] = 24,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report; emptied first.")] = Path("demo-out"),
    stay: Annotated[
        bool | None, typer.Option("--stay/--no-stay", help="Keep running until Ctrl-C; default: on a terminal.")
    ] = None,
    bundle: BundleOption = None,
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
    seed: SeedOption = 1,
) -> None:
    """Run a whole hospital for a minute.

    Broker, box, collector and modality run on this machine. Collector and box are killed halfway and started again. A
    report is written.

    Example: pneumoflag-sim demo --images my-images --out demo-out
    """
    from sim import interrupts

    interrupts.catch_signals()
    from sim.demo.demo import Options, run_demo
    from sim.progress import ProgressReporter
    from sim.site.site import newest_bundle

    options = Options(
        out=out,
        bundle=bundle or newest_bundle(),
        trusted_keys=tuple(trusted_key),
        exposures=images,
        count=count,
        seed=seed,
        stay=sys.stdout.isatty() if stay is None else stay,
    )
    run_demo(options, ProgressReporter())


def main() -> None:
    """Entry point of `pneumoflag-sim`."""
    run(app, extra="sim")
