"""Card plots: what one network, or two, said of films comes in; the study's figures, and two of trust, go out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.card.elements import Drawing, figure, percent
from export.card.svg import (
    FAINT,
    FOURTH,
    INK,
    OURS,
    THEIRS,
    THIRD,
    drawing,
    numbers,
    plain,
)
from export.evaluation.baseline import Side
from export.evaluation.curves import Taught
from export.evaluation.published import Published
from metrics.calibration import Reliability
from metrics.decision_curve import NetBenefit
from metrics.evaluation import Evaluation

COLOURS, MARKERS = (OURS, THEIRS), ("o", "s")
PUBLISHED = (("^", THIRD), ("D", FOURTH), ("v", FAINT))
SHORT = ("normal", "pneum.")


def roc_plot(sides: Sequence[Side], references: Sequence[Published]) -> Drawing:
    """Curves of one or two networks with their own points; the published points hollow, as of other films."""

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        axes.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=":")
        for side, colour, marker in zip(sides, COLOURS, MARKERS, strict=False):
            axes.plot(side.roc.false_positive, side.roc.true_positive, color=colour, lw=1.8)
            area = figure(side.figures.roc_auc)
            axes.plot(*side.roc.own, marker, color=colour, ms=7, mec="white", label=f"{side.name}, area {area}")
        for shown, (marker, colour) in zip(references, PUBLISHED, strict=False):
            place = 1 - _value(shown.figures, "specificity"), _value(shown.figures, "sensitivity")
            axes.plot(*place, marker, mfc="none", mec=colour, ms=7, mew=1.4, label=f"{shown.name}*")
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right")

    areas = "; ".join(f"{side.name} {figure(side.figures.roc_auc)}" for side in sides)
    return drawing(
        "roc", draw, size=(4.8, 4.8), alt=f"ROC curves; areas under them: {areas}",
        caption="ROC. Full markers: each network's own decision. *Hollow: published points on the study's own films, "
        "which are not these; they show the scale and prove nothing.",
    )  # fmt: skip


def _value(found: Evaluation, name: str) -> float:
    return float(getattr(found, name).value)


def confusion_plot(sides: Sequence[Side], references: Sequence[Published]) -> Drawing:
    """Tables of film counts with the shares of each row; the published ones below, grey, as of other films."""

    def draw(canvas: Figure) -> None:
        above, below = canvas.subfigures(2, 1, squeeze=False, height_ratios=(1.35, 1))[:, 0]
        for axes, side in zip(above.subplots(1, len(sides), squeeze=False)[0], sides, strict=True):
            _confusion(axes, side.figures, side.name, "Blues", 14)
        grid = below.subplots(1, len(references), squeeze=False)[0]
        for axes, shown in zip(grid, references, strict=True):
            _confusion(axes, shown.figures, f"{shown.name}*", "Greys", 10)

    words = "; ".join(
        f"{s.name}: of {s.figures.tn + s.figures.fp} normal films {s.figures.fp} called pneumonia, of "
        f"{s.figures.fn + s.figures.tp} pneumonia films {s.figures.fn} called normal"
        for s in sides
    )
    return drawing(
        "confusion", draw, size=(4.8, 4.8), alt=f"Confusion matrices. {words}",
        caption="Confusion matrices at each network's own decision: rows are labels, columns what was called; films "
        "and share of the row. *Grey: as published, on the study's own films.",
    )  # fmt: skip


def _confusion(axes: Axes, found: Evaluation, title: str, colours: str, size: float) -> None:
    table = np.array([[found.tn, found.fp], [found.fn, found.tp]])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1.15, edgecolors="white", linewidth=2)
    for (row, column), count in np.ndenumerate(table):
        look: dict[str, Any] = {"ha": "center", "va": "center", "color": "white" if shares[row, column] > 0.6 else INK}
        axes.text(column + 0.5, row + 0.4, str(count), fontsize=size, **look)
        axes.text(column + 0.5, row + 0.72, percent(float(shares[row, column])), fontsize=0.62 * size, **look)
    axes.set_title(title, fontsize=9 if size > 12 else 8)
    axes.set(xticks=(0.5, 1.5), yticks=(0.5, 1.5), aspect="equal")
    axes.set_xticklabels(SHORT, fontsize=0.6 * size)
    axes.set_yticklabels(SHORT, rotation=90, va="center", fontsize=0.6 * size)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def training_plot(sides: Sequence[Side]) -> Drawing | None:
    """Accuracy and loss by batch, a thin line a seed and their mean thick; None where nobody learnt batch by batch."""
    if not any(side.training for side in sides):
        return None

    def draw(canvas: Figure) -> None:
        grid = canvas.subplots(2, len(sides), squeeze=False).T
        for (accuracy, loss), side, colour in zip(grid, sides, COLOURS, strict=False):
            accuracy.set_title(side.name)
            if not side.training:
                _fitted_at_once(accuracy, loss)
                continue
            _history(accuracy, side.training, [[100 * v for v in seed.accuracy] for seed in side.training], colour)
            _history(loss, side.training, [list(seed.loss) for seed in side.training], colour)
            accuracy.set(ylabel="accuracy, %", ylim=(0, 102))
            loss.set(ylabel="loss", yscale="log", xlabel="batch")

    return drawing(
        "training", draw, size=(9.2, 4.2), wide=True,
        alt=f"Training accuracy and loss by batch of {' and '.join(side.name for side in sides)}",
        caption="Training: accuracy and loss of the batches; thin lines are seeds, the thick one their mean.",
    )  # fmt: skip


def _fitted_at_once(above: Axes, below: Axes) -> None:
    above.text(0.5, 0, "no batches:\na rule over fixed features, fitted at once", ha="center", va="center", color=FAINT)
    for axes in (above, below):
        axes.set_axis_off()


def _history(axes: Axes, training: Sequence[Taught], values: Sequence[Sequence[float]], colour: str) -> None:
    for seed, line in zip(training, values, strict=True):
        plain(axes).plot(seed.batches, line, color=colour, alpha=0.3, lw=0.7)
    shortest = min(len(line) for line in values)
    mean = np.mean([line[:shortest] for line in values], axis=0)
    axes.plot(training[0].batches[:shortest], mean, color=colour, lw=1.8)


def reliability_plot(found: Reliability) -> Drawing:
    """The share of pneumonia among films of like probability, with its interval; films a bin as bars below."""

    def draw(canvas: Figure) -> None:
        above, below = (plain(axes) for axes in canvas.subplots(2, 1, sharex=True, height_ratios=(4, 1)))
        above.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=":")
        for place in found.bins:
            above.plot([place.probability] * 2, numbers([place.observed], "low", "high"), color=OURS, lw=1.4)
        means = [place.probability for place in found.bins]
        above.plot(
            means, numbers([place.observed for place in found.bins], "value"), "o-", color=OURS, lw=1, ms=5, mec="white"
        )
        above.set(ylabel="share with pneumonia", ylim=(-0.03, 1.03))
        widths = [place.high - place.low for place in found.bins]
        below.bar(
            [place.low for place in found.bins],
            [place.n for place in found.bins],
            widths,
            align="edge",
            color="#9aa6b1",
        )
        below.set(xlim=(0, 1), xlabel="probability", ylabel="films")

    return drawing(
        "reliability", draw, size=(4.6, 4.8), alt=f"Reliability diagram; ECE {figure(found.ece)}",
        caption="Reliability: of films with like probability, the share that has pneumonia; on the dotted line "
        "probabilities are true. Below, films by probability.",
    )  # fmt: skip


def benefit_plot(rows: Sequence[NetBenefit]) -> Drawing:
    """Net benefit by threshold, with its interval, against acting on every film and on none."""

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        grid = [row.threshold for row in rows]
        models = [row.model for row in rows]
        axes.fill_between(grid, numbers(models, "low"), numbers(models, "high"), color=OURS, alpha=0.18, lw=0)
        axes.plot(grid, numbers(models, "value"), color=OURS, lw=1.8, label="this network")
        axes.plot(grid, [row.act_on_all for row in rows], color=THEIRS, lw=1.4, ls="--", label="acting on every film")
        axes.axhline(0, color=FAINT, lw=1.2, ls=":", label="acting on none")
        top = max(row.act_on_all for row in rows)
        axes.set(xlim=(0, 1), ylim=(-0.25 * abs(top) - 0.02, 1.15 * abs(top)), ylabel="net benefit, found per film")
        axes.set_xlabel("threshold probability")
        axes.legend(loc="lower left")

    return drawing(
        "benefit", draw, size=(4.6, 4.8), alt="Decision curve: net benefit by threshold probability",
        caption="Decision curve (Vickers and Elkin): pneumonias found per film, less false alarms at the price the "
        "threshold sets. Useful where the blue line, with its interval, is above both others.",
    )  # fmt: skip
