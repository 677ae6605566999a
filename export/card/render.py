"""Render the card: its content comes in; the model card, as Markdown and as an HTML page with pictures, goes out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from device.bundle.manifest import Metric
from export.bundle.writer import CARD, PAGE
from export.card.content import CardContent
from export.card.elements import (
    Section,
    Tile,
    figure_tile,
    percent,
    share_tile,
)
from export.card.sections import sections
from export.evaluation.operating_curve import complement
from export.evaluation.other_sources import EVERY_SOURCE, Flags
from metrics.estimates import Estimate

__all__ = ["CARD", "PAGE", "CardContent", "card_parts"]

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What both forms show."""

    title: str
    state: str
    description: str
    created: str
    uses: tuple[str, ...]
    not_uses: tuple[str, ...]
    tiles: tuple[Tile, ...]
    measured_on: str
    other_sources: tuple[str, ...]
    sections: tuple[Section, ...]


def card_parts(content: CardContent) -> dict[str, bytes]:
    """Return the card's files by name. The page loads nothing from elsewhere and can be printed."""
    model = content.model
    card = Card(
        title=f"{model.name} version {model.version}",
        state="released" if model.released else "a trial, not released",
        description=content.description,
        created=f"{model.created:%Y-%m-%d}",
        uses=_uses(content),
        not_uses=_not_uses(content),
        tiles=tuple(_tiles(content)),
        measured_on=model.measured_on,
        other_sources=tuple(_other_sources(content)),
        sections=tuple(sections(content)),
    )
    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"text": _html_text, "cell": _html_cell}
    plain = jinja2.Environment(loader=loader, autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701  Markdown
    plain.filters["cell"] = _markdown_cell
    return {
        CARD: plain.get_template(CARD).render(card=card, page=PAGE).encode(),
        PAGE: pages.get_template(PAGE).render(card=card).encode(),
    }


def _uses(content: CardContent) -> tuple[str, ...]:
    ages = content.model.ages
    aged = f"{ages.min_years} years or older"
    if ages.max_years is not None:
        aged = f"{ages.min_years} to {ages.max_years} years"
    return (
        content.model.intended_use,
        (
            f"It flags frontal chest images of patients aged {aged} as `pneumonia`, `review` or `clear` while the "
            "patient is still in the room. Its results are kept for comparison with vendor AI and with radiologists' "
            "reads."
        ),
        (
            "These ages are those of the population that the box is for. Whether the network was trained on them is "
            "stated under Training."
        ),
        *((f"Licence of the weights: {content.model.licence}",) if content.model.licence else ()),
    )


def _not_uses(content: CardContent) -> tuple[str, ...]:
    unfamiliar = (
        "Not for images unlike its training images. It refuses those that differ strongly, and may miss some."
        if content.model.outliers is not None
        else "Not for other pictures: it has no out-of-distribution check and returns a number for any picture."
    )
    return (
        "Not a diagnosis. No decision about a patient may rest on it. No image may wait unread because it is `clear`.",
        "Not for other findings: a `clear` image can show a nodule, a fracture or a pneumothorax.",
        unfamiliar,
        *((content.limits,) if content.limits else ()),
    )


def _tiles(content: CardContent) -> Iterator[Tile]:
    metrics, evaluation = content.model.metrics, content.evaluation
    yield share_tile(_interval(metrics["sensitivity_at_clear"]), "of pneumonia images are not `clear`")
    false_alarms = complement(_interval(metrics["specificity_at_flag"]))
    yield share_tile(false_alarms, "of normal images are flagged `pneumonia`: false alarms")
    yield share_tile(_interval(metrics["specificity_at_clear"]), "of normal images are `clear`")
    if evaluation is not None:
        review = evaluation.test.operating.review
        yield share_tile(
            review.share, f"of all images are in `review`, with {review.errors_inside} of {review.errors} errors"
        )
    yield figure_tile(_interval(metrics["roc_auc"]), "ROC AUC: how well the scores rank images, whatever the threshold")
    yield share_tile(
        _interval(metrics["balanced_accuracy"]), "balanced accuracy at one threshold; the study prints this as its AUC"
    )
    yield share_tile(_interval(metrics["accuracy"]), "accuracy at that threshold")
    if evaluation is not None and evaluation.test.refused is not None:
        yield share_tile(
            evaluation.test.refused, "of these images are refused as out of distribution: false alarms of that check"
        )


def _other_sources(content: CardContent) -> Iterator[str]:
    """Yield a line for every source beside those of the main figures: one hospital's figures say little of another."""
    further = () if content.evaluation is None else content.evaluation.further
    own = set(content.measured_sources or ())
    for images in further:
        for source, flags in images.flags.items():
            if images.name != EVERY_SOURCE or source not in own:
                yield f"{source or images.name}: {_flagged(flags)}."


def _flagged(flags: Flags) -> str:
    parts = []
    for label in ("normal", "pneumonia"):
        if total := sum(counts[label] for counts in flags.values()):
            flagged, cleared = (percent(flags[flag][label] / total) for flag in ("pneumonia", "clear"))
            parts.append(f"of {total} {label} images {flagged} are flagged `pneumonia` and {cleared} are `clear`")
    return "; ".join(parts)


def _interval(metric: Metric) -> Estimate | None:
    if metric.value is None or metric.low is None or metric.high is None:
        return None
    return Estimate(value=metric.value, low=metric.low, high=metric.high, method=metric.method)


def _html_text(text: str) -> Markup:
    """Escape, with `code` as such."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped just here


def _html_cell(text: str) -> Markup:
    """Escape too, with an interval in brackets on a line of its own."""
    return Markup(re.sub(r" (\([^()]* to [^()]*\))", r"<small>\1</small>", str(_html_text(text))))  # noqa: S704


def _markdown_cell(text: str) -> str:
    """Escape bars, which would otherwise end a cell."""
    return text.replace("|", "\\|").replace("\n", " ")
