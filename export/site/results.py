"""Site results: what boxes or `classify` wrote comes in; each film's score, to be found by all its names, goes out."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from export.site.table import ReadsError, read_text, rows_of

FIELDS = ("exposure_id", "study_id", "accession_id", "patient_id", "source_path", "score")
PATHS = ("source_path", "file", "case_id")
"""Columns that name a film by its path, or by the path's end."""
KEYED = ("exposure_id", "study_id", "accession_id")
KINDS = {"source_path": ("path", "end"), "file": ("path", "end"), "case_id": ("exposure_id", "path", "end")}
"""Names that a column may mean, the surest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One exposure. `score` None: the network did not judge it. `names` are kinds and names, `end` a path's end."""

    exposure: str
    patient: str
    score: float | None
    names: frozenset[tuple[str, str]]


class SiteResults:
    """The films that one network answered; `foreign` results are of other networks."""

    def __init__(self, films: Mapping[str, Film], foreign: int) -> None:
        self.films = films
        self.foreign = foreign
        self._named: dict[tuple[str, str], list[Film]] = defaultdict(list)
        for film in films.values():
            for name in film.names:
                self._named[name].append(film)

    def find(self, column: str, value: str) -> list[Film]:
        """The films of this name; beside one that the network judged, those it did not judge do not count."""
        name = str(PurePosixPath(value)) if column in PATHS else value
        for kind in KINDS.get(column, (column,)):
            if found := self._named.get((kind, name)):
                return [film for film in found if film.score is not None] or found
        return []


def site_results(path: Path, *, digest: str) -> SiteResults:
    """JSON lines, or CSV with `score`, `model_digest` and a name; the last result of a film counts. ReadsError."""
    films: dict[str, Film] = {}
    digests = []
    for where, result in _records(path):
        digests.append(result["model_digest"])
        if result["model_digest"] == digest:
            film = _film(where, result)
            films[film.exposure] = _joined(films.get(film.exposure), film)
    if not films:
        others = ", ".join(sorted({f"{found[:12]}…" for found in digests})) or "none"
        raise ReadsError(
            f"{path}: no result of this bundle's network {digest[:12]}…, but of {others}; classify the films with it"
        )
    return SiteResults(films, sum(found != digest for found in digests))


def _joined(before: Film | None, film: Film) -> Film:
    """A film sent twice, or under two names, is one."""
    if before is None:
        return film
    return Film(
        exposure=film.exposure, patient=film.patient, names=before.names | film.names,
        score=before.score if film.score is None else film.score,
    )  # fmt: skip


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    text = read_text(path)
    if text.lstrip().startswith("{"):
        yield from _json_records(path, text)
        return
    for row in rows_of(path, text):
        if missing := [name for name in ("score", "model_digest") if name not in row.cells]:
            raise ReadsError(f"{path}: no column {' and no '.join(missing)}; name what `classify` wrote")
        yield row.where, dict(row.cells)


def _json_records(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}, line {number}"
        if line.strip():
            try:
                result = json.loads(line)
                digest = result["model"]["digest"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ReadsError(f"{where}: no result of a box; name what `classify` wrote") from None
            yield where, {**{name: result.get(name) for name in FIELDS}, "model_digest": str(digest)}


def _film(where: str, result: Mapping[str, Any]) -> Film:
    keyed = {(kind, str(result[kind])) for kind in KEYED if result.get(kind)}
    paths = [PurePosixPath(str(result[column])) for column in PATHS if result.get(column)]
    exposure = result.get("exposure_id") or (str(paths[0]) if paths else None)
    if not exposure:
        raise ReadsError(f"{where}: exposure_id or one of {', '.join(PATHS)} expected; add it")
    ends = {("end", str(PurePosixPath(*path.parts[start:]))) for path in paths for start in range(1, len(path.parts))}
    names = keyed | {("path", str(path)) for path in paths} | ends
    patient = result.get("patient_id") or exposure
    return Film(exposure=str(exposure), patient=str(patient), score=_score(where, result), names=frozenset(names))


def _score(where: str, result: Mapping[str, Any]) -> float | None:
    value = result.get("score")
    if value is None or value in {"", "null"}:
        return None
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise ReadsError(f"{where}: score: a number from 0 to 1, or nothing, expected; name what `classify` wrote")
    return score
