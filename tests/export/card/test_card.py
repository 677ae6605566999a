from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from export.card.content import CardContent
from export.card.elements import (
    change,
    p_value,
    percent,
    share,
)
from export.card.operating_plot import operating_plot
from export.card.render import CARD, PAGE, card_parts
from export.evaluation.baseline import BaselineComparison
from export.evaluation.evaluation import Evaluation
from export.evaluation.evaluation_input import EvaluationInput
from export.evaluation.operating_curve import operating_curve
from export.site.notice import with_notice
from metrics.estimates import Difference, Estimate
from metrics.intervals import proportion
from metrics.paired import McNemar
from tests.export.evaluated import card_content, drawn_images, evaluate_on_box, evaluation_input
from train.run.report import MEAN, AverageSummary
from train.run.run_folder import AVERAGED_IN_MANIFEST

LARGEST = 1_500_000
"""Bytes. A page of this size can still be sent by e-mail."""
PICTURES = (
    "Sensitivity and specificity by threshold",
    "ROC curves",
    "Confusion matrices",
    "Training accuracy",
    "Reliability diagram",
    "Decision curve",
    "groups of images",
    "What each corruption costs",
    "every seed",
)


@pytest.fixture(scope="module")
def inputs(toy_run: Path) -> EvaluationInput:
    images = drawn_images(80, sources=("St. <Mary> | 1", "other"))
    return evaluation_input(toy_run, images, recipe={"data": {"measured_sources": ["St. <Mary> | 1"]}})


@pytest.fixture(scope="module")
def evaluation(inputs: EvaluationInput) -> Evaluation:
    return evaluate_on_box(inputs)


@pytest.fixture(scope="module")
def paired(evaluation: Evaluation) -> Evaluation:
    """The same with a comparison, against a baseline without training curves."""
    model = evaluation.test.model
    comparison = BaselineComparison(
        images=40,
        normal=20,
        pneumonia=20,
        left_out=3,
        model=model,
        baseline=replace(model, name="older", form="float, by Keras", training=()),
        auc=None,
        mcnemar=McNemar(only_first=7, only_second=5, p_exact=0.774, p_mid=0.581),
        balanced_accuracy=Difference(value=0.1, low=-0.1, high=0.3, p=None, test="paired bootstrap over patients"),
    )
    return replace(evaluation, baseline=comparison)


@pytest.fixture(scope="module")
def alone(inputs: EvaluationInput, evaluation: Evaluation) -> dict[str, str]:
    return rendered(card_content(inputs, evaluation))


@pytest.fixture(scope="module")
def against(inputs: EvaluationInput, paired: Evaluation) -> dict[str, str]:
    return rendered(card_content(inputs, paired, notes="Two `words`.\n\nAnd <two> more."))


@pytest.fixture(scope="module")
def page(against: dict[str, str]) -> str:
    return against[PAGE]


def rendered(content: CardContent) -> dict[str, str]:
    return {name: content.decode() for name, content in card_parts(content).items()}


def drawings(page: str) -> list[ET.Element]:
    """Parse every SVG of the page; raises where one is not well formed."""
    return [ET.fromstring(text) for text in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]  # noqa: S314 - drawn here


def test_the_first_screen_states_the_use_its_limits_and_the_main_figures_with_intervals(page: str) -> None:
    first = page[: page.index("<h2>Thresholds</h2>")]
    for text in (
        "made-up version 3",
        "a trial, not released",
        "Research use, in tests.",
        "Not a diagnosis",
        "patients aged 20 years or older",
        "of pneumonia images are not <code>clear</code>",
        "20 normal and 20 pneumonia images",
        "95 % interval",
    ):
        assert text in first
    assert first.count(" to ") > 6


def test_the_first_screen_states_the_flags_of_other_sources_and_none_of_its_own(
    evaluation: Evaluation, against: dict[str, str]
) -> None:
    (beside,) = evaluation.further
    flags = beside.flags["other"]
    alarms = flags["pneumonia"]["normal"] / sum(counts["normal"] for counts in flags.values())
    first = against[CARD][: against[CARD].index("## Thresholds")]
    assert f"- other: of 20 normal images {percent(alarms)} are flagged `pneumonia`" in first
    assert "- St. <Mary>" not in first


def test_every_picture_is_an_svg_with_a_text_alternative(page: str) -> None:
    shown = drawings(page)
    labels = [svg.attrib["aria-label"] for svg in shown]
    assert len(labels) == len(PICTURES)
    for picture in PICTURES:
        assert any(picture in label for label in labels), picture
    assert all(svg.attrib["role"] == "img" for svg in shown)


def test_the_calibration_in_force_stands_beside_the_others_with_intervals(against: dict[str, str]) -> None:
    text = against[CARD]
    lines = text[text.index("| calibration |") :].splitlines()
    for method in ("none", "temperature", "platt", "isotonic", "platt, in force"):
        line = next(line for line in lines if line.startswith(f"| {method} |"))
        assert len(re.findall(r"\d\.\d{3} \(\d\.\d{3} to \d\.\d{3}\)", line)) == 2


def test_seeds_are_shown_with_the_mean_of_their_weights_where_there_is_one(
    inputs: EvaluationInput, evaluation: Evaluation
) -> None:
    summary = inputs.run.summary
    averaged = AverageSummary(confusion={}, estimates={}, measures=dict.fromkeys(summary.measures, 0.875))
    card = rendered(card_content(inputs, evaluation, summary=replace(summary, weight_average=averaged)))[CARD]
    assert MEAN in card
    assert "| 0.875 |" in card
    assert MEAN not in rendered(card_content(inputs, evaluation))[CARD]


def test_the_page_is_complete_and_small_and_loads_nothing_from_the_network(page: str) -> None:
    assert len(page.encode()) < LARGEST
    assert "<script" not in page
    assert "<image" not in page
    assert set(re.findall(r"https?://[^\"\s)]+", page)) <= {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_text_of_manifests_and_notes_is_escaped(against: dict[str, str]) -> None:
    page, markdown = against[PAGE], against[CARD]
    assert "St. &lt;Mary&gt; | 1" in page
    assert "<Mary>" not in page
    assert "Two <code>words</code>." in page
    assert "<two>" not in page
    assert "St. <Mary> \\| 1" in markdown
    assert "## Notes\n\nTwo `words`.\n\nAnd <two> more." in markdown


def test_both_forms_have_the_same_sections_and_the_tables_of_the_markdown_are_complete(against: dict[str, str]) -> None:
    titles = re.findall(r"<h2>(.*?)</h2>", against[PAGE])
    assert [line[3:] for line in against[CARD].splitlines() if line.startswith("## ")] == titles
    widths: set[int] = set()
    for line in [*against[CARD].splitlines(), ""]:
        widths = widths | {len(re.findall(r"(?<!\\)\|", line))} if line.startswith("|") else set()
        assert len(widths) <= 1, line
    assert "\n\n\n\n" not in against[CARD]


def test_a_comparison_states_the_form_of_both_networks_and_the_images_left_out(page: str) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "made-up in int8, by the device's own code, against older in float, by Keras" in text
    assert "3 test images are left out, as the baseline has not been measured on them" in text
    assert "p = 0.581" in text
    assert "the study's own images, 231 normal and 300 pneumonia, not these" in text
    assert "no batches" in text


def test_the_out_of_distribution_check_is_stated_with_its_threshold_and_false_alarms(
    inputs: EvaluationInput, evaluation: Evaluation, alone: dict[str, str]
) -> None:
    assert "no out-of-distribution check" not in alone[CARD]
    assert "farther than 134" in alone[CARD]
    assert "1.0% of the source that lies farthest" in alone[CARD]
    assert f"it refuses {share(evaluation.test.refused)}" in alone[CARD]
    without = rendered(card_content(inputs, model={"outliers": None}))[CARD]
    assert "The network has no out-of-distribution check" in without


def test_without_images_the_card_has_the_manifests_figures_and_no_plots_of_them(inputs: EvaluationInput) -> None:
    parts = rendered(card_content(inputs))
    assert len(drawings(parts[PAGE])) == 1
    assert "## Image corruptions" not in parts[CARD]
    assert "never on the test images" in parts[CARD]
    assert "int8 was not compared with Keras: the run's images were missing" in parts[CARD]


def test_without_a_baseline_the_network_stands_alone_beside_the_published_figures(alone: dict[str, str]) -> None:
    assert "## Decisions and training" in alone[CARD]
    assert "| VUNO Med-Chest X-ray, the study's images | 164 | 67 | 19 | 281 |" in alone[CARD]


def test_a_network_with_the_mean_of_all_seeds_weights_is_named_so(inputs: EvaluationInput) -> None:
    training = inputs.model.training.model_copy(update={"seed": AVERAGED_IN_MANIFEST})
    card = rendered(card_content(inputs, model={"training": training}))[CARD]
    assert "the mean of the weights of seeds 1, 2" in card


def test_the_same_content_gives_the_same_bytes(
    inputs: EvaluationInput, evaluation: Evaluation, alone: dict[str, str]
) -> None:
    assert rendered(card_content(inputs, evaluation)) == alone


def test_a_notice_stands_on_top_and_later_ones_above_it(page: str) -> None:
    once = with_notice(page.encode(), "Own point", ["flag_at <0.7>"])
    twice = with_notice(once, "Another point", ["flag_at 0.8"]).decode()
    assert twice.index("Another point") < twice.index("Own point") < twice.index("made-up version 3</h1>")
    assert "&lt;0.7&gt;" in twice
    assert with_notice(b"<p>an older page</p>", "x", []) == b"<p>an older page</p>"


def test_figures_are_rounded_and_undefined_ones_are_a_dash() -> None:
    assert share(proportion(1, 2)) == "50.0 % (9.5 to 90.5)"
    assert share(Estimate(value=0.0, low=-1e-17, high=0.2, method="")) == "0.0 % (0.0 to 20.0)"
    assert share(None) == share(proportion(0, 0)) == "-"
    assert change(Estimate(value=-0.02, low=-0.04, high=0.001, method="")) == "-0.020 (-0.040 to +0.001)"
    assert (p_value(0.0004), p_value(0.04)) == ("p < 0.001", "p = 0.040")


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.5, 0.5), (0.0, 0.0), (1.0, 1.0)])
def test_thresholds_at_the_very_ends_can_be_drawn(low: float, high: float) -> None:
    labels = np.arange(40) % 2
    curve = operating_curve(np.linspace(0, 1, 40), labels, flag_at=high, clear_below=low)
    assert f"flag_at {high:.3f}" in drawings(operating_plot(curve).svg)[0].attrib["aria-label"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1100])
def test_a_browser_shows_the_page_without_an_error_at_any_width(page: str, tmp_path: Path, width: int) -> None:
    from tests.flow.browser import Browser, missing_part  # noqa: PLC0415 - selenium may be absent

    if missing := missing_part():
        pytest.skip(missing)
    (tmp_path / "card.html").write_text(page)
    browser = Browser(size=(width, 900), scheme="light")
    try:
        browser.open(f"file://{tmp_path / 'card.html'}")
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("[...document.querySelectorAll('svg')].every(s => s.getBoundingClientRect().height > 60)")
        assert browser.driver.get_log("browser") == []
    finally:
        browser.close()
