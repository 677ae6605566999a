"""Card measured: an evaluation comes in; the sections of a model card that show what was measured go out."""

from __future__ import annotations

from collections.abc import Iterator

from export.card import tables
from export.card.elements import (
    Section,
    change,
    figure,
    p_value,
    percent,
    share,
)
from export.card.forest_plots import group_plot, stress_plot
from export.card.plots import (
    benefit_plot,
    confusion_plot,
    reliability_plot,
    roc_plot,
    training_plot,
)
from export.evaluation.baseline import Side, Versus
from export.evaluation.evaluation import Elsewhere, Evaluation, Measured
from export.evaluation.occlusion import Occlusion
from export.evaluation.published import WHERE, published
from export.evaluation.sampled_robustness import Stress
from train.data.table import Table

PINNED = (
    "`pinned` is `platt` with one half moved to the score that reaches the sensitivity asked for, so that a film "
    "from there up reads one half or more. What that costs in calibration is the difference between the two lines."
)


def measured_sections(found: Evaluation) -> Iterator[Section]:
    """In the order of the page."""
    yield _decisions(found.test.ours if found.versus is None else found.versus.ours, found.versus)
    yield _trust(found.test)
    yield Section(
        title="Groups of films",
        before=("Sensitivity and specificity are of the network's own decision: at one threshold, without review.",),
        drawings=tuple(filter(None, (group_plot(found.test.groups),))),
        tables=(tables.groups_table("", found.test.groups),),
    )
    if found.elsewhere or found.separation:
        yield _elsewhere(found)
    yield _stress(found.stress)
    if found.occlusion is not None:
        yield _occlusion(found.occlusion)


def review_words(test: Measured) -> str:
    """What lies between the thresholds."""
    review = test.operating.review
    errors = f"{review.errors_inside} of {review.errors} wrong calls, {share(review.share_of_errors)}, lie in it"
    return (
        f"Review holds {review.inside} of {review.films} test films, {share(review.share)}; "
        f"{errors if review.errors else 'no film is called wrongly'}. A call is wrong where the flag is; in review, "
        "where probability one half is."
    )


def _decisions(ours: Side, against: Versus | None) -> Section:
    sides = (ours,) if against is None else (ours, against.theirs)
    drawings = (roc_plot(sides, published()), confusion_plot(sides, published()), training_plot(sides))
    shown = tables.counts_table("Beside what the study printed", tables.beside(sides, published()))
    note = f"The published lines are of {WHERE}: they show the scale and are no comparison."
    if against is None:
        return Section(
            title="Decisions and training", drawings=tuple(filter(None, drawings)), tables=(shown,), after=(note,)
        )
    return Section(
        title=f"Against {against.theirs.name}", before=_against(against), drawings=tuple(filter(None, drawings)),
        tables=(tables.paired_table(against), shown), after=(note,),
    )  # fmt: skip


def _against(found: Versus) -> tuple[str, ...]:
    left = f" {found.left_out} of our test films are not among the other's and are left out here." * bool(
        found.left_out
    )
    auc = "" if found.auc is None else (
        f" ROC AUC differs by {change(found.auc)}, {p_value(found.auc.p)} (DeLong)."
    )  # fmt: skip
    return (
        (
            f"The same {found.films} test films, {found.normal} normal and {found.pneumonia} pneumonia, that neither "
            f"trained on, film by film: {found.ours.name} in {found.ours.form}, against {found.theirs.name} in "
            f"{found.theirs.form}.{left}"
        ),
        (
            f"Balanced accuracy differs by {change(found.balanced_accuracy)}; right alone are {found.ours.name} on "
            f"{found.mcnemar.only_first} films and {found.theirs.name} on {found.mcnemar.only_second}, "
            f"{p_value(found.mcnemar.p_mid)} (McNemar, mid-p).{auc}"
        ),
    )


def _trust(test: Measured) -> Section:
    found = test.reliability
    mixed = "their own" if test.prevalence is None else percent(test.prevalence)
    return Section(
        title="How far a probability may be believed",
        before=(
            (
                f"Of these films {percent(found.prevalence)} show pneumonia; probabilities refer to {mixed}. So many "
                f"films show an expected calibration error of {figure(found.ece_if_perfect)} by chance alone."
            ),
        ),
        drawings=(reliability_plot(found), benefit_plot(test.net_benefit)),
        tables=(tables.reliability_table(found), tables.calibrations_table(test.calibrations)),
        after=(PINNED,) if any(row.method == "pinned" for row in test.calibrations) else (),
    )


def _elsewhere(found: Evaluation) -> Section:
    shown = [table for beside in found.elsewhere for table in _of(beside)]
    separated = (tables.separation_table(found.separation),) if found.separation else ()
    return Section(
        title="Films of other sources",
        before=(
            (
                "Never pooled with the films above. A source of one label tells nothing of skill: who knows the "
                "source knows the label. Where the score tells sources of one label apart, it has learnt the source. "
                "In a table of several sources, groups by tier, view, sex and age mix them."
            ),
        ),
        tables=(*shown, *separated),
    )


def _of(beside: Elsewhere) -> list[Table]:
    named = {source or beside.name: flags for source, flags in beside.flags.items()}
    return [tables.groups_table(beside.name, beside.groups), tables.source_flags_table(beside.name, named)]


def _stress(found: Stress) -> Section:
    drawn = f"{found.normal} normal and {found.pneumonia} pneumonia films"
    how = "all test films" if found.normal + found.pneumonia == found.of else f"drawn by a fixed seed from {found.of}"
    return Section(
        title="Worse exposures",
        before=(
            (f"Judged by the box's own code on {drawn}, {how}, as twelve faults would have made them. Films that the "
            "outlier rule would refuse still count, but in their own column."),
        ),
        drawings=(stress_plot(found.rows),), tables=(tables.stress_table(found),),
    )  # fmt: skip


def _occlusion(found: Occlusion) -> Section:
    return Section(
        title="Where the score comes from",
        before=(
            (
                f"The board shows each position's share of the score. Tested on {found.n} pneumonia films that were "
                "called so: hiding the tenth of the film that the map shows brightest must lower the score more than "
                f"hiding as much elsewhere. It did in {percent(found.more_often)} of the films, "
                f"{p_value(found.p_value)} (Wilcoxon, one-sided). That says where the score comes from, not that "
                "pneumonia is there."
            ),
        ),
        tables=(tables.occlusion_table(found),),
    )
