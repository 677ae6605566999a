"""Read the manifest, a CSV with one row per image, and list every fault in it.

No image is opened here. Each fault names its row and the remedy, and is reported before training starts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """The manifest or its images cannot be trained on; the message names rows and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the manifest; `line` counts from 1 as an editor shows it, the header being 1.

    Blank and missing columns are "", the age in years None. `part` is train, operating, test, or "" for none of them.
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
        """Line and file, for messages."""
        return f"line {self.line} ({self.file})"

    @property
    def person(self) -> str:
        """The patient; without a patient_id, the cluster of duplicates stands for one."""
        return self.patient or (f"cluster {self.cluster}" if self.cluster else "")


def read_table(manifest: Path, needed: Sequence[str] = ("file",)) -> pd.DataFrame:
    """Return all columns as text without outer blanks, "" for a missing value.

    Raises ManifestError for a file that is no CSV table, or that lacks one of the columns `needed`.
    """
    try:
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except OSError as error:
        raise ManifestError(
            f"{manifest}: cannot be read ({error.strerror}); name a CSV file (`fit` takes it as --manifest)"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ManifestError(f"{manifest}: not a CSV table ({error})") from None
    if missing := [column for column in dict.fromkeys(needed) if column not in table.columns]:
        raise ManifestError(f"{manifest}: no column {', '.join(missing)}; add it, or change the recipe's data section")
    return table.fillna("").apply(lambda column: column.str.strip())


def needed_columns(section: DataSection) -> list[str]:
    """Return the columns that training requires."""
    return ["file", "label", "patient_id", section.split_column, section.operating.column]


def need_sources(manifest: Path, table: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise ManifestError unless the table has rows of each of the sources `names`."""
    sources = sorted(set(table.get("source", pd.Series(dtype=str))) - {""})
    if unknown := [name for name in dict.fromkeys(names) if name not in sources]:
        available = f"name one of {', '.join(sources)}" if sources else "its rows name no source"
        raise ManifestError(f"{manifest}: no image of source {', '.join(unknown)}; {available}")


def table_rows(table: pd.DataFrame, section: DataSection) -> Iterator[Row]:
    """Yield every row of the table; a missing column counts as blank."""
    for number, record in enumerate(table.to_dict("records"), start=2):
        values = {str(name): str(value) for name, value in record.items()}
        yield Row(
            line=number,
            file=values["file"],
            label=values.get("label", ""),
            patient=values.get("patient_id", ""),
            part=part_of(values, section) or "",
            cluster=values.get("cluster_id", ""),
            source=values.get("source", ""),
            tier=values.get("tier", ""),
            view=values.get("view", ""),
            sex=values.get("sex", ""),
            age=years(values.get("age", "")),
        )


def part_of(record: Mapping[str, str], section: DataSection) -> str | None:
    """Return train, operating or test, whichever the row belongs to; None for none of them."""
    split = record.get(section.split_column)
    if split in section.train:
        return "train"
    if split in section.test:
        return "test"
    return "operating" if record.get(section.operating.column) in section.operating.among else None


def years(text: str) -> float | None:
    """Parse an age in years, such as `64` or `0.5`, or in DICOM's form, such as `064Y` or `018M`; None for others."""
    match = AGE.fullmatch(text)
    return float(match[1]) / UNITS_IN_A_YEAR[match[2].upper()] if match else None


def age_faults(table: pd.DataFrame) -> list[str]:
    """List the rows whose age is neither blank nor an age."""
    if "age" not in table.columns:
        return []
    return [
        f"line {number} ({file}): age: expected years, such as 64 or 064Y, got {age!r}; correct it or leave it blank"
        for number, (file, age) in enumerate(zip(table["file"], table["age"], strict=True), start=2)
        if age and years(age) is None
    ]


def too_young(row: Row, section: DataSection) -> bool:
    """Return whether the row has an age and it is below the recipe's minimum."""
    return section.min_years is not None and row.age is not None and row.age < section.min_years


def manifest_faults(rows: list[Row], image_folder: Path) -> list[str]:
    """List every fault that shows before an image is opened."""
    return [*label_faults(rows), *file_faults(rows, image_folder), *class_faults(rows), *person_faults(rows)]


def label_faults(rows: list[Row]) -> list[str]:
    """List the rows whose label is neither normal nor pneumonia."""
    wrong = [row for row in rows if row.label not in LABELS]
    return [f"{row.name}: label: expected {' or '.join(LABELS)}, got {row.label!r}; correct it" for row in wrong]


def file_faults(rows: list[Row], image_folder: Path) -> list[str]:
    """List the rows whose image does not exist."""
    missing = [row for row in rows if not row.file or not (image_folder / row.file).is_file()]
    return [f"{row.name}: no such image in {image_folder}; correct --images or delete the row" for row in missing]


def class_faults(rows: list[Row]) -> list[str]:
    """List the parts in which a class is missing."""
    present = {(row.part, row.label) for row in rows}
    remedy = "both classes are needed in each part; add rows, or change the recipe's data section"
    return [f"{part}: no {label} image; {remedy}" for part in PARTS for label in LABELS if (part, label) not in present]


def person_faults(rows: list[Row]) -> list[str]:
    """List the rows without a patient, and the patients and clusters of duplicates that are in two parts."""
    by_patient = _in_two_parts("patient", [(row.patient, row) for row in rows])
    by_cluster = _in_two_parts("cluster", [(row.cluster, row) for row in rows])
    return [*anonymous_faults(rows), *by_patient, *by_cluster]


def anonymous_faults(rows: Sequence[Row]) -> list[str]:
    """List the rows that have neither a patient nor a cluster of duplicates."""
    remedy = "give each patient one, or else a cluster_id, so that parts can be kept apart"
    return [f"{row.name}: no patient_id; {remedy}" for row in rows if not row.person]


def _in_two_parts(noun: str, named: list[tuple[str, Row]]) -> list[str]:
    groups: dict[str, list[Row]] = {}
    for name, row in named:
        groups.setdefault(name, []).append(row)
    faults = []
    for name, rows in groups.items():
        first_of_part = {row.part: row for row in reversed(rows)}
        if name and len(first_of_part) > 1:
            shown = {row.line: row.name for row in [*first_of_part.values(), *rows[:SHOWN_ROWS]]}
            lines, parts = ", ".join(shown[line] for line in sorted(shown)), " and ".join(sorted(first_of_part))
            faults.append(f"{noun} {name} is in {parts}: {lines}; move all images of the {noun} to one part")
    return faults


def raise_if(manifest: Path, faults: Sequence[str]) -> None:
    """Raise ManifestError with the first SHOWN_FAULTS of the faults, where there are any."""
    if faults:
        more = [f"  and {len(faults) - SHOWN_FAULTS} more"] if len(faults) > SHOWN_FAULTS else []
        lines = [f"  {fault}" for fault in faults[:SHOWN_FAULTS]]
        raise ManifestError("\n".join([f"{manifest}: {len(faults)} fault(s) to fix before training", *lines, *more]))
