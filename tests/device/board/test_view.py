"""What the flag page says, without a server: the newest exposure, or in label why there is none."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.board.entry import read
from device.board.formatting import (
    percent,
    person,
    span,
    tidy,
)
from device.board.labels import CAVEAT_LABELS, FLAG_LABELS, REASON_LABELS
from device.board.render import Renderer
from device.board.rows import make_row
from device.board.snapshot import UNREADABLE, Snapshot
from device.board.view import Panel, View, make_view
from device.config import BoardConfig
from device.contract import Caveat, Flag, Reason, Thresholds
from device.delivery.flag_history import BoardEntry
from tests.support.board_entries import Shown, entry_of

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
CONFIG = BoardConfig(late_after_s=60, stale_after_s=600)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def exposure(name: str, ago_s: float, seq: int, **details: Any) -> BoardEntry:
    return entry_of(Shown(name=name, at=ago(ago_s), seq=seq, **details))


def view_of(*entries: BoardEntry, waiting: tuple[datetime, ...] = (), now: datetime = NOW, **facts: Any) -> View:
    return make_view(
        Snapshot(entries=entries, exposures=tuple(map(read, entries)), waiting=waiting, **facts), now, CONFIG
    )


# ---- label


def test_every_flag_reason_and_caveat_has_a_label() -> None:
    assert set(FLAG_LABELS) == set(Flag)
    assert set(REASON_LABELS) == set(Reason)
    assert set(CAVEAT_LABELS) == set(Caveat)
    assert all(label.head and label.text for label in (*FLAG_LABELS.values(), *REASON_LABELS.values()))


def test_no_label_speaks_of_a_diagnosis() -> None:
    texts = [label.head + label.text for label in (*FLAG_LABELS.values(), *REASON_LABELS.values())]
    assert not [text for text in texts if "diagnos" in text.lower()]


@pytest.mark.parametrize("reason", list(Reason))
def test_a_rejected_exposure_says_why_and_what_to_do(reason: Reason) -> None:
    row = view_of(exposure("a", 5, 1, reason=reason)).current
    assert row is not None
    label = REASON_LABELS[reason]
    assert (row.head, row.text, row.advice) == ("Not classified", label.head, label.text)
    assert row.gauge is None


def test_an_exposure_the_box_could_not_classify_says_so() -> None:
    row = view_of(exposure("a", 5, 1, probability=None)).current
    assert row is not None
    assert row.text == "The box could not classify this exposure."


@pytest.mark.parametrize(
    ("dicom", "shown"),
    [
        ("DOE^JANE", "DOE, Jane"),
        ("DOE^JANE^MARIE^DR^", "DOE, Dr Jane Marie"),
        ("Müller^Anne-Marie", "Müller, Anne-Marie"),
        ("MÜLLER^ANNE-MARIE", "MÜLLER, Anne-Marie"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎)"),
        ("=洪^吉洞", "洪, 吉洞"),
        ("ANONYMOUS", "ANONYMOUS"),
        ("^JANE", "Jane"),
        ("DOE^J", "DOE, J"),
        ("", ""),
        (None, ""),
        ("^^^^", ""),
        ("A^B^C^D^E^F^G", "A, D B C E"),
    ],
)
def test_a_dicom_name_reads_like_a_name(dicom: str | None, shown: str) -> None:
    assert person(dicom) == shown


def test_characters_that_would_reorder_or_hide_text_are_left_out() -> None:
    assert tidy("DOE\u202e1234\u0000\u200b") == "DOE1234"
    assert tidy("a\n\tb") == "a b"
    assert len(tidy("x" * 500)) == 80


@given(st.text())
def test_any_name_becomes_one_line(text: str) -> None:
    shown = person(text)
    assert len(shown) <= 80
    assert shown.isprintable() or all(c.isprintable() or c.isspace() for c in shown)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_probability_never_reads_as_if_it_were_across_a_threshold(probability: float, one: float, two: float) -> None:
    limits = Thresholds(flag_at=round(max(one, two), 2), clear_below=round(min(one, two), 2))
    text = percent(probability, limits)
    number = float(text.strip("<>% "))
    if text[0] not in "<>" and abs(probability - limits.flag_at) > 1e-5:
        assert (number >= round(limits.flag_at * 100, 6)) == (probability >= limits.flag_at)


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0 %"),
        (0.001, "< 1 %"),
        (0.87, "87 %"),
        (0.999, "> 99 %"),
        (1.0, "100 %"),
        (0.5496, "54.96 %"),
        (0.549, "54.9 %"),
    ],
)
def test_a_probability_reads_in_per_cent(probability: float, text: str) -> None:
    assert percent(probability, Thresholds(flag_at=0.55, clear_below=0.2)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (59, "59 s"),
        (61, "1 min 01 s"),
        (600, "10 min"),
        (7380, "2 h 03 min"),
        (90000, "25 h 00 min"),
        (200000, "2 days"),
    ],
)
def test_a_span_reads_in_two_units(seconds: int, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text


# ---- the top panel


def test_the_newest_exposure_stands_on_top_with_its_own_identifiers_and_time() -> None:
    view = view_of(exposure("b", 5, 2, probability=0.9, patient="ROE^RICHARD"), exposure("a", 90, 1))
    assert view.top.panel is Panel.CURRENT
    assert view.current is not None
    assert (view.current.name, view.current.flag, view.current.taken_at) == ("ROE, Richard", Flag.PNEUMONIA, ago(5))
    assert [row.name for row in view.rows] == ["DOE, Jane"]


def test_while_an_exposure_waits_no_flag_is_current() -> None:
    view = view_of(exposure("a", 5, 1), waiting=(ago(1),))
    assert (view.top.panel, view.current) == (Panel.WAITING, None)
    assert view.top.head.startswith("Exposure received ")
    assert not view.top.overdue
    assert len(view.rows) == 1


def test_several_waiting_exposures_are_counted_and_the_oldest_is_timed() -> None:
    top = view_of(waiting=(ago(70), ago(3), ago(1))).top
    assert top.head.startswith("3 exposures received")
    assert (top.since, top.overdue) == (ago(70), True)
    assert "Read as usual" in top.text


def test_an_exposure_whose_flag_is_committed_does_not_wait_any_more() -> None:
    entry = exposure("a", 5, 1)
    in_spool = entry.received_at.replace(microsecond=(entry.received_at.microsecond // 1000) * 1000)
    assert view_of(entry, waiting=(in_spool,)).top.panel is Panel.CURRENT
    assert view_of(entry, waiting=(in_spool, in_spool)).top.panel is Panel.WAITING


def test_after_a_while_the_newest_flag_is_only_in_the_list() -> None:
    entry = exposure("a", 590, 1)
    assert view_of(entry).top.panel is Panel.CURRENT
    view = view_of(entry, now=NOW + timedelta(seconds=20))
    assert (view.top.panel, view.current) == (Panel.IDLE, None)
    assert view.top.head.startswith("No new exposure since ")
    assert len(view.rows) == 1


def test_an_old_exposure_that_comes_now_is_never_shown_as_current() -> None:
    view = view_of(exposure("late", 9000, 2, classified_after_s=8999), exposure("a", 5000, 1))
    assert view.current is None
    view = view_of(entry_of(Shown(name="late", at=ago(9000), classified_after_s=8999), received_at=ago(2)))
    assert (view.top.panel, view.current) == (Panel.OLDER, None)
    assert view.rows[0].marks == ("Late: classified 2 h 29 min after the exposure",)


def test_an_old_exposure_does_not_push_the_newest_exposure_away_but_is_announced() -> None:
    late = entry_of(Shown(name="late", at=ago(9000), classified_after_s=8999, seq=2), received_at=ago(2))
    view = view_of(late, exposure("a", 30, 1, patient="ROE^RICHARD"))
    assert view.current is not None
    assert view.current.name == "ROE, Richard"
    assert "arrived at" in view.top.text


def test_an_exposure_sent_again_is_announced_and_keeps_its_place() -> None:
    again = entry_of(Shown(name="old", at=ago(5000), seq=1), resends=1, resent_at=ago(2))
    view = view_of(exposure("b", 3000, 2), again)
    assert view.top.panel is Panel.OLDER
    assert "classified before" in view.top.text
    assert any(mark.startswith("Sent again") for mark in view.rows[1].marks)


def test_no_exposure_yet() -> None:
    assert view_of().top.panel is Panel.EMPTY


def test_what_cannot_be_read_is_not_shown() -> None:
    view = make_view(UNREADABLE, NOW, CONFIG)
    assert (view.top.panel, view.current, view.rows) == (Panel.BLIND, None, ())


def test_a_newest_result_of_an_unknown_form_blinds_the_page_and_an_older_one_is_counted() -> None:
    strange = entry_of(Shown(name="x", at=ago(2)), result={"schema": 99})
    assert view_of(strange, exposure("a", 5, 1)).top.panel is Panel.BLIND
    view = view_of(exposure("a", 5, 1), strange)
    assert view.top.panel is Panel.CURRENT
    assert view.notices == ("1 stored result cannot be read by this version.",)


def test_a_lateral_exposure_gives_way_to_the_frontal_exposure_of_its_study_and_is_named_beside_it() -> None:
    frontal = exposure("pa", 40, 1, probability=0.9, study="5" * 32)
    lateral = exposure("ll", 20, 2, reason=Reason.LATERAL_VIEW, study="5" * 32)
    view = view_of(lateral, frontal)
    assert view.current is not None
    assert view.current.flag is Flag.PNEUMONIA
    assert [row.text for row in view.companions] == ["Lateral view: not classified."]


def test_a_lateral_exposure_does_not_bring_another_study_to_the_top() -> None:
    view = view_of(
        exposure("ll", 20, 2, reason=Reason.LATERAL_VIEW, study="6" * 32), exposure("pa", 40, 1, study="5" * 32)
    )
    assert view.current is not None
    assert view.current.flag is Flag.UNCLASSIFIED
    assert view.companions == ()


def test_a_clock_set_back_leaves_no_old_flag_on_top() -> None:
    before_the_jump = exposure("a", 5, 1)
    assert view_of(before_the_jump, now=NOW - timedelta(hours=1)).current is None


# ---- marks


def marks_of(entry: BoardEntry) -> tuple[str, ...]:
    classified = read(entry)
    assert classified is not None
    return make_row(classified, NOW, CONFIG).marks


def test_a_late_flag_is_marked_by_exposure_or_else_by_reception() -> None:
    assert marks_of(exposure("a", 70, 1, classified_after_s=61)) == ("Late: classified 1 min 01 s after the exposure",)
    assert marks_of(exposure("a", 70, 1, classified_after_s=59)) == ()
    no_time = entry_of(Shown(name="a", at=ago(70), own_time=False, classified_after_s=65))
    assert marks_of(no_time) == ("Late: classified 1 min 04 s after it was received",)


def test_an_unverified_clock_is_marked() -> None:
    row = view_of(exposure("a", 5, 1, clock_trusted=False)).current
    assert row is not None
    assert not row.clock_trusted


def test_an_exposure_from_the_future_counts_by_its_reception() -> None:
    entry = entry_of(Shown(name="a", at=ago(5)), acquired_at=NOW + timedelta(hours=9))
    view = view_of(entry)
    assert view.current is not None
    assert view.current.taken_word == "received"
    assert view.current.marks[0].startswith("Clocks disagree")


def test_missing_identifiers_are_named_as_missing_and_the_caveats_stand_there() -> None:
    entry = exposure("a", 5, 1, patient=None, patient_id=None, accession=None, caveats=(Caveat.NOT_DICOM,))
    row = view_of(entry).current
    assert row is not None
    assert (row.name, row.patient_id, row.accession) == ("", "", "")
    assert row.caveats == ("image file without patient data",)


def test_trouble_on_the_box_is_told() -> None:
    view = view_of(exposure("a", 5, 1, fell_back=True), dead=2, undelivered=12)
    assert len(view.notices) == 2
    assert view.undelivered == 12


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
@pytest.mark.parametrize("year", [1, 9999])
def test_an_exposure_of_an_impossible_year_is_shown_and_breaks_nothing(
    zone: str, year: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        day = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC)
        view = view_of(entry_of(Shown(name="a", at=ago(5)), acquired_at=day))
        live = Renderer(title="", model_note="").live(view, NOW)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "DOE, Jane" in live


# ---- for any facts

exposures = st.builds(
    lambda name, ago_s, own, reason, study, after: Shown(
        name=str(name), at=ago(ago_s), own_time=own, reason=reason, study=study, classified_after_s=after
    ),
    st.integers(0, 10**6),
    st.floats(-4000, 4000),
    st.booleans(),
    st.none() | st.sampled_from(Reason),
    st.none() | st.just("5" * 32),
    st.floats(0, 900),
)


@given(st.lists(exposures, max_size=6, unique_by=lambda f: f.name), st.lists(st.floats(0, 900).map(ago), max_size=2))
def test_whatever_stands_there_each_exposure_is_shown_once_and_nothing_old_as_current(
    shown: list[Shown], waiting: list[datetime]
) -> None:
    entries = [entry_of(one) for one in shown]
    view = view_of(*entries, waiting=tuple(waiting))
    keys = [row.key for row in view.rows] + ([view.current.key] if view.current else [])
    assert sorted(keys) == sorted(entry.result["result_id"] for entry in entries)
    if view.current:
        assert timedelta(seconds=-60) <= NOW - view.current.taken_at <= timedelta(seconds=600)
        arrived = {round(entry.received_at.timestamp() * 1000) for entry in entries}
        assert all(min(abs(round(at.timestamp() * 1000) - ms) for ms in arrived) <= 1 for at in waiting)
    assert (view.top.panel is Panel.CURRENT) == (view.current is not None)
