"""Identifiers, topics and the site key: nothing that names a patient leaves the box."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device import contract
from device.contract import ContractError, IdentifierType, Topics

PADDING = " \0\t\r\n"

KEY = bytes(range(32))


@given(st.text(min_size=1).filter(lambda t: t.strip(PADDING)), st.sampled_from(IdentifierType))
def test_an_identifier_is_hmac_sha256_over_type_zero_and_value(value: str, identifier_type: IdentifierType) -> None:
    expected = hmac.new(KEY, f"{identifier_type}\0{value.strip(PADDING)}".encode(), hashlib.sha256).hexdigest()[:32]
    assert contract.pseudonym(KEY, identifier_type, value) == expected


def test_equal_values_of_two_types_or_two_sites_differ() -> None:
    seen = {contract.pseudonym(key, each, "123") for key in (KEY, bytes(32)) for each in IdentifierType}
    assert len(seen) == 2 * len(IdentifierType)


@pytest.mark.parametrize("blank", [None, "", "  ", "\0", " \0"])
def test_a_missing_or_blank_value_has_no_identifier(blank: str | None) -> None:
    assert contract.pseudonym(KEY, IdentifierType.PATIENT, blank) is None


def test_dicom_padding_does_not_change_an_identifier() -> None:
    assert contract.pseudonym(KEY, IdentifierType.STUDY, "1.2.3\0") == contract.pseudonym(
        KEY, IdentifierType.STUDY, "1.2.3"
    )


def test_a_result_id_follows_from_exposure_and_model_alone() -> None:
    expected = hashlib.sha256(("1" * 32 + "5" * 64).encode()).hexdigest()[:32]
    assert contract.result_id("1" * 32, "5" * 64) == expected
    assert contract.result_id("1" * 32, "6" * 64) != expected


# ---- topics


def test_the_topics_of_a_box() -> None:
    topics = Topics(site="north", device="room-2")
    assert topics.result == "pneumoflag/v1/north/room-2/result"
    assert topics.receipt == "pneumoflag/v1/north/room-2/receipt"
    assert topics.model_reported == "pneumoflag/v1/north/room-2/model/reported"
    leaves = (topics.result, topics.status, topics.health, topics.receipt, topics.model_desired, topics.model_reported)
    assert {Topics.of(topic) for topic in leaves} == {topics}


@pytest.mark.parametrize("topic", ["", "a/b", "pneumoflag/v2/s/d/result", "pneumoflag/v1/s", "pneumoflag/v1//d/result"])
def test_a_foreign_topic_is_refused(topic: str) -> None:
    with pytest.raises(ContractError):
        Topics.of(topic)


@pytest.mark.parametrize("level", ["", "a/b", "+", "#", "a\0"])
def test_a_name_that_would_change_the_topic_is_refused(level: str) -> None:
    with pytest.raises(ContractError, match="site"):
        Topics(site=level, device="d")


# ---- site key


def test_a_site_key_is_read_and_its_faults_are_named(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    path.write_text(KEY.hex() + "\n", encoding="ascii")
    path.chmod(0o600)
    assert contract.load_site_key(path) == KEY
    path.chmod(0o644)
    with pytest.raises(ContractError, match="chmod 600"):
        contract.load_site_key(path)


@pytest.mark.parametrize(("text", "fault"), [("zz", "not hex"), ("00", "32 bytes, got 1;"), (None, "cannot be read")])
def test_a_site_key_that_is_none_says_how_to_make_one(tmp_path: Path, text: str | None, fault: str) -> None:
    path = tmp_path / "site.key"
    if text is not None:
        path.write_text(text, encoding="ascii")
    with pytest.raises(ContractError, match=rf"{fault}.*pneumoflag-device site-key"):
        contract.load_site_key(path)
