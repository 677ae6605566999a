"""Site results: what boxes or `classify` wrote comes in; each image's score, to be looked up by any name, goes out."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from export.site.table import ReadsError, read_text, rows_of

PATHS = ("source_path", "file", "case_id")
"""Columns that name an image by its path, or by the path's end."""
KEYED = ("exposure_id", "study_id", "accession_id")
NAME_TYPES = {"source_path": ("path", "end"), "file": ("path", "end"), "case_id": ("exposure_id", "path", "end")}
"""What a value of the column may be, the most specific first."""
BOX_FIELDS = (*KEYED, "patient_id", "source_path")
TABLE_FIELDS = (*KEYED, "patient_id", *PATHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """One result. `fields` are its non-empty names by column, as text; `score` is as it was written, "" for none."""

    where: str
    digest: str
    fields: Mapping[str, str]
    score: object


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
    for record in _records(path):
        digests.append(record.digest)
        if record.digest == digest:
            image = _image(record)
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


def _records(path: Path) -> Iterator[_Record]:
    text = read_text(path)
    if text.lstrip().startswith("{"):
        yield from _json_records(path, text)
        return
    for row in rows_of(path, text):
        if missing := [name for name in ("score", "model_digest") if name not in row.cells]:
            raise ReadsError(f"{path}: no column {' and no '.join(missing)}; name a file that `classify` wrote")
        fields = {name: row.cells[name] for name in TABLE_FIELDS if row.cells.get(name)}
        yield _Record(where=row.where, digest=row.cells["model_digest"], fields=fields, score=row.cells["score"])


def _json_records(path: Path, text: str) -> Iterator[_Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}, line {number}"
        if line.strip():
            try:
                result = json.loads(line)
                digest = str(result["model"]["digest"])
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ReadsError(f"{where}: not a box's result; name a file that `classify` wrote") from None
            fields = {name: str(result[name]) for name in BOX_FIELDS if result.get(name)}
            yield _Record(where=where, digest=digest, fields=fields, score=result.get("score"))


def _image(record: _Record) -> ClassifiedImage:
    paths = [PurePosixPath(record.fields[column]) for column in PATHS if column in record.fields]
    exposure = record.fields.get("exposure_id") or (str(paths[0]) if paths else None)
    if not exposure:
        raise ReadsError(f"{record.where}: expected exposure_id or one of {', '.join(PATHS)}; add it")
    keyed = {(column, record.fields[column]) for column in KEYED if column in record.fields}
    ends = {("end", str(PurePosixPath(*path.parts[start:]))) for path in paths for start in range(1, len(path.parts))}
    return ClassifiedImage(
        exposure=exposure,
        patient=record.fields.get("patient_id", exposure),
        score=_score(record),
        names=frozenset(keyed | {("path", str(path)) for path in paths} | ends),
    )


def _score(record: _Record) -> float | None:
    if record.score is None or record.score in ("", "null"):
        return None
    score = math.nan
    if isinstance(record.score, str | int | float) and not isinstance(record.score, bool):
        with suppress(ValueError):
            score = float(record.score)
    if not 0.0 <= score <= 1.0:
        raise ReadsError(
            f"{record.where}: score: expected a number from 0 to 1, or nothing; name a file that `classify` wrote"
        )
    return score
