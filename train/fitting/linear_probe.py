"""Rule: channel means of films, labels and sources come in; one linear rule that says pneumonia goes out.

Logistic regression with a ridge penalty on standardised means. Films of other sources, whose labels do not teach, may
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
class Rule:
    """logit = means @ `weights` (k,) + `bias`."""

    weights: Floats
    bias: float

    def logits(self, means: Floats) -> Floats:
        """(n,) of `means` (n, k)."""
        found: Floats = means @ self.weights + self.bias
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What a rule is fitted on: `means` (n, k), `labels` (n,), `groups` (n,) of patients, and films of other sources.

    `others` holds, for each other source of one label, that label and its films' means (m, k); `noise` (j, k) what int8
    adds to the means of any films, `changes` (copies, n, k) what other exposures add to those of `means`.
    """

    means: Floats
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    others: tuple[tuple[int, Floats], ...] = ()
    noise: Floats | None = None
    changes: Floats | None = None

    def among(self, chosen: NDArray[np.int64]) -> Lessons:
        """The same with the chosen films; other sources and noise, which knows no label, stay."""
        changes = None if self.changes is None else self.changes[:, chosen]
        return replace(
            self, means=self.means[chosen], labels=self.labels[chosen], groups=self.groups[chosen], changes=changes
        )


def fit_rule(lessons: Lessons, section: RuleSection) -> Rule:
    """On all of `lessons`."""
    mean, spread = lessons.means.mean(axis=0), lessons.means.std(axis=0) + LEAST_SPREAD
    standard = (lessons.means - mean) / spread
    squeeze = _squeeze(lessons, spread, section)
    found = LogisticRegression(C=section.c, max_iter=3000).fit(squeeze.apply(standard), lessons.labels)
    weights = squeeze.apply(found.coef_.astype(np.float64))[0] / spread
    return Rule(weights=weights, bias=float(found.intercept_[0] - weights @ mean))


def held_out_logits(lessons: Lessons, section: RuleSection, seed: int) -> Floats:
    """Logits (n,) of each film by a rule that saw none of its patient's films."""
    folds = StratifiedGroupKFold(section.folds, shuffle=True, random_state=seed)
    logits = np.zeros(len(lessons.labels))
    for shown, hidden in folds.split(lessons.means, lessons.labels, lessons.groups):
        logits[hidden] = fit_rule(lessons.among(shown), section).logits(lessons.means[hidden])
    return logits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Squeeze:
    """Multiplication by (I + D D')^(-1/2): a plain ridge penalty on its outcome is ridge plus |D'w|^2 on w."""

    axes: Floats
    shrink: Floats

    def apply(self, values: Floats) -> Floats:
        """(n, k) to the same; symmetric, so it serves means and weights."""
        return values + ((values @ self.axes) * self.shrink) @ self.axes.T


def _squeeze(lessons: Lessons, spread: Floats, section: RuleSection) -> _Squeeze:
    unwanted = np.concatenate([_source_differences(lessons, section), *_unwanted(lessons, section)])
    axes, sizes, _ = np.linalg.svd((unwanted / spread).T, full_matrices=False)
    return _Squeeze(axes=axes, shrink=(1 + sizes**2) ** -0.5 - 1)


def _source_differences(lessons: Lessons, section: RuleSection) -> Floats:
    """What must not count, (sources, k)."""
    found = [
        others.mean(axis=0) - lessons.means[lessons.labels == label].mean(axis=0)
        for label, others in lessons.others
        if len(others)
    ]
    return section.source_penalty**0.5 * np.array(found).reshape(-1, lessons.means.shape[1])


def _unwanted(lessons: Lessons, section: RuleSection) -> Iterator[Floats]:
    """What films must not move by, (films, k) each: the sum of squares is the penalty."""
    if lessons.noise is not None:
        noise = lessons.noise - lessons.noise.mean(axis=0)
        yield (section.noise_penalty / len(noise)) ** 0.5 * noise
    if lessons.changes is not None:
        changes = lessons.changes.reshape(-1, lessons.means.shape[1])
        yield (section.change_penalty / len(changes)) ** 0.5 * changes
