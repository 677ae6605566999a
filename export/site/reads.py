"""Site reads: a network's results and radiologists' reads come in; scores and labels of the films both have go out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from device.contract import IdentifierType, content_id, load_site_key, pseudonym
from export.site.results import (
    KEYED,
    PATHS,
    Film,
    SiteResults,
    site_results,
)
from export.site.table import (
    ReadsError,
    Row,
    read_text,
    rows_of,
)

__all__ = ["ReadsError", "SiteReads", "site_reads"]

LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "normal": 0, "pneumonia": 1}
RAW = {
    "sop_instance_uid": ("exposure_id", IdentifierType.EXPOSURE),
    "study_instance_uid": ("study_id", IdentifierType.STUDY),
    "accession_number": ("accession_id", IdentifierType.ACCESSION),
}
"""The collector's columns of raw identifiers; see docs/collector.md."""
CONTENT = "content_sha256"
ORDER = ("exposure_id", *PATHS, "study_id", "accession_id")
"""A read that names an exposure belongs to it or to none; then a file, a study, an accession number."""
COLUMNS = (*ORDER, *RAW, CONTENT)
SMALLEST = 1e-12
"""A score that was rounded to 0 or 1 has no finite logit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReads:
    """Of n films with a score and a reference: `logits` float64 (n,), `labels` int64 (n,), whose films they are.

    `left_out` says how many were left out, by reason.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    left_out: Mapping[str, int]

    def count(self, label: int) -> int:
        """Films of one label."""
        return int((self.labels == label).sum())

    @property
    def words(self) -> str:
        """Which films they are, for people."""
        return f"{self.count(0)} normal and {self.count(1)} pneumonia films by the site's own reads"


@dataclass(slots=True, kw_only=True)
class _Votes:
    """What readers said: label and line by film and reader, and the reads that no film could be found for."""

    films: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    ambiguous: set[str] = field(default_factory=set)

    def labels(self) -> dict[str, int]:
        """Each film's majority; a tie is no reference."""
        shares = {film: float(np.mean([label for label, _ in said.values()])) for film, said in self.films.items()}
        return {film: int(share > 0.5) for film, share in shares.items() if share != 0.5}


def site_reads(results: Path, reads: Path, *, digest: str, site_key: Path | None = None) -> SiteReads:
    """Results of the network with this SHA-256, and their reads.

    `site_key`: for reads that name films by raw DICOM identifiers. Raises ReadsError, ContractError.
    """
    key = None if site_key is None else load_site_key(site_key)
    known = site_results(results, digest=digest)
    votes = _votes(reads, known, key)
    labels = votes.labels()
    if not votes.films:
        raise ReadsError(f"{reads}: none of its films is in {results}; compare how both name films")
    films = [known.films[film] for film in sorted(labels)]
    judged = [(film, film.score) for film in films if film.score is not None]
    site = SiteReads(
        logits=logit(np.clip(np.array([score for _, score in judged]), SMALLEST, 1 - SMALLEST)),
        labels=np.array([labels[film.exposure] for film, _ in judged], np.int64),
        patients=tuple(film.patient for film, _ in judged),
        left_out={
            "results of another network": known.foreign,
            "films with a result and no read": len(known.films) - len(votes.films),
            "reads without a result": len(votes.unknown),
            "reads that fit several films": len(votes.ambiguous),
            "films whose reads tie": len(votes.films) - len(labels),
            "films that the network did not judge": len(films) - len(judged),
        },
    )
    if films and not judged:
        raise ReadsError(f"{results}: the network judged none of the films with a read; their gate says why")
    return _both_classes(site, reads)


def _both_classes(site: SiteReads, reads: Path) -> SiteReads:
    for label, name in enumerate(("normal", "pneumonia")):
        if not site.count(label):
            raise ReadsError(f"{reads}: no {name} film among the {len(site.labels)} with a score; add reads of some")
    return site


def _votes(reads: Path, known: SiteResults, key: bytes | None) -> _Votes:
    votes = _Votes()
    for row in _rows(reads):
        reader, label = _reader(row), _label(row)
        column, value = _name(row, key)
        found = known.find(column, value)
        if len(found) == 1:
            _count(votes, found[0], reader, label, row.where)
        else:
            (votes.ambiguous if found else votes.unknown).add(value)
    return votes


def _rows(reads: Path) -> Iterator[Row]:
    for row in rows_of(reads, read_text(reads)):
        if "label" not in row.cells or not set(COLUMNS) & set(row.cells):
            names = ", ".join(COLUMNS)
            raise ReadsError(f"{reads}: columns label and one of {names} expected, with commas between; add them")
        yield row


def _count(votes: _Votes, film: Film, reader: str, label: int, where: str) -> None:
    before, line = votes.films.setdefault(film.exposure, {}).setdefault(reader, (label, where))
    if before != label:
        remedy = "keep one" if reader else "keep one, or name the readers in a column reader"
        raise ReadsError(f"{where}: another label for the film of {line.rpartition(', ')[2]}; {remedy}")


def _reader(row: Row) -> str:
    reader = row.cells.get("reader", "")
    if "reader" in row.cells and not reader:
        raise ReadsError(f"{row.where}: reader: empty; name the reader in every row, or leave the column out")
    return reader


def _label(row: Row) -> int:
    found = LABELS.get(row.cells["label"].lower())
    if found is None:
        raise ReadsError(f"{row.where}: label: 0, 1, normal or pneumonia expected; correct it")
    return found


def _name(row: Row, key: bytes | None) -> tuple[str, str]:
    """The best of a read's names, and its column among those of results; raw identifiers keyed."""
    cells = dict(row.cells)
    for raw, (column, kind) in RAW.items():
        if value := cells.get(raw):
            if key is None:
                raise ReadsError(f"{row.where}: {raw}: name the key of the results with --site-key")
            cells[column] = cells.get(column) or pseudonym(key, kind, value) or ""
    if value := cells.get(CONTENT):
        cells["exposure_id"] = cells.get("exposure_id") or content_id(key or b"", value.lower())
    for column in ORDER:
        if value := cells.get(column):
            return column, value.lower() if column in KEYED else value
    raise ReadsError(f"{row.where}: names no film; fill in one of {', '.join(COLUMNS)}")
