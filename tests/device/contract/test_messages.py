"""Round trip: what a box writes is what a collector reads, and the JSON Schema takes all of it."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from device import contract
from device.contract import ContractError, Flag, GateStatus, Receipt, Result
from tests.support.results import draft

SCHEMA: dict[str, Any] = json.loads(
    Path(contract.__file__).with_name("contract.schema.json").read_text(encoding="utf-8")
)
SCHEMA_RESULT = Draft202012Validator(SCHEMA)
SCHEMA_RECEIPT = Draft202012Validator({**SCHEMA, "$ref": "#/$defs/Receipt"})


HEX = "0123456789abcdef"
ids = st.text(HEX, min_size=32, max_size=32)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
texts = st.none() | st.text(max_size=20)
labels = st.text(string.printable, min_size=1, max_size=20)
unit = st.floats(0, 1)
milliseconds = st.none() | st.floats(0, 1e7)
whole = st.integers(0, 2**40)
quantity = st.none() | st.floats(0, 1e6)
zones = st.just(UTC) | st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
times = st.builds(
    lambda at, ms, zone: at.replace(microsecond=ms * 1000).astimezone(zone),
    st.datetimes(datetime(1000, 1, 3), datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 999),
    zones,
)

exposures = st.builds(
    contract.Exposure,
    modality=texts,
    body_part=texts,
    view=texts,
    age_years=st.none() | st.integers(0, 150),
    sex=texts,
    kvp=quantity,
    mas=quantity,
    acquired_at=st.none() | times,
    rows=st.none() | whole,
    columns=st.none() | whole,
    transfer_syntax=texts,
    source=st.sampled_from(contract.Source),
)
caveats = st.lists(st.sampled_from(contract.Caveat), max_size=4).map(tuple)
accepted = st.builds(contract.Gate, status=st.just(GateStatus.ACCEPTED), reason=st.none(), caveats=caveats)
rejected = st.builds(
    contract.Gate, status=st.just(GateStatus.REJECTED), reason=st.sampled_from(contract.Reason), caveats=caveats
)
thresholds = st.tuples(unit, unit).map(lambda p: contract.Thresholds(flag_at=max(p), clear_below=min(p)))
models = st.builds(
    contract.Model,
    name=labels,
    version=whole,
    digest=st.text(HEX, min_size=64, max_size=64),
    preprocess_version=st.integers(1, 99),
    quantization=labels,
)
runtimes = st.builds(
    contract.Runtime,
    interpreter=labels,
    version=labels,
    backend=labels,
    fell_back=st.booleans(),
)
timings = st.builds(
    contract.TimingMs,
    receive=milliseconds,
    decode=milliseconds,
    preprocess=milliseconds,
    infer=milliseconds,
    total=st.floats(0, 1e7),
)
clocks = st.builds(contract.Clock, at=times, trusted=st.booleans())


def results_with(gate: st.SearchStrategy[contract.Gate], flags: list[Flag], probability: st.SearchStrategy[Any]) -> Any:
    """Results with a consistent gate, flag and probability; the other fields are free."""
    return st.builds(
        Result,
        result_id=ids,
        site=names,
        device=names,
        boot_id=st.uuids().map(str) | st.text(HEX, min_size=32, max_size=32),
        seq=whole,
        exposure_id=ids,
        study_id=st.none() | ids,
        patient_id=st.none() | ids,
        accession_id=st.none() | ids,
        exposure=exposures,
        gate=gate,
        flag=st.sampled_from(flags),
        probability=probability,
        score=st.none() | unit,
        thresholds=thresholds,
        model=models,
        runtime=runtimes,
        timing_ms=timings,
        clock=clocks,
    )


classified = results_with(accepted, [Flag.PNEUMONIA, Flag.REVIEW, Flag.CLEAR], unit)
unclassified = results_with(rejected | accepted, [Flag.UNCLASSIFIED], st.none())
results: st.SearchStrategy[Result] = classified | unclassified
receipts = st.builds(Receipt, result_ids=st.lists(ids, max_size=5).map(tuple))


# ---- round trip


@given(results)
@settings(max_examples=150)
def test_it_reads_back_every_result_it_writes(result: Result) -> None:
    assert Result.from_json(result.to_json()) == result


@given(results)
@settings(max_examples=150)
def test_every_result_it_writes_is_valid_by_the_schema(result: Result) -> None:
    SCHEMA_RESULT.validate(json.loads(result.to_json()))


@given(receipts)
def test_a_receipt_survives_the_wire_and_is_valid_by_the_schema(receipt: Receipt) -> None:
    SCHEMA_RECEIPT.validate(json.loads(receipt.to_json()))
    assert Receipt.from_json(receipt.to_json()) == receipt


def test_times_are_written_in_utc_whatever_zone_they_came_in() -> None:
    seoul = datetime(2026, 11, 23, 17, 0, tzinfo=timezone(timedelta(hours=9)))
    assert contract.iso_utc(seoul) == "2026-11-23T08:00:00.000Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ContractError, match="zone"):
        contract.iso_utc(datetime(2026, 11, 23))  # noqa: DTZ001


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_any_json_is_either_a_result_or_a_contract_error(value: Any) -> None:
    with pytest.raises(ContractError):
        Result.from_dict(value)


@pytest.mark.parametrize(
    "value",
    [
        {"schema": 2, "result_ids": []},
        {"schema": 1},
        {"schema": 1, "result_ids": "x"},
        *(
            {"schema": 1, "result_ids": ["0" * 32, text]}
            for text in ("", "a", "F" * 32, "0" * 33, "0" * 32 + "\n", "\ud800")
        ),
    ],
)
def test_a_receipt_of_another_form_is_refused_by_both(value: dict[str, Any]) -> None:
    assert not SCHEMA_RECEIPT.is_valid(value)
    with pytest.raises(ContractError):
        Receipt.from_json(json.dumps(value))


@pytest.mark.parametrize("text", ["", "a", "F" * 32, "\ud800"])
def test_a_result_that_no_receipt_could_name_is_refused_by_both(text: str) -> None:
    value = draft().to_dict() | {"result_id": text}
    assert not SCHEMA_RESULT.is_valid(value)
    with pytest.raises(ContractError):
        Result.from_json(json.dumps(value))
