"""Comparisons: the store comes in; the latest comparison, drawn and as JSON, goes out. Imported at the first look."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from collector.compare import METRICS, Comparison
from collector.config import CollectorConfig
from collector.labels import REASONS
from collector.report import plots
from collector.store.store import Store
from collector.study.from_store import stored_study
from collector.study.study import Study, subgroups, to_json
from collector.web.page import render


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison of one state of the store."""

    state: tuple[Any, ...]
    parts: Mapping[str, Any]
    figures: Mapping[str, Any]


class Comparisons:
    """The latest comparison, made anew only when the store has changed, by one thread at a time."""

    def __init__(self, config: CollectorConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._lock = threading.Lock()
        self._latest: Compared | None = None

    def get(self) -> Compared:
        """Raises StoreAway."""
        with self._lock:
            state = self._store.state()
            if self._latest is None or self._latest.state != state:
                settings = self._config.compare
                study = stored_study(self._store, settings)
                comparison = study.comparison(resamples=settings.resamples, seed=settings.seed)
                self._latest = Compared(
                    state=state, parts=comparison_parts(study, comparison), figures=to_json(study, comparison)
                )
            return self._latest


def comparison_parts(study: Study, comparison: Comparison) -> Mapping[str, Any]:
    """What the comparison template needs; the drawings are the costly part."""
    adjusted = {(x.a, x.b, x.metric): x.p for x in comparison.adjusted()}
    reasons = [name for name in REASONS if any(system.excluded.get(name) for system in study.systems)]
    return {
        "study": study,
        "systems": comparison.systems,
        "pairs": comparison.pairs,
        "adjusted": adjusted,
        "metrics": METRICS,
        "left_out": reasons,
        "groups": subgroups(study),
        "forest": Markup(plots.forest(comparison)) if comparison.systems else "",  # noqa: S704  # drawn here
        "roc": Markup(plots.roc(comparison)) if comparison.systems else "",  # noqa: S704  # drawn here
    }


def standalone(study: Study, comparison: Comparison) -> str:
    """The comparison as one file that needs neither network nor server."""
    return render("comparison.html", nav=None, **comparison_parts(study, comparison))
