"""The JSON Schema and the code say the same: what one refuses, the other refuses."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from device import contract
from device.contract import ContractError, Flag, Receipt, Result

SCHEMA: dict[str, Any] = json.loads(
    Path(contract.__file__).with_name("contract.schema.json").read_text(encoding="utf-8")
)
SCHEMA_RESULT = Draft202012Validator(SCHEMA)

REJECTED = {"status": "rejected", "reason": "lateral_view", "caveats": []}
FULL: dict[str, Any] = {
    "schema": 1,
    "result_id": "0" * 31 + "a",
    "site": "north-hospital",
    "device": "room-2",
    "boot_id": "9a0c1b52-7c1e-4d35-9d8e-2f1b4f6f0c11",
    "seq": 7,
    "exposure_id": "1" * 32,
    "study_id": "2" * 32,
    "patient_id": "3" * 32,
    "accession_id": "4" * 32,
    "exposure": {
        "modality": "DX",
        "body_part": "CHEST",
        "view": "PA",
        "age_years": 61,
        "sex": "F",
        "kvp": 125.0,
        "mas": 2.0,
        "acquired_at": "2026-11-23T08:00:00.000Z",
        "rows": 3072,
        "columns": 3072,
        "transfer_syntax": "1.2.840.10008.1.2.1",
        "source": "dicom",
    },
    "gate": {"status": "accepted", "reason": None, "caveats": ["window_missing"]},
    "flag": "review",
    "probability": 0.41,
    "score": 0.62,
    "thresholds": {"flag_at": 0.5, "clear_below": 0.2},
    "model": {
        "name": "pneumoflag-study",
        "version": 1,
        "digest": "5" * 64,
        "preprocess_version": 1,
        "quantization": "int8",
    },
    "runtime": {"interpreter": "ai-edge-litert", "version": "2.3.0", "backend": "cpu", "fell_back": False},
    "timing_ms": {"receive": 43.0, "decode": 1.7, "preprocess": 3.0, "infer": 0.6, "total": 51.2},
    "clock": {"at": "2026-11-23T08:00:00.412Z", "trusted": True},
}


def test_the_example_is_a_result_for_both() -> None:
    for value in (FULL, {**FULL, "gate": REJECTED, "flag": "unclassified", "probability": None}):
        SCHEMA_RESULT.validate(value)
        assert Result.from_dict(value).to_dict() == value


def reads(value: dict[str, Any]) -> bool:
    try:
        Result.from_dict(value)
    except ContractError:
        return False
    return True


def both_refuse(value: dict[str, Any]) -> bool:
    return not reads(value) and not SCHEMA_RESULT.is_valid(value)


# ---- the schema file says what the code says


def schema_of(name: str) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA["$defs"][name]
    return found


def test_the_schema_file_is_itself_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "kind",
    [
        Result,
        Receipt,
        contract.Exposure,
        contract.Gate,
        contract.Thresholds,
        contract.Model,
        contract.Runtime,
        contract.TimingMs,
        contract.Clock,
    ],
)
def test_schema_and_code_have_the_same_fields_and_want_them_all(kind: type) -> None:
    described = schema_of(kind.__name__)
    names_in_code = [f.name for f in dataclasses.fields(kind)]
    assert sorted(described["properties"]) == sorted(names_in_code)
    assert sorted(described["required"]) == sorted(names_in_code)
    assert described["additionalProperties"] is False


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        (contract.Flag, schema_of("Result")["properties"]["flag"]["enum"]),
        (contract.Source, schema_of("Exposure")["properties"]["source"]["enum"]),
        (contract.GateStatus, schema_of("Gate")["properties"]["status"]["enum"]),
        (contract.Reason, schema_of("Gate")["properties"]["reason"]["enum"][:-1]),
        (contract.Caveat, schema_of("Gate")["properties"]["caveats"]["items"]["enum"]),
    ],
)
def test_schema_and_code_list_the_same_words(kind: type[StrEnum], listed: list[str]) -> None:
    assert listed == [str(member) for member in kind]


def test_the_documentation_names_every_field_reason_and_caveat(project_root: Path) -> None:
    page = (project_root / "docs" / "contract.md").read_text(encoding="utf-8")
    words_used = {name for kind in SCHEMA["$defs"].values() for name in kind.get("properties", {})}
    words_used |= {str(word) for kind in (contract.Reason, contract.Caveat, Flag) for word in kind}
    assert [word for word in sorted(words_used) if f"`{word}`" not in page] == []


# ---- what one refuses, the other refuses


def objects_in(value: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from objects_in(inner, (*path, name))


def fields_in(value: dict[str, Any]) -> list[tuple[str, ...]]:
    return [(*path, name) for path in objects_in(value) for name in at(value, path)]


def at(value: dict[str, Any], path: tuple[str, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def changed(value: dict[str, Any], path: tuple[str, ...], change: Callable[[dict[str, Any], str], None]) -> Any:
    copied = copy.deepcopy(value)
    change(at(copied, path[:-1]), path[-1])
    return copied


@pytest.mark.parametrize("path", fields_in(FULL), ids=".".join)
def test_a_missing_field_is_refused_by_both(path: tuple[str, ...]) -> None:
    assert both_refuse(changed(FULL, path, lambda parent, name: parent.pop(name)))


@pytest.mark.parametrize("path", [(*p, "patient_name") for p in objects_in(FULL)], ids=".".join)
def test_an_unknown_field_is_refused_by_both(path: tuple[str, ...]) -> None:
    assert both_refuse(changed(FULL, path, lambda parent, name: parent.update({name: "DOE^JANE"})))


@pytest.mark.parametrize("wrong", [[], {}, "x", True, -1, 1.5])
@pytest.mark.parametrize("path", fields_in(FULL), ids=".".join)
def test_what_the_schema_takes_the_code_takes(path: tuple[str, ...], wrong: Any) -> None:
    value = changed(FULL, path, lambda parent, name: parent.update({name: wrong}))
    assert reads(value) or not SCHEMA_RESULT.is_valid(value)


WRONG_TYPE = {str: 5, int: "5", float: "0.5", bool: "yes", type(None): 5, dict: [], list: "none"}


@pytest.mark.parametrize("path", [p for p in fields_in(FULL) if at(FULL, p) is not None], ids=".".join)
def test_a_value_of_the_wrong_type_is_refused_by_both(path: tuple[str, ...]) -> None:
    wrong = WRONG_TYPE[type(at(FULL, path))]
    assert both_refuse(changed(FULL, path, lambda parent, name: parent.update({name: wrong})))


@pytest.mark.parametrize(
    "parts",
    [
        {"gate": {**REJECTED, "reason": None}},
        {"gate": {"status": "accepted", "reason": "minor", "caveats": []}},
        {"gate": REJECTED},
        {"gate": REJECTED, "probability": None},
        {"gate": {**REJECTED, "reason": "bad_weather"}, "flag": "unclassified", "probability": None},
        {"flag": "unclassified"},
        {"probability": None},
        {"flag": "sick"},
        {"schema": 2},
    ],
    ids=str,
)
def test_a_verdict_that_contradicts_itself_is_refused_by_both(parts: dict[str, Any]) -> None:
    assert both_refuse({**FULL, **parts})


def test_crossed_thresholds_are_refused() -> None:
    with pytest.raises(ContractError, match="clear_below <= flag_at"):
        Result.from_dict({**FULL, "thresholds": {"flag_at": 0.2, "clear_below": 0.5}})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '"x"', "NaN", '{"schema":1}', "[" * 100_000])
def test_text_that_is_no_message_is_refused_in_words(text: str) -> None:
    for kind in (Result, Receipt):
        with pytest.raises(ContractError):
            kind.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_probability_that_is_no_number_is_refused(number: str) -> None:
    text = json.dumps(FULL).replace('"probability": 0.41', f'"probability": {number}')
    assert number in text
    with pytest.raises(ContractError):
        Result.from_json(text)


def test_the_refusal_names_the_field() -> None:
    value = changed(FULL, ("exposure", "age_years"), lambda parent, name: parent.update({name: "61"}))
    with pytest.raises(ContractError, match=r"result\.exposure\.age_years: int expected, got str"):
        Result.from_dict(value)


@pytest.mark.parametrize("wrong", ["A" * 32, "0" * 31, "0" * 32 + "\n", "../../../etc/cron.d/x"])
def test_the_schema_takes_only_32_lower_case_hex_digits_as_an_identifier(wrong: str) -> None:
    for name in ("result_id", "exposure_id", "study_id", "patient_id", "accession_id"):
        assert not SCHEMA_RESULT.is_valid({**FULL, name: wrong})


def test_the_code_needs_nothing_but_the_standard_library(project_root: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(project_root)!r}); import device.contract"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, timeout=30)
