"""A site's results and reads, written by tests."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from export.site.reads import ReadsError, SiteReads, site_reads

DIGEST, OTHER = "a" * 64, "b" * 64
KEY = bytes(range(32))


def result(path: str, score: float | None, *, digest: str = DIGEST, **ids: Any) -> dict[str, Any]:
    """Return the fields of a result of `classify` that matter here."""
    return {
        "schema": 1,
        "exposure_id": hashlib.sha256(path.encode()).hexdigest()[:32],
        "study_id": None,
        "patient_id": None,
        "accession_id": None,
        "flag": "unclassified" if score is None else "review",
        "score": score,
        "model": {"name": "study", "version": 1, "digest": digest},
        "source_path": path,
        **ids,
    }


class Site:
    """A folder with a site's results and reads."""

    def __init__(self, folder: Path) -> None:
        self.results, self.reads, self.key = folder / "results.jsonl", folder / "reads.csv", folder / "site.key"
        self.key.write_text(KEY.hex())
        self.key.chmod(0o600)

    def has(self, *results: dict[str, Any]) -> None:
        self.results.write_text("".join(json.dumps(one) + "\n" for one in results))

    def read(self, header: str, *lines: str, keyed: bool = False) -> SiteReads:
        self.reads.write_text("\n".join([header, *lines, ""]))
        return site_reads(self.results, self.reads, digest=DIGEST, site_key=self.key if keyed else None)

    def refuses(self, message: str, header: str, *lines: str) -> None:
        with pytest.raises(ReadsError, match=message):
            self.read(header, *lines)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two images, `images/a.png` (0.25) and `images/b.png` (0.75)."""
    site = Site(tmp_path)
    site.has(result("images/a.png", 0.25), result("images/b.png", 0.75))
    return site


def scores(paired: SiteReads) -> list[tuple[float, int]]:
    """Return the score and label of each image, ascending."""
    pairs = zip(1 / (1 + np.exp(-paired.logits)), paired.labels, strict=True)
    return sorted((round(float(score), 6), int(label)) for score, label in pairs)


def left_out(paired: SiteReads) -> dict[str, int]:
    return {reason: count for reason, count in paired.left_out.items() if count}
