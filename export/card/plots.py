"""Card plots: figures of one network, or two, come in; ROC, confusion, training and calibration plots go out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from export.card.elements import Drawing, figure, percent
from export.card.svg import (
    BASELINE,
    FAINT,
    FOURTH,
    INK,
    MODEL,
    THIRD,
    drawing,
    numbers,
    plain,
)
from export.evaluation.baseline import SystemFigures
from export.evaluation.curves import TrainingCurve
from export.evaluation.published import Published
from metrics.calibration import Reliability
from metrics.decision_curve import NetBenefit
from metrics.evaluation import Evaluation

COLOURS, MARKERS = (MODEL, BASELINE), ("o", "s")
PUBLISHED = (("^", THIRD), ("D", FOURTH), ("v", FAINT))
SHORT = ("normal", "pneum.")


def roc_plot(systems: Sequence[SystemFigures], references: Sequence[Published]) -> Drawing:
    """Draw the curves of one or two networks with their own points; the published points are hollow."""

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        axes.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=":")
        for system, colour, marker in zip(systems, COLOURS, MARKERS, strict=False):
            axes.plot(system.roc.false_positive, system.roc.true_positive, color=colour, lw=1.8)
            area = figure(system.figures.roc_auc)
            axes.plot(*system.roc.own, marker, color=colour, ms=7, mec="white", label=f"{system.name}, area {area}")
        for reference, (marker, colour) in zip(references, PUBLISHED, strict=False):
            place = 1 - _value(reference.figures, "specificity"), _value(reference.figures, "sensitivity")
            axes.plot(*place, marker, mfc="none", mec=colour, ms=7, mew=1.4, label=f"{reference.name}*")
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.legend(loc="lower right")

    areas = "; ".join(f"{system.name} {figure(system.figures.roc_auc)}" for system in systems)
    return drawing(
        "roc",
        draw,
        size=(4.8, 4.8),
        alt=f"ROC curves; areas under them: {areas}",
        caption="ROC curves. Filled markers: each network's own decision. *Hollow markers: as published, on the "
        "study's own images. They are other images, so this shows the scale and is no comparison.",
    )


def _value(figures: Evaluation, name: str) -> float:
    return float(getattr(figures, name).value)


def confusion_plot(systems: Sequence[SystemFigures], references: Sequence[Published]) -> Drawing:
    """Draw tables of image counts with the shares of each row; the published ones below in grey."""

    def draw(canvas: Figure) -> None:
        above, below = canvas.subfigures(2, 1, squeeze=False, height_ratios=(1.35, 1))[:, 0]
        for axes, system in zip(above.subplots(1, len(systems), squeeze=False)[0], systems, strict=True):
            _confusion(axes, system.figures, system.name, "Blues", 14)
        grid = below.subplots(1, len(references), squeeze=False)[0]
        for axes, reference in zip(grid, references, strict=True):
            _confusion(axes, reference.figures, f"{reference.name}*", "Greys", 10)

    errors = "; ".join(
        f"{s.name}: {s.figures.fp} of {s.figures.tn + s.figures.fp} normal images are false positives, "
        f"{s.figures.fn} of {s.figures.fn + s.figures.tp} pneumonia images are false negatives"
        for s in systems
    )
    return drawing(
        "confusion",
        draw,
        size=(4.8, 4.8),
        alt=f"Confusion matrices. {errors}",
        caption="Confusion matrices at each network's own decision. Rows are labels, columns decisions; each cell has "
        "the number of images and its share of the row. *Grey: as published, on the study's own images.",
    )


def _confusion(axes: Axes, figures: Evaluation, title: str, colours: str, size: float) -> None:
    table = np.array([[figures.tn, figures.fp], [figures.fn, figures.tp]])
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=1.15, edgecolors="white", linewidth=2)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if shares[row, column] > 0.6 else INK
        share = percent(float(shares[row, column]))
        for text, offset, points in ((str(count), 0.4, size), (share, 0.72, 0.62 * size)):
            axes.text(column + 0.5, row + offset, text, fontsize=points, ha="center", va="center", color=colour)
    axes.set_title(title, fontsize=9 if size > 12 else 8)
    axes.set(xticks=(0.5, 1.5), yticks=(0.5, 1.5), aspect="equal")
    axes.set_xticklabels(SHORT, fontsize=0.6 * size)
    axes.set_yticklabels(SHORT, rotation=90, va="center", fontsize=0.6 * size)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def training_plot(systems: Sequence[SystemFigures]) -> Drawing | None:
    """Draw accuracy and loss by batch: seeds thin, their mean thick; None where nothing was trained batch by batch."""
    if not any(system.training for system in systems):
        return None

    def draw(canvas: Figure) -> None:
        grid = canvas.subplots(2, len(systems), squeeze=False).T
        for (accuracy, loss), system, colour in zip(grid, systems, COLOURS, strict=False):
            accuracy.set_title(system.name)
            if not system.training:
                _fitted_in_one_step(accuracy, loss)
                continue
            _history(accuracy, system.training, [[100 * v for v in seed.accuracy] for seed in system.training], colour)
            _history(loss, system.training, [list(seed.loss) for seed in system.training], colour)
            accuracy.set(ylabel="accuracy, %", ylim=(0, 102))
            loss.set(ylabel="loss", yscale="log", xlabel="batch")

    return drawing(
        "training",
        draw,
        size=(9.2, 4.2),
        wide=True,
        alt=f"Training accuracy and loss by batch of {' and '.join(system.name for system in systems)}",
        caption="Training: accuracy and loss by batch. Thin lines are seeds, the thick line is their mean.",
    )


def _fitted_in_one_step(above: Axes, below: Axes) -> None:
    text = "no batches:\na linear probe on fixed features, fitted in one step"
    above.text(0.5, 0, text, ha="center", va="center", color=FAINT)
    for axes in (above, below):
        axes.set_axis_off()


def _history(axes: Axes, training: Sequence[TrainingCurve], values: Sequence[Sequence[float]], colour: str) -> None:
    for seed, line in zip(training, values, strict=True):
        plain(axes).plot(seed.batches, line, color=colour, alpha=0.3, lw=0.7)
    shortest = min(len(line) for line in values)
    mean = np.mean([line[:shortest] for line in values], axis=0)
    axes.plot(training[0].batches[:shortest], mean, color=colour, lw=1.8)


def reliability_plot(curve: Reliability) -> Drawing:
    """Draw the share of pneumonia by probability, with its interval; the images per bin are bars below."""

    def draw(canvas: Figure) -> None:
        above, below = (plain(axes) for axes in canvas.subplots(2, 1, sharex=True, height_ratios=(4, 1)))
        above.plot([0, 1], [0, 1], color=FAINT, lw=0.8, ls=":")
        for bin_ in curve.bins:
            above.plot([bin_.probability] * 2, numbers([bin_.observed], "low", "high"), color=MODEL, lw=1.4)
        means = [bin_.probability for bin_ in curve.bins]
        above.plot(
            means, numbers([bin_.observed for bin_ in curve.bins], "value"), "o-", color=MODEL, lw=1, ms=5, mec="white"
        )
        above.set(ylabel="share with pneumonia", ylim=(-0.03, 1.03))
        widths = [bin_.high - bin_.low for bin_ in curve.bins]
        counts = [bin_.n for bin_ in curve.bins]
        below.bar([bin_.low for bin_ in curve.bins], counts, widths, align="edge", color="#9aa6b1")
        below.set(xlim=(0, 1), xlabel="probability", ylabel="images")

    return drawing(
        "reliability",
        draw,
        size=(4.6, 4.8),
        alt=f"Reliability diagram; ECE {figure(curve.ece)}",
        caption="Reliability: the share of pneumonia among images of similar probability, with 95 % intervals. On the "
        "dotted line probabilities are perfectly calibrated. Below: the number of images by probability.",
    )


def benefit_plot(rows: Sequence[NetBenefit]) -> Drawing:
    """Draw net benefit by threshold, with its interval, beside acting on every image and on none."""

    def draw(canvas: Figure) -> None:
        axes = plain(canvas.subplots())
        grid = [row.threshold for row in rows]
        models = [row.model for row in rows]
        axes.fill_between(grid, numbers(models, "low"), numbers(models, "high"), color=MODEL, alpha=0.18, lw=0)
        axes.plot(grid, numbers(models, "value"), color=MODEL, lw=1.8, label="this network")
        axes.plot(
            grid, [row.act_on_all for row in rows], color=BASELINE, lw=1.4, ls="--", label="acting on every image"
        )
        axes.axhline(0, color=FAINT, lw=1.2, ls=":", label="acting on none")
        top = max(row.act_on_all for row in rows)
        axes.set(xlim=(0, 1), ylim=(-0.25 * abs(top) - 0.02, 1.15 * abs(top)), ylabel="net benefit per image")
        axes.set_xlabel("threshold probability")
        axes.legend(loc="lower left")

    return drawing(
        "benefit",
        draw,
        size=(4.6, 4.8),
        alt="Decision curve: net benefit by threshold probability",
        caption="Decision curve (Vickers and Elkin 2006): true positives per image, minus false positives weighted by "
        "the odds of the threshold. The network is useful where the blue line and its interval lie above both others.",
    )
