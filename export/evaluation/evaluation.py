"""Evaluation: what a box says of held-out films comes in; every figure of the model card goes out.

Films of sources whose labels do not teach are never pooled with the others: a source of one label tells the source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device.inference.classifier import Classifier
from export.bundle.manifest_fields import decision_logit, words
from export.evaluation.baseline import (
    INT8,
    Called,
    Side,
    Versus,
    side,
    versus,
)
from export.evaluation.curves import training_curves
from export.evaluation.occlusion import Occlusion
from export.evaluation.operating_curve import OperatingCurve, operating_curve
from export.evaluation.sampled_robustness import Stress, hidden_evidence, stress
from export.int8.predictions import (
    Progress,
    Proof,
    Proofs,
    refused,
    silent,
)
from metrics.calibration import Reliability, reliability
from metrics.decision_curve import NetBenefit, decision_curve
from metrics.estimates import Estimate
from metrics.intervals import proportion
from metrics.subgroups import (
    Predictions,
    Separation,
    SubgroupRow,
    age_bands,
    by_subgroup,
    source_separation,
)
from train.calibration.comparison import Calibrated, calibrations
from train.calibration.methods import apply_calibration
from train.calibration.operating_point import HeldOutLogits
from train.calibration.thresholds import Thresholds
from train.data.dataset import LabelledImages
from train.data.selection import label_source_mask, select
from train.run.run_folder import RunError, SeedRun, flag_counts
from train.run.score_files import read_operating_logits

Flags = Mapping[str, Mapping[str, int]]
"""Films by flag and label."""
EVERY_SOURCE = "test films of every source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is evaluated: a run's network on a box. `folder` is the run's, `summary` and `facts` as build has them.

    `baseline` is another run's folder, or None.
    """

    folder: Path
    run: SeedRun
    summary: Mapping[str, Any]
    facts: Mapping[str, Any]
    classifier: Classifier
    proofs: Proofs
    baseline: Path | None = None

    @property
    def outlier_threshold(self) -> float | None:
        """None: every film is judged."""
        rule = self.facts["outliers"]
        return None if rule is None else float(rule["threshold"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The test films whose labels count. Films that the box would refuse still count, but in `refused`.

    `prevalence` is the share of pneumonia that probabilities and `net_benefit` refer to, None: the films' own.
    """

    films: str
    counts: Mapping[str, int]
    ours: Side
    operating: OperatingCurve
    reliability: Reliability
    calibrations: tuple[Calibrated, ...]
    prevalence: float | None
    net_benefit: tuple[NetBenefit, ...]
    refused: Estimate | None
    groups: tuple[SubgroupRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Films beside those: all test films where some do not count, or another manifest's.

    With several sources `groups` has no row of all films: such a row would be of no hospital.
    """

    name: str
    counts: Mapping[str, int]
    sources: tuple[str, ...]
    flags: Mapping[str, Flags]
    refused: Estimate | None
    groups: tuple[SubgroupRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """All of it. `seeds` as `train.run.report.summarise` has them: Keras, on the run's test films."""

    test: Measured
    elsewhere: tuple[Elsewhere, ...]
    separation: tuple[Separation, ...]
    stress: Stress
    occlusion: Occlusion | None
    seeds: Mapping[str, Any]
    versus: Versus | None

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return asdict(self)


def evaluated(subject: Subject, *, on_progress: Progress = silent) -> Evaluation:
    """From the proof `test` and all others. Takes minutes: every corruption of the films is judged. Raises RunError."""
    run, proof = subject.run, subject.proofs["test"]
    counted = label_source_mask(run.recipe, proof.films)
    films, logits = select(proof.films, counted), proof.int8.logits[counted]
    called = Called(logits=logits, decided=logits >= decision_logit(run))
    maps = None if proof.int8.evidence is None else proof.int8.evidence[counted]
    against = None if subject.baseline is None else _versus(subject, films, called, subject.baseline)
    return Evaluation(
        test=_measured(subject, counted),
        elsewhere=_elsewhere(subject, counted),
        separation=separation(subject.proofs),
        stress=stress(
            subject.classifier,
            films,
            operating_logit=decision_logit(run),
            outlier_threshold=subject.outlier_threshold,
            on_progress=on_progress,
        ),
        occlusion=hidden_evidence(subject.classifier, films, maps, called.decided, on_progress=on_progress),
        seeds={name: subject.summary[name] for name in ("seeds", "representative_seed", "measures", "weight_average")},
        versus=against,
    )


def _versus(subject: Subject, dataset: LabelledImages, called: Called, baseline: Path) -> Versus:
    if baseline.resolve() == subject.folder.resolve():
        raise RunError(f"{baseline}: is the run itself; name another run with --baseline")
    return versus(subject.facts["name"], dataset, called, subject.folder, baseline)


def _measured(subject: Subject, counted: NDArray[np.bool_]) -> Measured:
    proof, point = subject.proofs["test"], subject.facts["thresholds"]
    films, prevalence = select(proof.films, counted), subject.run.recipe.operating_point.prevalence
    found = judged(subject, proof, counted)
    probabilities, positive, patients = found.probabilities, found.positive, found.patients
    called = Called(logits=found.logits, decided=found.called)
    return Measured(
        films=words(films),
        counts=films.counts(),
        ours=side(subject.facts["name"], INT8, films, called, training_curves(subject.folder)),
        operating=operating_curve(
            probabilities, films.labels, flag_at=point["flag_at"], clear_below=point["clear_below"]
        ),
        reliability=reliability(probabilities, positive, patients),
        calibrations=_calibrations(subject, films, found),
        prevalence=prevalence,
        net_benefit=decision_curve(probabilities, positive, patients, prevalence=prevalence),
        refused=_share(found.refused),
        groups=by_subgroup(found, columns(films)),
    )


def _calibrations(subject: Subject, dataset: LabelledImages, found: Predictions) -> tuple[Calibrated, ...]:
    section = subject.run.recipe.operating_point
    return calibrations(
        read_operating_logits(subject.run.folder),
        HeldOutLogits(logits=found.logits, labels=dataset.labels),
        dataset.patients,
        prevalence=section.prevalence,
        in_force=(section.calibration, subject.facts["calibration"]),
    )


def judged(subject: Subject, proof: Proof, chosen: NDArray[np.bool_]) -> Predictions:
    """What the box says of the `chosen` films (n,) of a proof."""
    films, logits = select(proof.films, chosen), proof.int8.logits[chosen]
    far = refused(proof.int8, subject.outlier_threshold)
    return Predictions(
        positive=films.labels == 1,
        patients=films.patients,
        logits=logits,
        probabilities=apply_calibration(subject.facts["calibration"], logits),
        called=logits >= decision_logit(subject.run),
        refused=None if far is None else far[chosen],
    )


def columns(dataset: LabelledImages) -> dict[str, Sequence[str]]:
    """What films are told apart by."""
    return {
        "source": dataset.sources,
        "tier": dataset.tiers,
        "view": dataset.views,
        "sex": dataset.sexes,
        "age": age_bands(dataset.ages),
    }


def _elsewhere(subject: Subject, counted: NDArray[np.bool_]) -> tuple[Elsewhere, ...]:
    further = [
        _beside(subject, name, proof) for name, proof in subject.proofs.items() if name not in {"test", "operating"}
    ]
    every = () if counted.all() else (_beside(subject, EVERY_SOURCE, subject.proofs["test"]),)
    return (*every, *further)


def _beside(subject: Subject, name: str, proof: Proof) -> Elsewhere:
    films, point = proof.films, subject.facts["thresholds"]
    found = judged(subject, proof, np.ones(len(films), bool))
    chosen = Thresholds(flag_at=point["flag_at"], clear_below=point["clear_below"], aim="")
    named = np.array(films.sources)
    sources = tuple(sorted(set(films.sources)))
    flags = {
        source: flag_counts(found.probabilities[named == source], films.labels[named == source], chosen)
        for source in sources
    }
    whole, *parts = by_subgroup(found, columns(films))
    return Elsewhere(
        name=name,
        counts=films.counts(),
        sources=sources,
        flags=flags,
        refused=_share(found.refused),
        groups=tuple(parts) if len(sources) > 1 else (whole, *parts),
    )


def separation(proofs: Proofs) -> tuple[Separation, ...]:
    """Over the test films and all further ones; a set that names no sources is one itself."""
    shown = {name: proof for name, proof in proofs.items() if name != "operating"}
    sources = [source or name for name, proof in shown.items() for source in proof.films.sources]
    logits = np.concatenate([proof.int8.logits for proof in shown.values()])
    labels = np.concatenate([proof.films.labels for proof in shown.values()])
    return source_separation(logits, labels == 1, sources)


def _share(chosen: NDArray[np.bool_] | None) -> Estimate | None:
    return None if chosen is None else proportion(int(chosen.sum()), len(chosen))
