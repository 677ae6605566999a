"""Command line of export on the workstation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from console.errors import UsageError
from console.program import new_app, run
from device.host.stderr import silenced_output

app = new_app(
    "pneumoflag-export",
    "Turns a trained run into the signed bundle that a box runs: quantize, audit, verify with the device's own code, "
    "sign.\n\n"
    "Example: pneumoflag-export keygen my.key && pneumoflag-export build runs/study --out study.bundle --key my.key",
)

KeyOption = Annotated[Path, typer.Option("--key", help="Private key of `keygen`; boxes must trust its public key.")]
OutOption = Annotated[Path, typer.Option("--out", help="NAME.bundle for one file, any other name for a folder.")]
TrustedKeyOption = Annotated[
    list[Path],
    typer.Option("--trusted-key", metavar="<path>", help="A public key to trust besides the shipped ones; repeatable."),
]

# Options of `build`.
RunArgument = Annotated[Path, typer.Argument(metavar="run", help="Folder that `pneumoflag-train fit --out` wrote.")]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed", help="Seed to build; default: the weight average, else the seed of median operating ROC AUC."
    ),
]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the model; default: that of the recipe.")]
VersionOption = Annotated[
    int,
    typer.Option("--model-version", metavar="<int>", min=1, help="Version of the model; it rises with every release."),
]
ReleasedOption = Annotated[
    bool, typer.Option("--released", help="Mark the bundle as released: boxes in use may run it.")
]
ExpiresOption = Annotated[
    datetime | None,
    typer.Option(
        "--expires",
        metavar="<date>",
        formats=["%Y-%m-%d"],
        help="Boxes refuse the bundle from this day on (YYYY-MM-DD).",
    ),
]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of the run's images, if it has moved; for the int8 parity check."),
]
NotesOption = Annotated[Path | None, typer.Option("--notes", help="Markdown file that the model card includes.")]
AlsoOption = Annotated[
    list[str] | None,
    typer.Option("--also", metavar="MANIFEST:FOLDER", help="Further images for the int8 parity check; repeatable."),
]
BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", help="Another run on the same test images, for a paired comparison in the card."),
]
MaxFlipsOption = Annotated[
    float, typer.Option("--max-flips", help="Largest share of labels in which int8 may differ from Keras.")
]

# Options of `set-thresholds`.
ResultsOption = Annotated[
    Path, typer.Option("--results", help="Results that `pneumoflag-device classify` wrote or boxes published.")
]
ReadsOption = Annotated[
    Path, typer.Option("--reads", help="CSV with label, reader, and file, exposure_id or another identifier.")
]
AimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--aim", metavar="NAME=VALUE", help="sensitivity=0.97 or specificity=0.9, for the lower 95 % bound; repeatable."
    ),
]
FlagAtOption = Annotated[
    float | None, typer.Option("--flag-at", help="Probability from which on the flag is pneumonia.")
]
ClearBelowOption = Annotated[
    float | None, typer.Option("--clear-below", help="Probability below which the flag is clear.")
]
RecalibrateOption = Annotated[bool, typer.Option("--recalibrate", help="Also fit the calibration to these reads.")]
SiteKeyOption = Annotated[
    Path | None, typer.Option("--site-key", help="The site's key, where the reads hold raw DICOM identifiers.")
]


@contextmanager
def _checked_inputs() -> Iterator[None]:
    """Report a bundle or key that cannot be used as wrong usage: here it is an input, on a box a failure."""
    from device.bundle.keys import BundleError
    from device.inference.classifier import GoldenMismatch

    try:
        yield
    except GoldenMismatch:
        raise
    except BundleError as error:
        raise UsageError(str(error)) from error


@app.command()
@_checked_inputs()
def keygen(
    key: Annotated[Path, typer.Argument(help="File for the private key; KEY.pub is written beside it.")],
) -> None:
    """Create a signing key (Ed25519, mode 600). An existing file is never overwritten.

    The commands `classify` and `selftest` of the same user trust it.

    Example: pneumoflag-export keygen my.key
    """
    from export.bundle.writer import make_key, trust_here

    public = make_key(key)
    print(f"{key}: private key, keep it off the boxes and out of version control")
    print(f"{public.where}: public key {public.key_id}; boxes trust it by model.trusted_keys or --trusted-key")
    print(f"{trust_here(public)}: bundles signed with it are trusted on this machine")


@app.command()
@_checked_inputs()
def build(
    run_folder: RunArgument,
    out: OutOption,
    key: KeyOption,
    seed: SeedOption = None,
    name: NameOption = None,
    version: VersionOption = 1,
    released: ReleasedOption = False,
    expires: ExpiresOption = None,
    images: ImagesOption = None,
    notes: NotesOption = None,
    also: AlsoOption = None,
    baseline: BaselineOption = None,
    max_flips: MaxFlipsOption = 0.005,
) -> None:
    """Build a signed bundle from a trained network.

    Nothing is written unless every check passes.

    Example: pneumoflag-export build runs/study --out study.bundle --key my.key --model-version 2
    """
    with silenced_output():
        from export.build import BuildRequest, Release
        from export.bundle.writer import read_signing_key
        from export.commands.build import build_bundle, further_datasets, read_notes

    build_bundle(
        BuildRequest(
            run=run_folder,
            out=out,
            key=read_signing_key(key),
            release=Release(
                name=name, version=version, released=released, expires=expires and expires.replace(tzinfo=UTC)
            ),
            seed=seed,
            images=images,
            notes=read_notes(notes),
            further=further_datasets(also),
            baseline=baseline,
            max_flipped_share=max_flips,
        )
    )


@app.command()
@_checked_inputs()
def set_thresholds(
    bundle: Annotated[Path, typer.Argument(help="The bundle whose operating point changes.")],
    results: ResultsOption,
    reads: ReadsOption,
    key: KeyOption,
    out: OutOption,
    aim: AimOption = None,
    flag_at: FlagAtOption = None,
    clear_below: ClearBelowOption = None,
    recalibrate: RecalibrateOption = False,
    site_key: SiteKeyOption = None,
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
) -> None:
    """Choose a bundle's thresholds on your own reads.

    The new bundle has the same network, one version higher, signed by you. A threshold without an aim stays as it is. A
    plot of the choice is written beside the bundle.

    Example: pneumoflag-export set-thresholds study.bundle --results results.jsonl --reads reads.csv --key my.key --out
    site.bundle --aim sensitivity=0.97
    """
    from device.bundle.loader import trusted_keys
    from export.bundle.writer import read_signing_key
    from export.commands.set_thresholds import Aim, ThresholdsRequest, aimed_shares, set_bundle_thresholds

    set_bundle_thresholds(
        ThresholdsRequest(
            bundle=bundle,
            results=results,
            reads=reads,
            aim=Aim(**aimed_shares(aim), flag_at=flag_at, clear_below=clear_below, recalibrate=recalibrate),
            key=read_signing_key(key),
            out=out,
            site_key=site_key,
            trusted=trusted_keys(trusted_key),
        )
    )


@app.command()
@_checked_inputs()
def inspect(
    bundle: Annotated[Path, typer.Argument(help="The bundle, a file or a folder.")],
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
    card: Annotated[bool, typer.Option("--card", help="Print the model card instead.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write the model card with its figures to this file.")] = None,
) -> None:
    """Show what is in a bundle.

    Prints signer, model, thresholds, figures, audit and parity.

    Example: pneumoflag-export inspect study.bundle --html card.html
    """
    from export.bundle.inspect import card_of, page_of, summary_lines

    if html is not None:
        html.write_bytes(page_of(bundle))
        print(f"{html}: model card of {bundle}; open it in a browser")
    if card:
        print(card_of(bundle).decode(), end="")
    if card or html is not None:
        return
    for line in summary_lines(bundle, trusted_key):
        print(line)


def main() -> None:
    """Entry point of `pneumoflag-export`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run(app, extra="train")
