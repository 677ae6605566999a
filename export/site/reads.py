"""Site reads: a network's results and radiologists' reads come in; scores and labels of their common images go out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from device.contract import IdentifierType, content_id, load_site_key, pseudonym
from export.site.results import (
    KEYED,
    PATHS,
    ClassifiedImage,
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
    """The n images with a score and a reference: `logits` float64 (n,), `labels` int64 (n,), and patients.

    `left_out` is the number left out, by reason.
    """

    logits: NDArray[np.float64]
    labels: NDArray[np.int64]
    patients: tuple[str, ...]
    left_out: Mapping[str, int]

    def count(self, label: int) -> int:
        """Return the number of images with this label."""
        return int((self.labels == label).sum())

    @property
    def description(self) -> str:
        """Say which images they are."""
        return f"{self.count(0)} normal and {self.count(1)} pneumonia images by the site's own reads"


@dataclass(slots=True, kw_only=True)
class _Votes:
    """Label and line by exposure and reader, and the reads that name no image, or several."""

    images: dict[str, dict[str, tuple[int, str]]] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    ambiguous: set[str] = field(default_factory=set)

    def add(self, image: ClassifiedImage, reader: str, label: int, where: str) -> None:
        """Count a reader's label of an image once. Raises ReadsError for another label than before."""
        before, line = self.images.setdefault(image.exposure, {}).setdefault(reader, (label, where))
        if before != label:
            remedy = "keep one" if reader else "keep one, or name the readers in a column reader"
            raise ReadsError(f"{where}: another label for the image of {line.rpartition(', ')[2]}; {remedy}")

    def labels(self) -> dict[str, int]:
        """Return each exposure's majority label; a tie is no reference."""
        shares = {
            exposure: float(np.mean([label for label, _ in reads.values()])) for exposure, reads in self.images.items()
        }
        return {exposure: int(share > 0.5) for exposure, share in shares.items() if share != 0.5}


def site_reads(results: Path, reads: Path, *, digest: str, site_key: Path | None = None) -> SiteReads:
    """Pair the results of the network with this SHA-256 with their reads.

    `site_key` is for reads that name images by raw DICOM identifiers. Raises ReadsError, ContractError.
    """
    key = None if site_key is None else load_site_key(site_key)
    classified = site_results(results, digest=digest)
    votes = _votes(reads, classified, key)
    if not votes.images:
        raise ReadsError(f"{reads}: none of its images is in {results}; compare how both name images")
    site = _paired(classified, votes)
    if votes.labels() and not len(site.labels):
        raise ReadsError(
            f"{results}: the network classified none of the images with a read; their gate reasons say why"
        )
    for label, name in enumerate(("normal", "pneumonia")):
        if not site.count(label):
            raise ReadsError(f"{reads}: no {name} image among the {len(site.labels)} with a score; add reads of some")
    return site


def _paired(classified: SiteResults, votes: _Votes) -> SiteReads:
    labels = votes.labels()
    images = [classified.images[exposure] for exposure in sorted(labels)]
    scored = [(image, image.score) for image in images if image.score is not None]
    return SiteReads(
        logits=logit(np.clip(np.array([score for _, score in scored]), SMALLEST, 1 - SMALLEST)),
        labels=np.array([labels[image.exposure] for image, _ in scored], np.int64),
        patients=tuple(image.patient for image, _ in scored),
        left_out={
            "results of another network": classified.of_other_networks,
            "images with a result and no read": len(classified.images) - len(votes.images),
            "reads without a result": len(votes.unknown),
            "reads that match several images": len(votes.ambiguous),
            "images whose reads tie": len(votes.images) - len(labels),
            "images that the network did not classify": len(images) - len(scored),
        },
    )


def _votes(reads: Path, classified: SiteResults, key: bytes | None) -> _Votes:
    votes = _Votes()
    for row in rows_of(reads, read_text(reads)):
        if "label" not in row.cells or not set(COLUMNS) & set(row.cells):
            names = ", ".join(COLUMNS)
            raise ReadsError(f"{reads}: expected the columns label and one of {names}, separated by commas; add them")
        reader, label = _reader(row), _label(row)
        column, value = _name(row, key)
        matches = classified.find(column, value)
        if len(matches) == 1:
            votes.add(matches[0], reader, label, row.where)
        else:
            (votes.ambiguous if matches else votes.unknown).add(value)
    return votes


def _reader(row: Row) -> str:
    reader = row.cells.get("reader", "")
    if "reader" in row.cells and not reader:
        raise ReadsError(f"{row.where}: reader: empty; name the reader in every row, or leave the column out")
    return reader


def _label(row: Row) -> int:
    label = LABELS.get(row.cells["label"].lower())
    if label is None:
        raise ReadsError(f"{row.where}: label: expected 0, 1, normal or pneumonia; correct it")
    return label


def _name(row: Row, key: bytes | None) -> tuple[str, str]:
    """Return the column and value of a read's most specific name; raw identifiers become keyed."""
    cells = dict(row.cells)
    for raw, (column, identifier_type) in RAW.items():
        if value := cells.get(raw):
            if key is None:
                raise ReadsError(
                    f"{row.where}: {raw}: is a raw identifier; name the site key of the results with --site-key"
                )
            cells[column] = cells.get(column) or pseudonym(key, identifier_type, value) or ""
    if value := cells.get(CONTENT):
        cells["exposure_id"] = cells.get("exposure_id") or content_id(key or b"", value.lower())
    for column in ORDER:
        if value := cells.get(column):
            return column, value.lower() if column in KEYED else value
    raise ReadsError(f"{row.where}: names no image; fill in one of {', '.join(COLUMNS)}")
