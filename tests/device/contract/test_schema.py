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
from device.contract.json_schema import SCHEMA_FILE, schema_text

SCHEMA: dict[str, Any] = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
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
    definition: dict[str, Any] = SCHEMA["$defs"][name]
    return definition


def test_the_schema_file_is_itself_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "message",
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
def test_schema_and_code_have_the_same_fields_and_want_them_all(message: type) -> None:
    described = schema_of(message.__name__)
    names_in_code = [f.name for f in dataclasses.fields(message)]
    assert sorted(described["properties"]) == sorted(names_in_code)
    assert sorted(described["required"]) == sorted(names_in_code)
    assert described["additionalProperties"] is False


@pytest.mark.parametrize(
    "terms", [contract.Flag, contract.Source, contract.GateStatus, contract.Reason, contract.Caveat]
)
def test_schema_and_code_list_the_same_terms(terms: type[StrEnum]) -> None:
    assert schema_of(terms.__name__)["enum"] == [str(member) for member in terms]


@pytest.mark.parametrize(
    ("message", "field", "terms"),
    [
        ("Result", "flag", contract.Flag),
        ("Exposure", "source", contract.Source),
        ("Gate", "status", contract.GateStatus),
        ("Gate", "reason", contract.Reason),
        ("Gate", "caveats", contract.Caveat),
    ],
)
def test_the_schema_uses_each_list_of_terms_where_it_belongs(message: str, field: str, terms: type[StrEnum]) -> None:
    text = json.dumps(schema_of(message)["properties"][field])
    assert f'"$ref": "#/$defs/{terms.__name__}"' in text
    assert text.count("$ref") == 1


def test_the_schema_file_is_what_the_classes_give() -> None:
    remedy = "run `python -m device.contract.json_schema`"
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), remedy


def test_the_documentation_names_every_field_reason_and_caveat(project_root: Path) -> None:
    page = (project_root / "docs" / "contract.md").read_text(encoding="utf-8")
    names = {name for definition in SCHEMA["$defs"].values() for name in definition.get("properties", {})}
    names |= {str(term) for terms in (contract.Reason, contract.Caveat, Flag) for term in terms}
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


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


WRONG_OR_RIGHT = [[], {}, "", "x", "A" * 300, "0", "a\0", None, True, 0, 1, -1, 151, 2**70, 1.5, -0.5, 1e-300]


@pytest.mark.parametrize("value", WRONG_OR_RIGHT, ids=lambda value: repr(value)[:12])
@pytest.mark.parametrize("path", fields_in(FULL), ids=".".join)
def test_the_schema_and_the_code_take_the_same_values(path: tuple[str, ...], value: Any) -> None:
    result = changed(FULL, path, lambda parent, name: parent.update({name: value}))
    valid = SCHEMA_RESULT.is_valid(result)
    crossed = valid and result["thresholds"]["clear_below"] > result["thresholds"]["flag_at"]
    assert reads(result) == (valid and not crossed), "JSON Schema cannot compare two fields, all else it can say"


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
    for message in (Result, Receipt):
        with pytest.raises(ContractError):
            message.from_json(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_probability_that_is_no_number_is_refused(number: str) -> None:
    text = json.dumps(FULL).replace('"probability": 0.41', f'"probability": {number}')
    assert number in text
    with pytest.raises(ContractError):
        Result.from_json(text)


def test_the_refusal_names_the_field() -> None:
    value = changed(FULL, ("exposure", "age_years"), lambda parent, name: parent.update({name: "61"}))
    with pytest.raises(ContractError, match=r"result\.exposure\.age_years: expected int, got str"):
        Result.from_dict(value)


@pytest.mark.parametrize("wrong", ["A" * 32, "0" * 31, "0" * 32 + "\n", "../../../etc/cron.d/x"])
def test_the_schema_takes_only_32_lower_case_hex_digits_as_an_identifier(wrong: str) -> None:
    for name in ("result_id", "exposure_id", "study_id", "patient_id", "accession_id"):
        assert not SCHEMA_RESULT.is_valid({**FULL, name: wrong})


def test_a_refusal_never_quotes_a_text() -> None:
    """It may be a name or a number of a patient, set where an identifier belongs."""
    for name in ("patient_id", "site", "boot_id", "flag"):
        with pytest.raises(ContractError, match=rf"result\.{name}: expected .*, got str of 9 characters") as refusal:
            Result.from_dict({**FULL, name: "DOE^JANE\0"})
        assert "DOE" not in str(refusal.value)
    with pytest.raises(ContractError, match=r"result\.\?: no such field"):
        Result.from_dict({**FULL, "DOE^JANE": 1})


def test_a_refusal_of_a_number_says_the_range_and_the_number() -> None:
    value = changed(FULL, ("exposure", "age_years"), lambda parent, name: parent.update({name: 151}))
    with pytest.raises(ContractError, match=r"result\.exposure\.age_years: expected 150 or less, got 151"):
        Result.from_dict(value)


def test_the_contract_imports_pydantic_and_nothing_heavier(project_root: Path) -> None:
    heavy = {"numpy", "cv2", "pydicom", "paho", "sqlite3", "cryptography"}
    code = f"import sys; sys.path.insert(0, {str(project_root)!r}); import device.contract; "
    code += f"print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-I", "-c", code], check=True, timeout=30, capture_output=True, text=True)
    assert shown.stdout == "set()\n"
