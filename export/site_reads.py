"""Site reads: a network's results and radiologists' reads come in; scores and labels of the films both have go out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "normal": 0, "pneumonia": 1}
KEYS = ("exposure_id", "source_path", "file", "case_id")
"""By what a read names its film: the first of these columns that the file has."""
RESULT_FIELDS = ("exposure_id", "source_path", "flag", "score")
SMALLEST = 1e-12
"""A score that was rounded to 0 or 1 has no finite logit."""


class ReadsError(Exception):
    """Results and reads cannot be used; the words name file, line and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReads:
    """Of n films with a score and a reference: `logits` float64 (n,), `labels` int64 (n,).

    `left_out` says how many were left out, by reason.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    left_out: Mapping[str, int]

    def count(self, label: int) -> int:
        """Films of one label."""
        return int((self.labels == label).sum())

    @property
    def words(self) -> str:
        """Which films they are, for people."""
        return f"{self.count(0)} normal and {self.count(1)} pneumonia films by the site's own reads"


def site_reads(results: Path, reads: Path, *, digest: str) -> SiteReads:
    """Results of the network with this SHA-256, and their reads. Raises ReadsError."""
    scores, foreign = _of_network(results, digest)
    key, labels, ties = _references(reads)
    found = _matched(scores, key, labels, reads, results)
    judged = {case: score for case, score in found.items() if score is not None}
    named = sorted(judged)
    site = SiteReads(
        logits=logit(np.clip([judged[case] for case in named], SMALLEST, 1 - SMALLEST)),
        labels=np.array([labels[case] for case in named], np.int64),
        left_out={
            "results of another network": foreign,
            "reads that tie": ties,
            "reads without a result": len(labels) - len(found),
            "films that the network did not judge": len(found) - len(judged),
        },
    )
    return _both_classes(site, reads)


def _both_classes(site: SiteReads, reads: Path) -> SiteReads:
    for label, name in enumerate(("normal", "pneumonia")):
        if not site.count(label):
            raise ReadsError(f"{reads}: no {name} film among the {len(site.labels)} with a score; add reads of some")
    return site


def _of_network(path: Path, digest: str) -> tuple[pd.DataFrame, int]:
    """Columns of RESULT_FIELDS, the last result of each film, and how many are of other networks."""
    table = _results(path)
    if missing := [name for name in ("score", "model_digest") if name not in table]:
        raise ReadsError(f"{path}: no {' and no '.join(missing)} in the results; name what `classify` wrote")
    ours = table[table["model_digest"] == digest]
    if ours.empty:
        others = ", ".join(sorted({str(found)[:12] for found in table["model_digest"]})) or "none"
        raise ReadsError(
            f"{path}: no result of this bundle's network {digest[:12]}…, but of {others}; classify the films with it"
        )
    return ours, len(table) - len(ours)


def _results(path: Path) -> pd.DataFrame:
    text = _text(path)
    if text.lstrip().startswith("{"):
        return pd.DataFrame(list(_json_lines(path, text)))
    return _table(path)


def _json_lines(path: Path, text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            try:
                result = json.loads(line)
                yield {**{name: result.get(name) for name in RESULT_FIELDS}, "model_digest": result["model"]["digest"]}
            except (ValueError, KeyError, TypeError, AttributeError):
                raise ReadsError(f"{path}: line {number} is no result; name what `classify` wrote") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ReadsError(f"{path}: cannot be read ({error.strerror}); name a file") from None
    except UnicodeDecodeError:
        raise ReadsError(f"{path}: not UTF-8 text; export it as UTF-8") from None


def _table(path: Path) -> pd.DataFrame:
    _text(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ReadsError(
            f"{path}: not a CSV table ({error}); a header line and a line for each film expected"
        ) from None
    return table.apply(lambda column: column.str.strip())


def _references(path: Path) -> tuple[str, dict[str, int], int]:
    """By which column films are named, each film's majority label, and how many tie."""
    table = _table(path)
    key = next((name for name in KEYS if name in table), None)
    if key is None or "label" not in table:
        raise ReadsError(f"{path}: columns label and one of {', '.join(KEYS)} expected; add them")
    votes: dict[str, list[int]] = {}
    for line, (case, label) in enumerate(zip(table[key], table["label"], strict=True), start=2):
        if label.lower() not in LABELS or not case:
            raise ReadsError(f"{path}: line {line}: {key} and a label 0, 1, normal or pneumonia expected; correct it")
        votes.setdefault(case, []).append(LABELS[label.lower()])
    labels = {case: int(np.mean(found) > 0.5) for case, found in votes.items() if np.mean(found) != 0.5}
    return key, labels, len(votes) - len(labels)


def _matched(
    scores: pd.DataFrame, key: str, labels: Mapping[str, int], reads: Path, results: Path
) -> dict[str, float | None]:
    """The score of each film with a read; None where the network did not judge it."""
    column = key if key in scores else "source_path"
    if column not in scores:
        raise ReadsError(f"{reads}: films are named by {key}, which {results} does not have; name them as it does")
    known = {str(name): _score(score) for name, score in zip(scores[column], scores["score"], strict=True)}
    if column == "source_path":
        known = _by_ending(known) | known
    found = {case: known[case] for case in labels if case in known}
    if not found:
        raise ReadsError(f"{reads}: none of the {len(labels)} films is in {results}; compare how both name films")
    return found


def _score(value: Any) -> float | None:
    return None if value is None or value in {"", "null"} or pd.isna(value) else float(value)


def _by_ending(known: Mapping[str, float | None]) -> dict[str, float | None]:
    """Paths also by their ends, `b/c.png` for `a/b/c.png`, where only one path ends so."""
    endings: dict[str, list[str]] = {}
    for name in known:
        parts = Path(name).parts
        for start in range(1, len(parts)):
            endings.setdefault("/".join(parts[start:]), []).append(name)
    return {ending: known[names[0]] for ending, names in endings.items() if len(names) == 1}


__all__ = ["ReadsError", "SiteReads", "site_reads"]
