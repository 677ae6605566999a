"""Command line of export on the workstation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
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
    folder: Annotated[Path, typer.Argument(metavar="run", help="Folder that `pneumoflag-train fit --out` wrote.")],
    out: OutOption,
    key: KeyOption,
    seed: Annotated[
        int | None,
        typer.Option(help="Seed to build; default: the weight average, else the seed of median operating ROC AUC."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; default: that of the recipe.")] = None,
    version: Annotated[
        int,
        typer.Option(
            "--model-version", metavar="<int>", min=1, help="Version of the model; it rises with every release."
        ),
    ] = 1,
    released: Annotated[
        bool, typer.Option("--released", help="Mark the bundle as released: boxes in use may run it.")
    ] = False,
    expires: Annotated[
        datetime | None,
        typer.Option(
            metavar="<date>", formats=["%Y-%m-%d"], help="Boxes refuse the bundle from this day on (YYYY-MM-DD)."
        ),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the run's images, if it has moved; for the int8 parity check.")
    ] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown file that the model card includes.")] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="MANIFEST:FOLDER", help="Further images for the int8 parity check; repeatable."),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Another run on the same test images, for a paired comparison in the card.")
    ] = None,
    max_flips: Annotated[
        float, typer.Option(help="Largest share of labels in which int8 may differ from Keras.")
    ] = 0.005,
) -> None:
    """Build a signed bundle from a trained network.

    Nothing is written unless every check passes.

    Example: pneumoflag-export build runs/study --out study.bundle --key my.key --model-version 2
    """
    with silenced_output():
        from export.commands.build import BuildOptions, build_bundle

    build_bundle(
        BuildOptions(
            run=folder,
            out=out,
            key=key,
            seed=seed,
            name=name,
            version=version,
            released=released,
            expires=expires,
            images=images,
            notes=notes,
            also=tuple(also or ()),
            baseline=baseline,
            max_flips=max_flips,
        )
    )


@app.command()
@_checked_inputs()
def set_thresholds(
    bundle: Annotated[Path, typer.Argument(help="The bundle whose operating point changes.")],
    results: Annotated[Path, typer.Option(help="Results that `pneumoflag-device classify` wrote or boxes published.")],
    reads: Annotated[Path, typer.Option(help="CSV with label, reader, and file, exposure_id or another identifier.")],
    key: KeyOption,
    out: OutOption,
    aim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="sensitivity=0.97 or specificity=0.9, for the lower 95 % bound; repeatable."
        ),
    ] = None,
    flag_at: Annotated[float | None, typer.Option(help="Probability from which on the flag is pneumonia.")] = None,
    clear_below: Annotated[float | None, typer.Option(help="Probability below which the flag is clear.")] = None,
    recalibrate: Annotated[
        bool, typer.Option("--recalibrate", help="Also fit the calibration to these reads.")
    ] = False,
    site_key: Annotated[
        Path | None, typer.Option(help="The site's key, where the reads hold raw DICOM identifiers.")
    ] = None,
    trusted_key: TrustedKeyOption = [],  # noqa: B006 - typer reads it
) -> None:
    """Choose a bundle's thresholds on your own reads.

    The new bundle has the same network, one version higher, signed by you. A threshold without an aim stays as it is. A
    plot of the choice is written beside the bundle.

    Example: pneumoflag-export set-thresholds study.bundle --results results.jsonl --reads reads.csv --key my.key --out
    site.bundle --aim sensitivity=0.97
    """
    from export.commands.set_thresholds import ThresholdsOptions, set_bundle_thresholds

    set_bundle_thresholds(
        ThresholdsOptions(
            bundle=bundle,
            results=results,
            reads=reads,
            key=key,
            out=out,
            aims=tuple(aim or ()),
            flag_at=flag_at,
            clear_below=clear_below,
            recalibrate=recalibrate,
            site_key=site_key,
            trusted=tuple(trusted_key),
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
    from export.bundle.inspect import card_of, page_of
    from export.bundle.inspect import inspect as lines_of

    if html is not None:
        html.write_bytes(page_of(bundle))
        print(f"{html}: model card of {bundle}; open it in a browser")
    if card:
        print(card_of(bundle).decode(), end="")
    if card or html is not None:
        return
    for line in lines_of(bundle, trusted_key):
        print(line)


def main() -> None:
    """Entry point of `pneumoflag-export`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run(app, extra="train")
