"""The commands `fit` and `report`: train the networks of a recipe with progress on the screen, and report a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress, TaskID

from console.progress import progress_bars
from train.data.dataset import LabelledImages, Loaded, load
from train.data.images import rejected_images
from train.fitting.history import Step
from train.fitting.released_network import released_classifier
from train.fitting.tensorboard import event_log
from train.fitting.train_network import count_steps
from train.recipe import DataSection, Recipe, StudyNetwork, find_recipe, load_recipe
from train.run.records import DataRecord
from train.run.report import report, table
from train.run.run_folder import seed_folder
from train.run.shift import read_shift, shift_report, shift_table, write_shift
from train.run.training import has_average, start_run, train_seed, write_average

STEPS_BETWEEN_LINES = 56


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The options of `fit`. `population` is "" for a recipe without populations; no `seeds`: the recipe's.

    Images of `without_sources` are left out of every part. Event files go into `tensorboard`/RUN/seed-N, so that runs
    can share the folder.
    """

    recipe: str
    manifest: Path
    images: Path
    out: Path
    population: str = ""
    seeds: tuple[int, ...] = ()
    without_sources: tuple[str, ...] = ()
    resume: bool = False
    start: Path | None = None
    reject: Path | None = None
    shift: bool = True
    tensorboard: Path | None = None

    @property
    def settings(self) -> Recipe:
        """The recipe for the population and seeds. Raises RecipeError."""
        recipe = load_recipe(find_recipe(self.recipe))
        recipe = recipe.of_population(self.population) if self.population else recipe
        return Recipe.model_validate({**recipe.model_dump(), "seeds": self.seeds}) if self.seeds else recipe


def fit_all(task: Task) -> None:
    """Train every seed of a recipe and report. Raises RecipeError, ManifestError, RunError before any training."""
    settings = task.settings
    with progress_bars() as progress:
        loaded = _load(progress, settings.data, task)
        data = DataRecord.of(loaded.parts, task.images, without_sources=task.without_sources, left_out=loaded.left_out)
        finished = start_run(task.out, settings, loaded.parts, data, resume=task.resume)
        _train_all(progress, settings, loaded.parts, task, finished)
        _average(progress, settings, loaded.parts, task)
        _shift(progress, settings, loaded.parts, task)
    report_run(task.out)


def report_run(run: Path) -> None:
    """Write and print the report of a run. Raises RunError."""
    summary = report(run)
    print(table(summary), end="")
    if shifted := shift_table(read_shift(run)):
        print(f"\nHow the recipe holds on images of other making than its training images:\n\n{shifted}", end="")
    print(f"Measures of the test images, with 95 % intervals. Figures: {run / 'figures'}")


def _load(progress: Progress, section: DataSection, task: Task) -> Loaded:
    bar = progress.add_task("reading images", total=None)
    loaded = load(
        task.manifest,
        task.images,
        section,
        without_sources=task.without_sources,
        on_image=lambda done, of: progress.update(bar, completed=done, total=of),
    )
    progress.update(bar, text=", ".join(f"{part} {len(images)}" for part, images in loaded.parts.items()))
    for reason, count in loaded.left_out.items():
        progress.console.print(f"left out, {reason}: {count} images", markup=False)
    return loaded


def _train_all(
    progress: Progress, recipe: Recipe, parts: Mapping[str, LabelledImages], task: Task, finished: tuple[int, ...]
) -> None:
    steps, left = count_steps(recipe, parts), [seed for seed in recipe.seeds if seed not in finished]
    start = None if task.start is None else released_classifier(task.start, recipe)
    rejected = rejected_images(task.reject)
    bar = progress.add_task("training", total=steps * len(left))
    for index, seed in enumerate(left):
        show, events = _step_display(progress, bar, seed, index * steps), task.tensorboard
        with event_log(None if events is None else seed_folder(events / task.out.resolve().name, seed)) as log:
            train_seed(task.out, recipe, parts, seed, start=start, rejected=rejected, on_step=_both(show, log))
        if not progress.console.is_terminal:
            progress.console.print(f"seed {seed}: written to {seed_folder(task.out, seed)}")


def _average(progress: Progress, recipe: Recipe, parts: Mapping[str, LabelledImages], task: Task) -> None:
    if has_average(recipe):
        progress.add_task("mean of all seeds", total=None)
        write_average(task.out, recipe, parts, rejected_images(task.reject))


def _shift(progress: Progress, recipe: Recipe, parts: Mapping[str, LabelledImages], task: Task) -> None:
    if not task.shift or isinstance(recipe.network, StudyNetwork) or read_shift(task.out):
        return
    bar = progress.add_task("leaving sources out", total=count_steps(recipe, parts) * len(recipe.shift.leave_out))
    show = _step_display(progress, bar, recipe.seeds[0], 0)
    write_shift(task.out, shift_report(task.out, recipe, parts, on_step=show))


def _both(first: Callable[[Step], None], second: Callable[[Step], None]) -> Callable[[Step], None]:
    def call_both(step: Step) -> None:
        first(step)
        second(step)

    return call_both


def _step_display(progress: Progress, task: TaskID, seed: int, before: int) -> Callable[[Step], None]:
    def show(step: Step) -> None:
        text = f"seed {seed} epoch {step.epoch} loss {step.loss:.3f} accuracy {step.accuracy:.1%}"
        progress.update(task, completed=before + step.done, text=text)
        if not progress.console.is_terminal and step.done % STEPS_BETWEEN_LINES == 0:
            progress.console.print(f"{text} ({step.done}/{step.steps})")

    return show
