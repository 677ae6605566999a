"""The manifest: a CSV of images, its rows, and every fault in them.

Nothing here opens an image. Each fault names its row and the remedy, and is found before training starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from console.errors import UsageError
from train.recipe import DataSection

LABELS = {"normal": 0, "pneumonia": 1}
PARTS = ("train", "operating", "test")
AGE = re.compile(r"(\d{1,3}(?:\.\d+)?)([YMWD]?)", re.IGNORECASE)
UNITS_IN_A_YEAR = {"": 1.0, "Y": 1.0, "M": 12.0, "W": 52.1775, "D": 365.2425}
SHOWN_FAULTS = 20
SHOWN_ROWS = 4


class ManifestError(UsageError):
    """The manifest or its images cannot be trained on; the words name rows and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the manifest; `line` counts from 1 as an editor shows it, the header being 1.

    What the manifest does not say is "", the age in years None. `part` is "" for a row that plays none.
    """

    line: int
    file: str
    label: str
    patient: str
    part: str = ""
    cluster: str = ""
    source: str = ""
    tier: str = ""
    view: str = ""
    sex: str = ""
    age: float | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return f"line {self.line} ({self.file})"

    @property
    def person(self) -> str:
        """The patient; where no patient is known, the cluster of duplicates stands for one."""
        return self.patient or (f"cluster {self.cluster}" if self.cluster else "")


def read_table(manifest: Path, needed: Sequence[str] = ("file",)) -> pd.DataFrame:
    """All columns as text without outer blanks, nothing missing. Raises ManifestError, for missing columns too."""
    try:
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise ManifestError(
            f"{manifest}: cannot be read ({error.strerror}); name a CSV file, for fit with --manifest"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ManifestError(f"{manifest}: not a CSV table ({error})") from None
    if missing := [column for column in dict.fromkeys(needed) if column not in table.columns]:
        raise ManifestError(f"{manifest}: no column {', '.join(missing)}; add it, or change the recipe's data section")
    return table.fillna("").apply(lambda column: column.str.strip())


def needed_columns(section: DataSection) -> list[str]:
    """The columns that training cannot do without."""
    return ["file", "label", "patient_id", section.split_column, section.operating.column]


def need_sources(manifest: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise ManifestError unless the table has rows of each of the sources `names`."""
    sources = sorted(set(table.get("source", pd.Series(dtype=str))) - {""})
    if unknown := [name for name in dict.fromkeys(names) if name not in sources]:
        available = f"name one of {', '.join(sources)}" if sources else "its rows name no source"
        raise ManifestError(f"{manifest}: no image of source {', '.join(unknown)}; {available}")


def table_rows(table: pd.DataFrame, section: DataSection) -> Iterator[Row]:
    """Every row of the table; columns that it lacks are as if blank."""
    for number, record in enumerate(table.to_dict("records"), start=2):
        said = {str(name): str(value) for name, value in record.items()}
        yield Row(
            line=number,
            file=said["file"],
            label=said.get("label", ""),
            patient=said.get("patient_id", ""),
            part=part_of(said, section) or "",
            cluster=said.get("cluster_id", ""),
            source=said.get("source", ""),
            tier=said.get("tier", ""),
            view=said.get("view", ""),
            sex=said.get("sex", ""),
            age=years(said.get("age", "")),
        )


def part_of(record: Mapping[str, str], section: DataSection) -> str | None:
    """Which part a row plays, None for none."""
    split = record.get(section.split_column)
    if split in section.train:
        return "train"
    if split in section.test:
        return "test"
    return "operating" if record.get(section.operating.column) in section.operating.among else None


def years(text: str) -> float | None:
    """An age in years: `64`, `0.5`, or as DICOM writes it, `064Y`, `018M`. None for anything else."""
    found = AGE.fullmatch(text)
    return float(found[1]) / UNITS_IN_A_YEAR[found[2].upper()] if found else None


def age_faults(table: pd.DataFrame) -> list[str]:
    """Rows whose age is neither blank nor an age."""
    if "age" not in table.columns:
        return []
    return [
        f"line {number} ({file}): age {age!r}, years expected, as 64 or 064Y; correct it or leave it blank"
        for number, (file, age) in enumerate(zip(table["file"], table["age"], strict=True), start=2)
        if age and years(age) is None
    ]


def too_young(row: Row, section: DataSection) -> bool:
    """Whether the row's known age is below the recipe's."""
    return section.min_years is not None and row.age is not None and row.age < section.min_years


def manifest_faults(rows: list[Row], image_folder: Path) -> list[str]:
    """All that can be said before an image is opened."""
    return [*label_faults(rows), *file_faults(rows, image_folder), *class_faults(rows), *person_faults(rows)]


def label_faults(rows: list[Row]) -> list[str]:
    """Rows whose label is neither."""
    expected = " or ".join(LABELS)
    return [f"{r.name}: label {r.label!r}, {expected} expected; correct it" for r in rows if r.label not in LABELS]


def file_faults(rows: list[Row], image_folder: Path) -> list[str]:
    """Rows without their image."""
    remedy = f"is not under {image_folder}; correct --images, or delete the row"
    return [f"{r.name}: the image {remedy}" for r in rows if not r.file or not (image_folder / r.file).is_file()]


def class_faults(rows: list[Row]) -> list[str]:
    """Parts in which a class is missing."""
    found = {(row.part, row.label) for row in rows}
    remedy = "both classes are needed in each part; add rows, or change the recipe's data section"
    return [f"{part}: no {label} image; {remedy}" for part in PARTS for label in LABELS if (part, label) not in found]


def person_faults(rows: list[Row]) -> list[str]:
    """Rows of nobody, and patients and clusters of duplicates that stand in two parts."""
    remedy = "give each patient one, or else a cluster_id, so that parts can be kept apart"
    blank = [f"{row.name}: no patient_id; {remedy}" for row in rows if not row.person]
    by_patient = _two_parts("patient", {}, [(row.patient, row) for row in rows])
    by_cluster = _two_parts("cluster", {}, [(row.cluster, row) for row in rows])
    return [*blank, *by_patient, *by_cluster]


def _two_parts(noun: str, found: dict[str, list[Row]], named: list[tuple[str, Row]]) -> list[str]:
    for name, row in named:
        found.setdefault(name, []).append(row)
    return [
        _in_two_parts(noun, name, theirs)
        for name, theirs in found.items()
        if name and len({row.part for row in theirs}) > 1
    ]


def _in_two_parts(noun: str, name: str, theirs: list[Row]) -> str:
    first_of_part = {row.part: row for row in reversed(theirs)}
    shown = sorted({row.line: row for row in [*first_of_part.values(), *theirs[:SHOWN_ROWS]]}.items())
    rows, parts = ", ".join(row.name for _, row in shown), " and ".join(sorted(first_of_part))
    return f"{noun} {name} is in {parts}: {rows}; move all images of the {noun} to one part"


def raise_if(manifest: Path, faults: Sequence[Any]) -> None:
    """Raises ManifestError with the first of them, where there are any."""
    if faults:
        more = [f"  and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        lines = [f"  {fault}" for fault in faults[:SHOWN_FAULTS]]
        raise ManifestError("\n".join([f"{manifest}: {len(faults)} fault(s) to fix before training", *lines, *more]))
