"""Findings: a file of Lunit INSIGHT CXR or VUNO Med-Chest X-ray comes in; vendor outputs go out.

Both report a score per finding, in JSON or CSV. docs/collector.md has the formats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.imports.files import ImportFault, Record, csv_records, json_records, looks_like_json
from collector.imports.vendors.base import Mapper, finding_name, number
from collector.store.rows import VendorOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingsFormat:
    """One vendor's format. JSON has a list of findings under `list_field`; CSV has one column per name."""

    names: tuple[str, ...]
    list_field: str
    name_field: str

    def read_outputs(self, path: Path, mapper: Mapper) -> Iterator[VendorOutput]:
        """Yield outputs in the file's order. Raises ImportFault naming the line."""
        if looks_like_json(path):
            for record in json_records(path):
                yield mapper.output(record, mapper.call(record, self._listed_scores(record, mapper)))
            return
        for record in csv_records(path, ()):
            yield mapper.output(record, mapper.call(record, self._column_scores(record, mapper)))

    def _listed_scores(self, record: Record, mapper: Mapper) -> dict[str, float | None]:
        items = mapper.value(record, self.list_field)
        if not isinstance(items, list):
            got = "nothing" if items is None else type(items).__name__
            raise ImportFault(
                f"{record.where}: {mapper.field(self.list_field)}: expected a list of findings, got {got}"
            )
        name_key = mapper.config.fields.get("finding_name", self.name_field)
        score_key = mapper.config.fields.get("finding_score", "score")
        scores: dict[str, float | None] = {}
        for index, item in enumerate(items, 1):
            where = f"{record.where}, finding {index}"
            name = item.get(name_key) if isinstance(item, Mapping) else None
            if not isinstance(name, str):
                raise ImportFault(f"{where}: each finding needs {name_key} and {score_key}")
            score = number(item.get(score_key), score_key, where)
            if scores.setdefault(finding_name(name), score) != score:
                raise ImportFault(f"{where}: an earlier finding of the same name has another score")
        return scores

    def _column_scores(self, record: Record, mapper: Mapper) -> dict[str, float | None]:
        mapped = {mapper.field(name): name for name in self.names}
        cells = {mapped.get(column, finding_name(column)): cell for column, cell in record.values.items()}
        return {name: number(cells[name], name, record.where) for name in self.names if name in cells}


LUNIT = FindingsFormat(
    names=(
        "atelectasis",
        "calcification",
        "cardiomegaly",
        "consolidation",
        "fibrosis",
        "mediastinal widening",
        "nodule",
        "pleural effusion",
        "pneumoperitoneum",
        "pneumothorax",
    ),
    list_field="findings",
    name_field="name",
)
VUNO = FindingsFormat(
    names=("nodule", "consolidation", "interstitial opacity", "pleural effusion", "pneumothorax"),
    list_field="results",
    name_field="finding",
)
