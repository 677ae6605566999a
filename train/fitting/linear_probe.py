"""The linear probe: logistic regression over channel means of frozen features.

Logistic regression with a ridge penalty on standardised means. Images of other sources, outside the label sources, may
say what must not matter: a difference between the means of two sources of one label costs `source_penalty` times its
square, as a domain's first moment does in Tzeng et al. (2014, arXiv:1412.3474). What int8 adds to the means costs
`noise_penalty` times the mean square of what it adds to the logit, its own mean apart; what a change of the exposure
adds to them, `change_penalty` times the mean square, after the tangents of Simard et al. (1992).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

from train.recipe import RuleSection

Floats = NDArray[np.float64]
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearProbe:
    """logit = means @ `weights` (k,) + `bias`."""

    weights: Floats
    bias: float

    def logits(self, means: Floats) -> Floats:
        """(n,) of `means` (n, k)."""
        found: Floats = means @ self.weights + self.bias
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeTrainingSet:
    """What a rule is fitted on: `means` (n, k), `labels` (n,), `groups` (n,) of patients, and images of other sources.

    `others` holds, for each other source of one label, that label and the means (m, k) of its images; `noise` (j, k)
    what int8 adds to the means of any images, `changes` (copies, n, k) what other exposures add to those of `means`.
    """

    means: Floats
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    others: tuple[tuple[int, Floats], ...] = ()
    noise: Floats | None = None
    changes: Floats | None = None

    def among(self, chosen: NDArray[np.int64]) -> ProbeTrainingSet:
        """The same with the chosen images; other sources and noise, which knows no label, stay."""
        changes = None if self.changes is None else self.changes[:, chosen]
        return replace(
            self, means=self.means[chosen], labels=self.labels[chosen], groups=self.groups[chosen], changes=changes
        )


def fit_linear_probe(training_set: ProbeTrainingSet, section: RuleSection) -> LinearProbe:
    """On all of `lessons`."""
    mean, spread = training_set.means.mean(axis=0), training_set.means.std(axis=0) + LEAST_SPREAD
    standard = (training_set.means - mean) / spread
    squeeze = _squeeze(training_set, spread, section)
    found = LogisticRegression(C=section.c, max_iter=3000).fit(squeeze.apply(standard), training_set.labels)
    weights = squeeze.apply(found.coef_.astype(np.float64))[0] / spread
    return LinearProbe(weights=weights, bias=float(found.intercept_[0] - weights @ mean))


def held_out_logits(training_set: ProbeTrainingSet, section: RuleSection, seed: int) -> Floats:
    """Logits (n,) of each image by a rule that saw none of its patient's images."""
    folds = StratifiedGroupKFold(section.folds, shuffle=True, random_state=seed)
    logits = np.zeros(len(training_set.labels))
    for shown, hidden in folds.split(training_set.means, training_set.labels, training_set.groups):
        logits[hidden] = fit_linear_probe(training_set.among(shown), section).logits(training_set.means[hidden])
    return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Squeeze:
    """Multiplication by (I + D D')^(-1/2): a plain ridge penalty on its outcome is ridge plus |D'w|^2 on w."""

    axes: Floats
    shrink: Floats

    def apply(self, values: Floats) -> Floats:
        """(n, k) to the same; symmetric, so it serves means and weights."""
        return values + ((values @ self.axes) * self.shrink) @ self.axes.T


def _squeeze(training_set: ProbeTrainingSet, spread: Floats, section: RuleSection) -> _Squeeze:
    unwanted = np.concatenate([_source_differences(training_set, section), *_unwanted(training_set, section)])
    axes, sizes, _ = np.linalg.svd((unwanted / spread).T, full_matrices=False)
    return _Squeeze(axes=axes, shrink=(1 + sizes**2) ** -0.5 - 1)


def _source_differences(training_set: ProbeTrainingSet, section: RuleSection) -> Floats:
    """What must not count, (sources, k)."""
    found = [
        others.mean(axis=0) - training_set.means[training_set.labels == label].mean(axis=0)
        for label, others in training_set.others
        if len(others)
    ]
    return section.source_penalty**0.5 * np.array(found).reshape(-1, training_set.means.shape[1])


def _unwanted(training_set: ProbeTrainingSet, section: RuleSection) -> Iterator[Floats]:
    """What images must not move by, (images, k) each: the sum of squares is the penalty."""
    if training_set.noise is not None:
        noise = training_set.noise - training_set.noise.mean(axis=0)
        yield (section.noise_penalty / len(noise)) ** 0.5 * noise
    if training_set.changes is not None:
        changes = training_set.changes.reshape(-1, training_set.means.shape[1])
        yield (section.change_penalty / len(changes)) ** 0.5 * changes
