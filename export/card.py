"""Card: a bundle's facts and figures come in; its model card in Markdown goes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from export.audit import Audit
from export.parity import Parity
from train.run import SeedRun

SHOWN = {
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity, decided at probability 0.5 of the network itself",
    "specificity": "specificity, the same",
    "accuracy": "accuracy, the same",
    "balanced_accuracy": "balanced accuracy, the same (the study prints this as its AUC)",
    "sensitivity_at_flag": "sensitivity of the flag `pneumonia`",
    "specificity_at_flag": "specificity of the flag `pneumonia`",
    "sensitivity_at_clear": "sensitivity of not being `clear`",
    "specificity_at_clear": "specificity: normal films that are `clear`",
}


def model_card(
    facts: Mapping[str, Any],
    run: SeedRun,
    summary: Mapping[str, Any],
    audit: Audit,
    parity: Parity | None,
    *,
    notes: str,
) -> str:
    """The card of a network made from `run`."""
    sections = [
        f"# {facts['name']} version {facts['version']}\n\n{run.recipe.description}",
        _use(facts),
        _training(facts, run, summary),
        _figures(facts),
        *([f"## Notes\n\n{notes.strip()}"] if notes.strip() else []),
        _thresholds(facts, run.recipe.operating_point.prevalence),
        _network(facts, audit, parity),
    ]
    return "\n\n".join(sections) + "\n"


def _use(facts: Mapping[str, Any]) -> str:
    ages = facts["ages"]
    oldest = "" if ages["max_years"] is None else f" to {ages['max_years']}"
    return (
        f"## Use\n\n{facts['intended_use']}\n\n"
        f"The gate lets it judge patients from {ages['min_years']}{oldest} years: the population that the study, and "
        "so the box, is for. It does not follow that the network was trained on them: see the next section. It has no "
        "out-of-distribution check yet: it answers any picture with a number."
    )


def _training(facts: Mapping[str, Any], run: SeedRun, summary: Mapping[str, Any]) -> str:
    parts = summary["data"]
    rows = [f"| {part} | {n['normal']} | {n['pneumonia']} | {n['patients']} |" for part, n in parts.items()]
    table = "\n".join(["| part | normal | pneumonia | patients |", "|---|---|---|---|", *rows])
    return (
        f"## Training\n\nRecipe `{run.recipe.name}`, seed {run.seed} of {summary['seeds']} (by default the one with "
        "the median ROC AUC on the operating films; the test has no say). Parts by patient:\n\n"
        f"{table}\n\n{run.recipe.release.limits}\n\n"
        f"Digest of the training films: `{facts['training']['data_digest']}`."
    )


def _figures(facts: Mapping[str, Any]) -> str:
    rows = [_row(words, facts["metrics"][name]) for name, words in SHOWN.items() if name in facts["metrics"]]
    table = "\n".join(["| measure | value | 95 % interval | method |", "|---|---|---|---|", *rows])
    return f"## Figures\n\nOn {facts['measured_on']}.\n\n{table}"


def _row(words: str, metric: Mapping[str, Any]) -> str:
    if metric["value"] is None:
        return f"| {words} | not defined | | {metric['method']} |"
    return f"| {words} | {metric['value']:.4f} | {metric['low']:.4f} to {metric['high']:.4f} | {metric['method']} |"


def _thresholds(facts: Mapping[str, Any], prevalence: float | None) -> str:
    point, calibration = facts["thresholds"], facts["calibration"]
    share = "as many as there" if prevalence is None else f"{prevalence:.0%}"
    return (
        f"## Thresholds\n\n`flag_at` {point['flag_at']:.4f}, `clear_below` {point['clear_below']:.4f}, on the "
        f"probability calibrated by `{calibration['method']}`. Chosen with the calibration on {point['chosen_on']}; "
        f"never on the test films. Aim: {point['aim']}.\n\nProbabilities refer to films of which "
        f"{share} show pneumonia, not to your wards. "
        "Elsewhere, with other patients or another modality, these thresholds will not hold what they did here."
    )


def _network(facts: Mapping[str, Any], audit: Audit, parity: Parity | None) -> str:
    lines = [
        f"{index}. {op.name} version {op.version} → {', '.join(op.outputs)}"
        for index, op in enumerate(audit.operators, 1)
    ]
    objections = "none" if audit.passed else "see audit.json"
    against = "not measured: the films were not at hand when the bundle was built"
    if parity is not None:
        against = (
            f"{parity.label_flips} of {parity.films} labels and {parity.flag_flips} flags flip, largest difference of "
            f"a score {parity.largest_score_difference:.4f} ({parity.interpreter})"
        )
    return (
        f"## Network\n\nFull {facts['quantization']}, {audit.bytes} bytes; objections of the audit by the Edge TPU's "
        f"published rules: {objections}.\n\nint8 against Keras on the test films: {against}.\n\n" + "\n".join(lines)
    )
