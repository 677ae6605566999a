"""Site results: what boxes or `classify` wrote comes in; each image's score, to be looked up by any name, goes out."""

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
"""Columns that name an image by its path, or by the path's end."""
KEYED = ("exposure_id", "study_id", "accession_id")
NAME_TYPES = {"source_path": ("path", "end"), "file": ("path", "end"), "case_id": ("exposure_id", "path", "end")}
"""What a value of the column may be, the most specific first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedImage:
    """One exposure. `score` is None where the network did not classify it. `names` are (type, name) pairs."""

    exposure: str
    patient: str
    score: float | None
    names: frozenset[tuple[str, str]]


class SiteResults:
    """The images that one network classified, and the number of results of other networks."""

    def __init__(self, images: Mapping[str, ClassifiedImage], of_other_networks: int) -> None:
        self.images = images
        self.of_other_networks = of_other_networks
        self._named: dict[tuple[str, str], list[ClassifiedImage]] = defaultdict(list)
        for image in images.values():
            for name in image.names:
                self._named[name].append(image)

    def find(self, column: str, value: str) -> list[ClassifiedImage]:
        """Return the images of this name; unclassified ones only where no classified one has it."""
        name = str(PurePosixPath(value)) if column in PATHS else value
        for name_type in NAME_TYPES.get(column, (column,)):
            if images := self._named.get((name_type, name)):
                return [image for image in images if image.score is not None] or images
        return []


def site_results(path: Path, *, digest: str) -> SiteResults:
    """Read JSON lines, or CSV with `score`, `model_digest` and a name; the last result of an image counts.

    Raises ReadsError.
    """
    images: dict[str, ClassifiedImage] = {}
    digests = []
    for where, result in _records(path):
        digests.append(result["model_digest"])
        if result["model_digest"] == digest:
            image = _image(where, result)
            images[image.exposure] = _joined(images.get(image.exposure), image)
    if not images:
        others = ", ".join(sorted({f"{other[:12]}…" for other in digests})) or "none"
        raise ReadsError(
            f"{path}: expected results of this bundle's network {digest[:12]}…, got results of {others}; "
            "classify the images with this bundle"
        )
    return SiteResults(images, sum(other != digest for other in digests))


def _joined(before: ClassifiedImage | None, image: ClassifiedImage) -> ClassifiedImage:
    """An image sent twice, or under two names, is one."""
    if before is None:
        return image
    return ClassifiedImage(
        exposure=image.exposure,
        patient=image.patient,
        names=before.names | image.names,
        score=before.score if image.score is None else image.score,
    )


def _records(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    text = read_text(path)
    if text.lstrip().startswith("{"):
        yield from _json_records(path, text)
        return
    for row in rows_of(path, text):
        if missing := [name for name in ("score", "model_digest") if name not in row.cells]:
            raise ReadsError(f"{path}: no column {' and no '.join(missing)}; name a file that `classify` wrote")
        yield row.where, dict(row.cells)


def _json_records(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}, line {number}"
        if line.strip():
            try:
                result = json.loads(line)
                digest = result["model"]["digest"]
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ReadsError(f"{where}: not a box's result; name a file that `classify` wrote") from None
            yield where, {**{name: result.get(name) for name in FIELDS}, "model_digest": str(digest)}


def _image(where: str, result: Mapping[str, Any]) -> ClassifiedImage:
    keyed = {(column, str(result[column])) for column in KEYED if result.get(column)}
    paths = [PurePosixPath(str(result[column])) for column in PATHS if result.get(column)]
    exposure = result.get("exposure_id") or (str(paths[0]) if paths else None)
    if not exposure:
        raise ReadsError(f"{where}: expected exposure_id or one of {', '.join(PATHS)}; add it")
    ends = {("end", str(PurePosixPath(*path.parts[start:]))) for path in paths for start in range(1, len(path.parts))}
    names = keyed | {("path", str(path)) for path in paths} | ends
    patient = result.get("patient_id") or exposure
    return ClassifiedImage(
        exposure=str(exposure), patient=str(patient), score=_score(where, result), names=frozenset(names)
    )


def _score(where: str, result: Mapping[str, Any]) -> float | None:
    value = result.get("score")
    if value is None or value in {"", "null"}:
        return None
    try:
        score = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not 0.0 <= score <= 1.0:
        raise ReadsError(
            f"{where}: score: expected a number from 0 to 1, or nothing; name a file that `classify` wrote"
        )
    return score
