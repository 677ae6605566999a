"""Comparisons: the store, or a study, comes in; its comparison as a page and as JSON goes out.

Imports matplotlib and statsmodels, which takes seconds: `collector.web.app` imports this module at the first request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from collector.compare import METRICS, Comparison
from collector.config import CompareConfig
from collector.labels import REASONS
from collector.report import plots
from collector.store.store import State, Store
from collector.study.from_store import stored_study
from collector.study.study import Study, Subgroup, subgroups, to_json
from collector.web.page import render


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonPage:
    """A comparison of one state of the store. Plots are SVG; they take most of the time."""

    state: State
    study: Study
    comparison: Comparison
    subgroups: tuple[Subgroup, ...]
    forest: str
    roc: str
    figures: Mapping[str, object]

    def render(self, *, nav: str | None = "comparison") -> str:
        """Return the page as HTML; without `nav`, a standalone one."""
        study, comparison = self.study, self.comparison
        return render(
            "comparison.html",
            nav=nav,
            study=study,
            systems=comparison.systems,
            pairs=comparison.pairs,
            adjusted={(test.a, test.b, test.metric): test.p for test in comparison.adjusted()},
            metrics=METRICS,
            left_out=[name for name in REASONS if any(system.excluded.get(name) for system in study.systems)],
            groups=self.subgroups,
            forest=Markup(self.forest),  # noqa: S704  # drawn here
            roc=Markup(self.roc),  # noqa: S704  # drawn here
        )


def compare_store(store: Store, settings: CompareConfig) -> ComparisonPage:
    """Return the comparison of everything the store holds. Raises StoreUnavailable."""
    state = store.state()
    study = stored_study(store, settings)
    return _comparison_page(study, study.comparison(resamples=settings.resamples, seed=settings.seed), state)


def _comparison_page(study: Study, comparison: Comparison, state: State) -> ComparisonPage:
    return ComparisonPage(
        state=state,
        study=study,
        comparison=comparison,
        subgroups=subgroups(study),
        forest=plots.forest(comparison) if comparison.systems else "",
        roc=plots.roc(comparison) if comparison.systems else "",
        figures=to_json(study, comparison),
    )


def standalone(study: Study, comparison: Comparison) -> str:
    """Return the comparison as one HTML file that needs neither network nor server."""
    return _comparison_page(study, comparison, ()).render(nav=None)
