"""Augment: the name of a policy comes in; what it does to a batch of training films goes out.

The study changes nothing. A policy is a function of tensors, so that it runs inside the `tf.data` pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Augmentation = Callable[[Any], Any]
"""float32 (n, rows, columns, 1) of grey values 0 to 255, to the same."""


def augmentation(policy: str) -> Augmentation:
    """The function of a policy."""
    return POLICIES[policy]


def _unchanged(films: Any) -> Any:
    return films


POLICIES: dict[str, Augmentation] = {"none": _unchanged}
