"""Card sections: a story comes in; the sections of its model card go out, what was measured among them."""

from __future__ import annotations

from collections.abc import Iterator

from export.card import tables
from export.card.content import Story
from export.card.elements import Section, share
from export.card.forest_plots import seed_plot
from export.card.operating_plot import operating_plot
from export.card.results import measured_sections, review_words
from export.evaluation.evaluation import Measured
from train.run.run_folder import AVERAGED

METHODS = (
    "Intervals hold 95 %: of shares by Wilson (1927), of ROC AUC by DeLong et al. (1988), of everything else by "
    "bootstrap over patients (2,000 draws, 2.5th and 97.5th percentile). Films that the box would refuse count like "
    "others, unless `refused` is asked. With several looks at the same films, some intervals miss by chance."
)


def sections(story: Story) -> Iterator[Section]:
    """In the order of the page: pictures first, what they rest on after."""
    found = story.evaluation
    yield _thresholds(story, None if found is None else found.test)
    if found is not None:
        yield from measured_sections(found)
    yield _unknown(story)
    yield _seeds(story)
    yield Section(
        title="Figures",
        before=(f"On {story.facts['measured_on']}.",),
        tables=(tables.figures_table(story.facts["metrics"]),),
        after=(METHODS,),
    )
    yield _training(story)
    if story.notes.strip():
        yield Section(title="Notes", before=(story.notes.strip(),))
    yield _network(story)


def _thresholds(story: Story, test: Measured | None) -> Section:
    point, asked = story.facts["thresholds"], story.recipe.operating_point.calibration
    prevalence = story.recipe.operating_point.prevalence
    mixed = "as many as there" if prevalence is None else f"{prevalence:.0%}"
    before = (
        (
            f"From probability `flag_at` {point['flag_at']:.4f} up the flag is `pneumonia`, below `clear_below` "
            f"{point['clear_below']:.4f} it is `clear`, and between them is `review`: a person looks."
        ),
        (
            f"Asked for: {point['aim']}. Chosen, with the calibration (`{asked}`), on "
            f"{point['chosen_on']}; never on the test films."
        ),
    )
    after = (
        (
            f"Probabilities refer to films of which {mixed} show pneumonia, not to your wards. Elsewhere, with other "
            "patients or another modality, these thresholds will not hold what they did here: choose them anew on your "
            "own reads with `pneumoflag-export set-thresholds`."
        ),
    )
    if test is None:
        return Section(title="Thresholds", before=before, after=after)
    curve = test.operating
    return Section(
        title="Thresholds", before=(*before, review_words(test)), drawings=(operating_plot(curve),), after=after,
        tables=(tables.thresholds_table(curve), tables.flags_table("Flags of the test films", curve.flags)),
    )  # fmt: skip


def _unknown(story: Story) -> Section:
    rule, found = story.facts["outliers"], story.evaluation
    if rule is None:
        return Section(
            title="Pictures it does not know",
            before=("It has no out-of-distribution check: it answers any picture with a number.",),
        )
    refused = "" if found is None else f" Of the test films it refuses {share(found.test.refused)}."
    place = f"{rule['threshold']:.4g} (squared distance)"
    return Section(
        title="Pictures it does not know",
        before=(
            (
                f"A film whose features lie farther than {place} from those of the films it knows gets no flag, with "
                f"the reason `out_of_distribution`. Chosen on {rule['chosen_on']}. So many false alarms were accepted."
                f"{refused}"
            ),
        ),
    )


def _seeds(story: Story) -> Section:
    count = len(story.summary["seeds"])
    released = " The bundle's network is the mean of their weights." * (story.facts["training"]["seed"] == AVERAGED)
    return Section(
        title="Seeds",
        before=(
            (
                f"{count} training{'s' * (count > 1)} on the same films, each begun by another seed, measured in Keras "
                f"on the run's test films before quantization: how far figures move by chance alone.{released}"
            ),
        ),
        drawings=(seed_plot(story.summary, tables.SPREAD),),
        tables=(tables.seeds_table(story.summary),),
    )


def _training(story: Story) -> Section:
    limits, digest = story.recipe.release.limits, story.facts["training"]["data_digest"]
    return Section(
        title="Training",
        before=(f"Recipe `{story.recipe.name}`, {_which(story)}. Parts by patient:",),
        tables=(tables.parts_table(story.summary["data"]),),
        after=(*((limits,) if limits else ()), f"Digest of the training films: `{digest}`."),
    )


def _which(story: Story) -> str:
    """Which of the run's networks it is."""
    seed, seeds = story.facts["training"]["seed"], story.summary["seeds"]
    if seed == AVERAGED:
        return f"the mean of the weights of seeds {seeds}"
    usual = "by default the one with the median ROC AUC on the operating films; the test has no say"
    return f"seed {seed} of {seeds} ({usual})"


def _network(story: Story) -> Section:
    audit, parity = story.audit, story.parity
    objections = "none" if audit.passed else "see audit.json"
    against = "not measured: the films were not at hand when the bundle was built"
    if parity is not None:
        against = (
            f"{parity.label_flips} of {parity.films} labels and {parity.flag_flips} flags flip, largest difference of "
            f"a score {parity.largest_score_difference:.4f} ({parity.interpreter})"
        )
    return Section(
        title="Network",
        before=(
            (
                f"Full {story.facts['quantization']}, {audit.bytes} bytes; objections of the audit by the Edge TPU's "
                f"published rules: {objections}."
            ),
            f"int8 against Keras on held-out films: {against}.",
        ),
        tables=(tables.operators_table(audit),),
    )
