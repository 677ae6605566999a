"""App: the command line of the workstation's export; the only broad catch of this role."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from device.host.stderr import silenced_output

EPILOG = "Exit codes: 0 done, 1 failed (also: the network is not fit for a box), 2 wrong usage, run, key or bundle."
USAGE_ERRORS = {
    "BundleError",
    "ContractError",
    "RunError",
    "RecipeError",
    "ManifestError",
    "ValidationError",
    "ReadsError",
    "AimError",
    "NoCard",
    "PlaceError",
}
FAILURES = {"ExportError", "CompileError", "GoldenMismatch"}
"""Of the network, though some of them are of kinds that mean wrong usage elsewhere."""
app = typer.Typer(no_args_is_help=True, add_completion=False, epilog=EPILOG, pretty_exceptions_enable=False)


@app.callback()
def _about() -> None:
    """Turn a trained run into the signed bundle that a box takes: quantize, audit, prove on the device's code, sign.

    Example: pneumoflag-export keygen my.key && pneumoflag-export build runs/study --out study.bundle --key my.key
    """


@app.command(epilog=EPILOG)
def keygen(key: Annotated[Path, typer.Argument(help="file for the private key; KEY.pub is written beside it")]) -> None:
    """Make a signing key (Ed25519, mode 600), never over another. This user's classify and selftest trust it."""
    from export.bundle.writer import make_key, trust_here

    public = make_key(key)
    print(f"{key}: private key, keep it off the boxes and out of version control")
    print(f"{public.where}: public key {public.key_id}; boxes trust it by model.trusted_keys or --trusted-key")
    print(f"{trust_here(public)}: so bundles signed with it pass here without more")


@app.command(epilog=EPILOG)
def build(
    run: Annotated[Path, typer.Argument(help="folder that `pneumoflag-train fit --out` wrote")],
    out: Annotated[Path, typer.Option(help="NAME.bundle for one file, any other name for a folder")],
    key: Annotated[Path, typer.Option(help="private key of `keygen`")],
    seed: Annotated[
        int | None, typer.Option(help="default: median ROC AUC on the operating films, not the test")
    ] = None,
    name: Annotated[str | None, typer.Option(help="default: the recipe's name")] = None,
    version: Annotated[int, typer.Option(min=1, help="rises with every release of the name")] = 1,
    released: Annotated[bool, typer.Option(help="say that boxes in use may run it")] = False,
    expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="boxes refuse it from this day on")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="folder of the run's films, if it moved; for parity")] = None,
    notes: Annotated[Path | None, typer.Option(help="Markdown for the model card: what else is known of it")] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="MANIFEST.csv:FOLDER, further films to hold int8 against; repeatable")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="another run on the same test films, to be compared film by film in the card")
    ] = None,
    most_flips: Annotated[float, typer.Option(help="share of labels that int8 may call otherwise than Keras")] = 0.005,
) -> None:
    """Build a signed bundle from one trained network of a run. Nothing is written unless every check passes."""
    with silenced_output():
        from export.commands.build import build_bundle

    build_bundle(
        run=run, out=out, key=key, seed=seed, name=name, version=version, released=released, expires=expires,
        images=images, notes=notes, also=also or [], baseline=baseline, most_flips=most_flips,
    )  # fmt: skip


@app.command(epilog=EPILOG)
def reoperate(
    bundle: Annotated[Path, typer.Argument(help="the bundle whose operating point is chosen anew")],
    results: Annotated[Path, typer.Option(help="what `pneumoflag-device classify` wrote, or boxes published")],
    reads: Annotated[Path, typer.Option(help="CSV: label, reader, and file, exposure_id or what else names the film")],
    key: Annotated[Path, typer.Option(help="private key of `keygen`; boxes must trust it")],
    out: Annotated[Path, typer.Option(help="NAME.bundle for one file, any other name for a folder")],
    aim: Annotated[
        list[str] | None, typer.Option(help="sensitivity=0.97 or specificity=0.9, at the lower 95 % bound; repeatable")
    ] = None,
    flag_at: Annotated[float | None, typer.Option(help="probability from which on the flag is pneumonia")] = None,
    clear_below: Annotated[float | None, typer.Option(help="probability below which the flag is clear")] = None,
    recalibrate: Annotated[bool, typer.Option(help="fit the probabilities to these reads, too")] = False,
    site_key: Annotated[
        Path | None, typer.Option(help="the site's key, where reads name films by raw DICOM identifiers")
    ] = None,
    trusted_key: Annotated[list[Path] | None, typer.Option(help="public key to trust besides; repeatable")] = None,
) -> None:
    """Choose a bundle's operating point anew on your own reads: the same network, one version higher, signed by you.

    A threshold that nothing was asked of stays. A picture of the choice is written beside the bundle.
    """
    from export.commands.set_thresholds import reoperate_bundle

    reoperate_bundle(
        bundle=bundle, results=results, reads=reads, key=key, out=out, aims=aim or [], flag_at=flag_at,
        clear_below=clear_below, recalibrate=recalibrate, site_key=site_key, trusted=trusted_key or [],
    )  # fmt: skip


@app.command(epilog=EPILOG)
def inspect(
    bundle: Annotated[Path, typer.Argument(help="a bundle, file or folder")],
    trusted_key: Annotated[list[Path] | None, typer.Option(help="public key to trust besides; repeatable")] = None,
    card: Annotated[bool, typer.Option(help="print the model card instead")] = False,
    html: Annotated[Path | None, typer.Option(help="write the model card with its pictures to this file")] = None,
) -> None:
    """Show what is in a bundle: signer, model, thresholds, figures, audit, parity."""
    from export.bundle.inspect import card_of, page_of
    from export.bundle.inspect import inspect as lines_of

    if html is not None:
        html.write_bytes(page_of(bundle))
        print(f"{html}: model card of {bundle}; open it in a browser")
    if card:
        print(card_of(bundle).decode(), end="")
    if card or html is not None:
        return
    for line in lines_of(bundle, trusted_key or []):
        print(line)


def main() -> None:
    """Entry point of `pneumoflag-export`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except Exception as error:  # the one broad catch: a person reads one line
        if os.environ.get("PNEUMOFLAG_TRACEBACK"):
            raise
        kinds = [kind.__name__ for kind in type(error).__mro__]
        usage = not FAILURES & set(kinds) and bool(USAGE_ERRORS & set(kinds))
        known = usage or bool(FAILURES & set(kinds))
        where = "" if known else f" ({kinds[0]}; PNEUMOFLAG_TRACEBACK=1 shows where)"
        typer.echo(f"pneumoflag-export: {error}{where}", err=True)
        raise SystemExit(2 if usage else 1) from None
