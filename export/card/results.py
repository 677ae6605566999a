"""Card results: an evaluation comes in; the sections of a model card that show what was measured go out."""

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
from export.card.forest_plots import group_plot, robustness_plot
from export.card.plots import (
    benefit_plot,
    confusion_plot,
    reliability_plot,
    roc_plot,
    training_plot,
)
from export.evaluation.baseline import BaselineComparison
from export.evaluation.evaluation import Evaluation, HeldOutFigures
from export.evaluation.occlusion import Occlusion
from export.evaluation.published import WHERE, published
from export.evaluation.sampled_robustness import SampledRobustness
from train.data.table import Table

PINNED = (
    "`pinned` is `platt` with probability 0.5 pinned at the operating point, the score that reaches the required "
    "sensitivity. An image with at least that score has a probability of at least 0.5. What this costs in calibration "
    "is the difference between the rows of `platt` and `pinned`."
)
GROUPS = "Sensitivity and specificity are those of the network's own decision: one threshold, without review."
FURTHER = (
    "These images are never pooled with those above.",
    (
        "Accuracy on a source with a single label says nothing about skill: a network that recognizes the source knows "
        "the label. A score that separates two sources of the same label depends on the source. In a table of several "
        "sources, the groups by tier, view, sex and age mix them."
    ),
)


def measured_sections(evaluation: Evaluation) -> Iterator[Section]:
    """Yield the sections in the order of the page."""
    yield _decisions(evaluation)
    yield _calibration(evaluation.test)
    groups = group_plot(evaluation.test.groups)
    yield Section(
        title="Groups of images",
        before=(GROUPS,),
        drawings=() if groups is None else (groups,),
        tables=(tables.groups_table("", evaluation.test.groups),),
    )
    if evaluation.further or evaluation.separation:
        separated = (tables.separation_table(evaluation.separation),) if evaluation.separation else ()
        shown: list[Table] = []
        for further in evaluation.further:
            flags = {source or further.name: counts for source, counts in further.flags.items()}
            shown.append(tables.groups_table(further.name, further.groups))
            shown.append(tables.source_flags_table(further.name, flags))
        yield Section(title="Images of other sources", before=FURTHER, tables=(*shown, *separated))
    yield _robustness(evaluation.robustness)
    if evaluation.occlusion is not None:
        yield _occlusion(evaluation.occlusion)


def review_text(test: HeldOutFigures) -> str:
    """Describe the review band."""
    review = test.operating.review
    errors = "no image is misclassified"
    if review.errors:
        errors = f"so are {review.errors_inside} of {review.errors} errors, {share(review.share_of_errors)}"
    return (
        f"{review.inside} of {review.images} test images, {share(review.share)}, are in review; {errors}. An image is "
        "misclassified when its flag does not match its label; in review, when the side of probability 0.5 does not."
    )


def _decisions(evaluation: Evaluation) -> Section:
    comparison = evaluation.baseline
    systems = (evaluation.test.model,) if comparison is None else (comparison.model, comparison.baseline)
    drawings = (roc_plot(systems, published()), confusion_plot(systems, published()), training_plot(systems))
    counts = tables.counts_table("Beside the figures that the study published", tables.beside(systems, published()))
    return Section(
        title="Decisions and training" if comparison is None else f"Comparison with {comparison.baseline.name}",
        before=() if comparison is None else _comparison_text(comparison),
        drawings=tuple(drawing for drawing in drawings if drawing is not None),
        tables=(counts,) if comparison is None else (tables.paired_table(comparison), counts),
        after=(f"The published figures are of {WHERE}. They show the scale and are no comparison.",),
    )


def _comparison_text(comparison: BaselineComparison) -> tuple[str, ...]:
    model, baseline, auc = comparison.model, comparison.baseline, comparison.auc
    left_out = ""
    if comparison.left_out:
        left_out = f" {comparison.left_out} test images are left out, as the baseline has not been measured on them."
    auc_text = ""
    if auc is not None:
        auc_text = f" ROC AUC differs by {change(auc)}, {p_value(auc.p)} (DeLong)."
    return (
        (
            f"Both are measured on the same {comparison.images} test images, {comparison.normal} normal and "
            f"{comparison.pneumonia} pneumonia, that neither was trained on: {model.name} in {model.form}, against "
            f"{baseline.name} in {baseline.form}.{left_out}"
        ),
        (
            f"Balanced accuracy differs by {change(comparison.balanced_accuracy)}. Only {model.name} is correct on "
            f"{comparison.mcnemar.only_first} images, only {baseline.name} on {comparison.mcnemar.only_second}, "
            f"{p_value(comparison.mcnemar.p_mid)} (McNemar, mid-p).{auc_text}"
        ),
    )


def _calibration(test: HeldOutFigures) -> Section:
    curve = test.reliability
    prevalence = "that share" if test.prevalence is None else f"a prevalence of {percent(test.prevalence)}"
    return Section(
        title="Calibration of the probability",
        before=(
            (
                f"Of these images {percent(curve.prevalence)} show pneumonia; probabilities refer to {prevalence}. "
                f"With this many images, even perfect calibration gives an expected calibration error (ECE) of "
                f"{figure(curve.ece_if_perfect)} by chance."
            ),
        ),
        drawings=(reliability_plot(curve), benefit_plot(test.net_benefit)),
        tables=(tables.reliability_table(curve), tables.calibrations_table(test.calibrations)),
        after=(PINNED,) if any(row.method == "pinned" for row in test.calibrations) else (),
    )


def _robustness(sample: SampledRobustness) -> Section:
    drawn = f"{sample.normal} normal and {sample.pneumonia} pneumonia images"
    every = sample.normal + sample.pneumonia == sample.of
    sampled = "all test images" if every else f"sampled from {sample.of} test images with a fixed seed"
    refusals = ""
    if any(row.refused is not None for row in sample.rows):
        refusals = (
            " Images that the out-of-distribution check would refuse still count; their share has its own column."
        )
    return Section(
        title="Image corruptions",
        before=(
            (
                "Twelve corruptions imitate faulty exposures. The box's own code classified "
                f"{drawn} ({sampled}).{refusals}"
            ),
        ),
        drawings=(robustness_plot(sample.rows),),
        tables=(tables.robustness_table(sample),),
    )


def _occlusion(result: Occlusion) -> Section:
    return Section(
        title="Where the score comes from",
        before=(
            "The flag board shows each position's share of the score.",
            (
                f"Tested on {result.n} pneumonia images that were classified as pneumonia. Hiding the brightest tenth "
                "of the evidence map should lower the score more than hiding the same area elsewhere. It did in "
                f"{percent(result.more_often)} of the images, {p_value(result.p_value)} (Wilcoxon, one-sided). This "
                "shows where the score comes from, not that pneumonia is there."
            ),
        ),
        tables=(tables.occlusion_table(result),),
    )
