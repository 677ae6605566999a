"""Work: the options of a command come in; progress on the screen and a run's folder go out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from train.data import Films, load_films
from train.fit import Step, steps_per_epoch
from train.recipe import Recipe, find_recipe, load_recipe
from train.report import report, table
from train.run import seed_folder, start_run, train_seed

STEPS_BETWEEN_LINES = 56


def fit_all(*, recipe: str, manifest: Path, images: Path, out: Path, seeds: tuple[int, ...]) -> None:
    """Train every seed of a recipe and report. Raises RecipeError, ManifestError, RunError before any training."""
    console = Console(stderr=True)
    settings = load_recipe(find_recipe(recipe))
    if seeds:
        settings = Recipe.model_validate({**settings.model_dump(), "seeds": seeds})
    with _progress(console) as progress:
        films = _load(progress, settings, manifest, images)
        start_run(out, settings, films, images=images)
        _train_all(progress, settings, films, out)
    report_run(out)


def report_run(run: Path) -> None:
    """Write and print the report of a run."""
    summary = report(run)
    print(table(summary), end="")
    print(f"mean and standard deviation of {len(summary['seeds'])} seed(s); figures in {run / 'figures'}")


def _load(progress: Progress, recipe: Recipe, manifest: Path, images: Path) -> Mapping[str, Films]:
    task = progress.add_task("reading films", total=None, words="")
    films = load_films(
        manifest, images, recipe.data, on_film=lambda done, of: progress.update(task, completed=done, total=of)
    )
    words = ", ".join(f"{part} {len(found)}" for part, found in films.items())
    progress.update(task, words=words)
    return films


def _train_all(progress: Progress, recipe: Recipe, films: Mapping[str, Films], out: Path) -> None:
    steps = recipe.epochs * steps_per_epoch(recipe, len(films["train"]))
    task = progress.add_task("training", total=steps * len(recipe.seeds), words="")
    for index, seed in enumerate(recipe.seeds):
        show = _shower(progress, task, recipe, seed, index * steps)
        train_seed(out, recipe, films, seed, on_step=show)
        if not progress.console.is_terminal:
            progress.console.print(f"seed {seed}: written to {seed_folder(out, seed)}")


def _shower(progress: Progress, task: object, recipe: Recipe, seed: int, before: int) -> Callable[[Step], None]:
    def show(step: Step) -> None:
        words = f"seed {seed} epoch {step.epoch}/{recipe.epochs} loss {step.loss:.3f} accuracy {step.accuracy:.1%}"
        progress.update(task, completed=before + step.done, words=words)  # type: ignore[arg-type]
        if not progress.console.is_terminal and step.done % STEPS_BETWEEN_LINES == 0:
            progress.console.print(f"{words} ({step.done}/{step.steps})")

    return show


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("{task.fields[words]}"), console=console, disable=not console.is_terminal,
    )  # fmt: skip
