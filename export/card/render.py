"""Card: all that is known of a bundle comes in; its model card, as Markdown and as a page with pictures, goes out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from export.bundle.inspect import CARD, PAGE
from export.card.content import Story
from export.card.elements import (
    Section,
    Tile,
    figure_tile,
    percent,
    share_tile,
)
from export.card.sections import sections
from export.evaluation.evaluation import EVERY_SOURCE, Flags
from export.evaluation.operating_curve import complement
from metrics.estimates import Estimate

__all__ = ["CARD", "PAGE", "Story", "card_parts"]

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
    elsewhere: tuple[str, ...]
    sections: tuple[Section, ...]


def card_parts(story: Story) -> dict[str, bytes]:
    """The parts of a bundle that people read. The page needs nothing from elsewhere and prints."""
    facts = story.facts
    card = Card(
        title=f"{facts['name']} version {facts['version']}",
        state="released" if facts["released"] else "a trial, not released",
        description=story.recipe.description, created=f"{facts['created']:%Y-%m-%d}",
        uses=_uses(story), not_uses=_not_uses(story), tiles=tuple(_tiles(story)),
        measured_on=str(facts["measured_on"]), elsewhere=tuple(_elsewhere(story)), sections=tuple(sections(story)),
    )  # fmt: skip
    loader = jinja2.FileSystemLoader(TEMPLATES)
    pages = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"words": _html_words, "cell": _html_cell}
    plain = jinja2.Environment(loader=loader, autoescape=False, trim_blocks=True, lstrip_blocks=True)  # noqa: S701  Markdown
    plain.filters["cell"] = _cell
    return {
        CARD: plain.get_template(CARD).render(card=card, page=PAGE).encode(),
        PAGE: pages.get_template(PAGE).render(card=card).encode(),
    }


def _uses(story: Story) -> tuple[str, ...]:
    return (
        story.facts["intended_use"],
        (f"It marks frontal chest films of {_ages(story.facts['ages'])} as `pneumonia`, `review` or `clear` while the "
        "patient is still in the room, and keeps what it said, to be compared with vendors' AI and with reads."),
        ("The ages are those of the population that the box is for; it does not follow that the network was trained on "
        "them: see Training."),
    )  # fmt: skip


def _ages(ages: Mapping[str, Any]) -> str:
    oldest = "" if ages["max_years"] is None else f" to {ages['max_years']}"
    return f"patients from {ages['min_years']}{oldest} years"


def _not_uses(story: Story) -> tuple[str, ...]:
    unknown = (
        "Not for pictures unlike those it learnt. It refuses what lies far from them, and may miss some."
        if story.facts["outliers"] is not None
        else "Not for other pictures: it has no out-of-distribution check and answers anything with a number."
    )
    limits = story.recipe.release.limits
    return (
        "Not a diagnosis. No decision on a patient may rest on it, and no film may wait unread because it is `clear`.",
        "Not for other findings: a `clear` film can show a nodule, a fracture, or air where none should be.",
        unknown,
        *((limits,) if limits else ()),
    )


def _tiles(story: Story) -> Iterator[Tile]:
    metrics, found = story.facts["metrics"], story.evaluation
    yield share_tile(_interval(metrics, "sensitivity_at_clear"), "of pneumonia films are not called clear")
    alarms = complement(_interval(metrics, "specificity_at_flag"))
    yield share_tile(alarms, "of normal films are flagged pneumonia: false alarms")
    yield share_tile(_interval(metrics, "specificity_at_clear"), "of normal films are called clear")
    if found is not None:
        review = found.test.operating.review
        words = (
            f"of all films are left to review, with {review.errors_inside} of {review.errors} wrong calls among them"
        )
        yield share_tile(review.share, words)
    yield figure_tile(_interval(metrics, "roc_auc"), "ROC AUC: how well scores order films, at any threshold")
    yield share_tile(
        _interval(metrics, "balanced_accuracy"), "balanced accuracy at one threshold; the study prints this as its AUC"
    )
    yield share_tile(_interval(metrics, "accuracy"), "accuracy at that threshold")
    if found is not None and found.test.refused is not None:
        yield share_tile(found.test.refused, "of these films are refused as unlike those it knows: false alarms")


def _elsewhere(story: Story) -> Iterator[str]:
    """A line for every source beside those of the main figures: figures of one hospital say little of another."""
    beside = () if story.evaluation is None else story.evaluation.elsewhere
    own = set(story.recipe.data.label_sources or ())
    for part in beside:
        for source, flags in part.flags.items():
            if part.name != EVERY_SOURCE or source not in own:
                yield f"{source or part.name}: {_flagged(flags)}."


def _flagged(flags: Flags) -> str:
    said = []
    for label in ("normal", "pneumonia"):
        if of := sum(counts[label] for counts in flags.values()):
            flagged, cleared = (percent(flags[flag][label] / of) for flag in ("pneumonia", "clear"))
            said.append(f"of {of} {label} films {flagged} are flagged `pneumonia` and {cleared} are `clear`")
    return "; ".join(said)


def _interval(metrics: Mapping[str, Any], name: str) -> Estimate | None:
    metric = metrics[name]
    return None if metric["value"] is None else Estimate(**metric)


def _html_words(text: str) -> Markup:
    """Escaped, with `code` as such."""
    return Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped just here


def _html_cell(text: str) -> Markup:
    """The same, with an interval in brackets on a line of its own."""
    return Markup(re.sub(r" (\([^()]* to [^()]*\))", r"<small>\1</small>", str(_html_words(text))))  # noqa: S704


def _cell(text: str) -> str:
    """A bar in a word is none of the table's."""
    return text.replace("|", "\\|").replace("\n", " ")
