"""Card sections: the content of a model card comes in; its sections go out, in the order of the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from export.card import model_tables, tables
from export.card.content import CardContent
from export.card.elements import Section, percent, share
from export.card.forest_plots import seed_plot
from export.card.operating_plot import operating_plot
from export.card.results import measured_sections, review_text

METHODS = (
    "Intervals are 95 % intervals; the table names their methods. Differences and calibration errors have intervals by "
    "bootstrap over patients (2,000 draws, 2.5th and 97.5th percentile). Images that the box would refuse count like "
    "all others, except in `refused`. Among so many intervals, some miss the true value by chance."
)
OUTLIERS = "Out-of-distribution check"
NO_CHECK = "The network has no out-of-distribution check: it returns a number for any picture."


def sections(content: CardContent) -> Iterator[Section]:
    """Yield pictures first, then what they are based on."""
    yield _thresholds(content)
    if content.evaluation is not None:
        yield from measured_sections(content.evaluation)
    yield _outliers(content)
    yield _seeds(content)
    yield Section(
        title="Figures",
        before=(f"Measured on {content.model.measured_on}.",),
        tables=(model_tables.figures_table(content.model.metrics),),
        after=(METHODS,),
    )
    yield _training(content)
    if content.notes.strip():
        yield Section(title="Notes", before=(content.notes.strip(),))
    yield _network(content)


def _thresholds(content: CardContent) -> Section:
    texts = _threshold_texts(content)
    if content.evaluation is None:
        return texts
    test = content.evaluation.test
    flags = tables.flags_table("Flags of the test images", test.operating.flags)
    return replace(
        texts,
        before=(*texts.before, review_text(test)),
        drawings=(operating_plot(test.operating),),
        tables=(tables.thresholds_table(test.operating), flags),
    )


def _threshold_texts(content: CardContent) -> Section:
    point, chosen = content.model.thresholds, content.operating_point
    prevalence = "the prevalence of the operating images"
    if chosen.prevalence is not None:
        prevalence = f"a prevalence of {percent(chosen.prevalence)}"
    return Section(
        title="Thresholds",
        before=(
            (
                f"Images with a probability of at least {point.flag_at:.4f} (`flag_at`) are flagged `pneumonia`, those "
                f"below {point.clear_below:.4f} (`clear_below`) `clear`. Between them is `review`: a person looks at "
                "the image."
            ),
            (
                f"Required: {point.aim}. The thresholds and the calibration (`{chosen.calibration}`) were chosen on "
                f"{point.chosen_on}; never on the test images."
            ),
        ),
        after=(
            (
                f"Probabilities refer to {prevalence}, not to that of your wards. With other patients or another "
                "modality these thresholds will perform differently: choose them on your own reads with "
                "`pneumoflag-export set-thresholds`."
            ),
        ),
    )


def _outliers(content: CardContent) -> Section:
    check, evaluation = content.model.outliers, content.evaluation
    if check is None:
        return Section(
            title=OUTLIERS,
            before=("The network has no out-of-distribution check: it returns a number for any picture.",),
        )
    refused = "" if evaluation is None else f" Of the test images it refuses {share(evaluation.test.refused)}."
    return Section(
        title=OUTLIERS,
        before=(
            (
                f"An image gets no flag, with the reason `out_of_distribution`, when its features lie farther than "
                f"{check.threshold:.4g} (squared distance) from those of the training images. The threshold was chosen "
                f"on {check.chosen_on}. That share of false alarms was accepted.{refused}"
            ),
        ),
    )


def _seeds(content: CardContent) -> Section:
    count = len(content.summary.seeds)
    averaged = " The bundle's network has the mean of their weights." if content.is_weight_average else ""
    return Section(
        title="Seeds",
        before=(
            (
                f"{count} training{'s' if count > 1 else ''} on the same images, each with a different random seed. "
                "Measured in Keras on the run's test images, before quantization, they show how much figures vary by "
                f"chance.{averaged}"
            ),
        ),
        drawings=(seed_plot(content.summary, model_tables.SPREAD),),
        tables=(model_tables.seeds_table(content.summary),),
    )


def _training(content: CardContent) -> Section:
    training = content.model.training
    seeds = ", ".join(str(seed) for seed in content.summary.seeds)
    network = f"the mean of the weights of seeds {seeds}"
    if not content.is_weight_average:
        network = (
            f"seed {training.seed} of the seeds {seeds} (by default the one with the median ROC AUC on the operating "
            "images; the test images have no influence)"
        )
    return Section(
        title="Training",
        before=(f"Recipe `{training.recipe}`, {network}. Parts are separated by patient:",),
        tables=(model_tables.parts_table(content.parts),),
        after=(
            *((content.limits,) if content.limits else ()),
            f"Digest of the training images: `{training.data_digest}`.",
        ),
    )


def _network(content: CardContent) -> Section:
    audit, parity = content.audit, content.parity
    objections = "none" if audit.passed else "see audit.json"
    comparison = "int8 was not compared with Keras: the run's images were missing when the bundle was built."
    if parity is not None:
        comparison = (
            f"On {parity.images} held-out images int8 ({parity.interpreter}) differs from Keras in "
            f"{parity.label_flips} labels and {parity.flag_flips} flags. The largest difference of a score is "
            f"{parity.largest_score_difference:.4f}."
        )
    return Section(
        title="Network",
        before=(
            (
                f"Full {content.model.quantization}, {audit.bytes} bytes. Objections by the Edge TPU's published "
                f"rules: {objections}."
            ),
            comparison,
        ),
        tables=(model_tables.operators_table(audit),),
    )
