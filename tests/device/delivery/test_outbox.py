from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from device.contract import Result
from device.delivery.flag_history import History
from device.delivery.outbox import Outbox, OutboxBroken, OutboxFull
from tests.support.results import NOW, draft, entry


def put(box: Outbox, name: str) -> Result | None:
    result = draft(name)
    return box.put(result, entry(result))


def test_it_numbers_results_one_by_one_and_keeps_them_until_the_receipt(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    results = [put(box, name) for name in "abc"]
    assert [r.seq for r in results if r] == [1, 2, 3]
    assert box.confirm([results[1].result_id]) == 1
    assert [message.seq for message in box.waiting()] == [1, 3]
    assert Result.from_json(box.waiting()[0].body) == results[0]


def test_a_resend_of_the_same_image_gives_no_new_result_and_keeps_its_place_on_the_board(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    first = put(box, "a")
    put(box, "b")
    assert put(box, "a") is None
    box.confirm([first.result_id])
    assert put(box, "a") is None
    assert box.depth() == 1
    assert [(e.result["seq"], e.resends) for e in box.history(10)] == [(2, 0), (1, 2)]


def test_the_number_continues_after_every_receipt_came_and_the_box_restarted(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    box.confirm([put(box, "a").result_id])
    box.close()
    assert put(Outbox(tmp_path / "outbox.sqlite"), "b").seq == 2


def test_a_receipt_for_a_result_of_another_box_changes_nothing(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    put(box, "a")
    assert box.confirm(["f" * 32]) == 0
    assert box.depth() == 1


def test_a_message_that_can_never_be_sent_goes_to_the_dead_letters_and_is_not_put_again(
    tmp_path: Path,
) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    bad, good = put(box, "bad"), put(box, "good")
    assert [box.count_refusal(bad.seq) for _ in range(3)] == [1, 2, 3]
    box.move_to_dead_letters(bad.seq, "packet too large")
    assert [message.seq for message in box.waiting()] == [good.seq]
    assert (box.dead_letters(), put(box, "bad")) == (1, None)


def test_old_flags_leave_the_board_while_their_messages_wait_on(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    put(box, "a")
    assert box.prune(now=NOW + timedelta(days=8), keep_days=7) == 1
    assert (box.history(5), box.depth()) == ([], 1)
    assert put(box, "a") is None, "its message still waits, so the exposure is a resend"


def test_the_board_reads_the_same_file_while_the_box_writes(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    result = put(box, "a")
    board = History(tmp_path / "outbox.sqlite")
    before = board.version()
    (seen,) = board.recent(5)
    assert seen.result == result.to_dict()
    assert (seen.patient_name, seen.decided_at, seen.resent_at) == ("Doe^Jane", NOW, None)
    assert board.thumbnail(result.result_id) == b"\xff\xd8jpeg"
    put(box, "b")
    assert board.version() != before
    with pytest.raises(sqlite3.OperationalError):
        board._db.execute("DELETE FROM history")
    board.close()


def test_its_file_is_closed_to_other_users(tmp_path: Path) -> None:
    Outbox(tmp_path / "outbox.sqlite").close()
    assert (tmp_path / "outbox.sqlite").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "outbox.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 40)
    with pytest.raises(OutboxBroken, match="move the file away"):
        Outbox(tmp_path / "outbox.sqlite")


def test_on_a_full_disk_it_refuses_a_new_result_but_can_still_shrink(small_disk: Path) -> None:
    box = Outbox(small_disk / "outbox.sqlite", ballast_bytes=256 * 1024)
    ids = [put(box, f"exposure {n}").result_id for n in range(50)]
    fill(small_disk)
    with pytest.raises(OutboxFull):
        for n in range(500):
            ids.append(put(box, f"more {n}").result_id)  # noqa: PERF401 - those before the refusal count
    assert box.confirm(ids) == len(ids)
    assert (box.depth(), box.last_seq()) == (0, len(ids)), "the refused result used up no number"


def test_without_ballast_a_full_disk_keeps_the_outbox_from_shrinking(small_disk: Path) -> None:
    box = Outbox(small_disk / "outbox.sqlite")
    ids = [put(box, f"exposure {n}").result_id for n in range(50)]
    fill(small_disk)
    with pytest.raises(OutboxFull):
        for n in range(500):
            put(box, f"more {n}")
    with pytest.raises(OutboxFull):
        for chunk in range(0, len(ids), 5):
            box.confirm(ids[chunk : chunk + 5])


@pytest.mark.parametrize("ballast_bytes", [256 * 1024, 0])
def test_on_a_full_disk_old_flags_leave_the_board_by_the_ballast(small_disk: Path, ballast_bytes: int) -> None:
    box = Outbox(small_disk / "outbox.sqlite", ballast_bytes=ballast_bytes)
    for n in range(50):
        put(box, f"exposure {n}")
    fill(small_disk)
    with pytest.raises(OutboxFull):
        for n in range(500):
            put(box, f"more {n}")
    old = NOW + timedelta(days=8)
    if ballast_bytes:
        assert box.prune(now=old, keep_days=7) == len(box.waiting(limit=999)) >= 50
        return
    with pytest.raises(OutboxFull):  # the control
        box.prune(now=old, keep_days=7)


def test_on_a_full_disk_a_file_of_an_earlier_version_opens_by_the_ballast(small_disk: Path) -> None:
    box = Outbox(small_disk / "outbox.sqlite", ballast_bytes=256 * 1024)
    put(box, "a")
    box._db.execute("ALTER TABLE history DROP COLUMN evidence")
    box.close()
    fill(small_disk)
    box = Outbox(small_disk / "outbox.sqlite", ballast_bytes=256 * 1024)
    assert [flag.evidence for flag in box.history(5)] == [None]


def test_a_file_of_version_0_1_0_opens_with_every_row_kept(tmp_path: Path) -> None:
    """The file is a dump of what that version wrote: four flags, two pending results, one dead letter, one resend."""
    dump = Path(__file__).with_name("outbox_of_version_0_1_0.sql").read_text(encoding="utf-8")
    path = tmp_path / "outbox.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(dump)
    box = Outbox(path)
    pending = box.waiting()
    assert [(message.seq, message.refusals) for message in pending] == [(1, 0), (2, 1)]
    assert [Result.from_json(message.body).result_id for message in pending] == [m.result_id for m in pending]
    assert (box.dead_letters(), box.last_seq()) == (1, 4)
    flags = box.history(10)
    assert [flag.result["seq"] for flag in flags] == [4, 3, 2, 1]
    assert all(Result.from_dict(flag.result).to_dict() == flag.result for flag in flags)
    assert [(flag.patient_name, flag.acquired_at, flag.thumbnail) for flag in flags] == [
        (None, None, None),
        ("Doe^Jane", NOW, b"\xff\xd8jpeg"),
        ("Doe^Jane", NOW + timedelta(minutes=1), b"\xff\xd8jpeg"),
        ("Doe^Jane", NOW, b"\xff\xd8jpeg"),
    ]
    assert (flags[3].resends, flags[3].resent_at, flags[3].fingerprint) == (1, NOW, "fa")
    assert flags[3].evidence == b"\xff\xd8evidence"
    new = put(box, "e")
    assert new is not None
    assert new.seq == 5


def test_a_disk_too_full_to_open_is_reported_with_a_remedy_and_not_as_a_broken_file(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(OutboxBroken, match="the disk is full; free some space"):
        Outbox(small_disk / "outbox.sqlite")


def fill(folder: Path) -> None:
    block = b"\0" * 4096
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(block)
        except OSError:
            os.fsync(file.fileno())


def test_another_image_under_a_uid_seen_before_is_not_taken_for_a_resend(tmp_path: Path) -> None:
    box = Outbox(tmp_path / "outbox.sqlite")
    first = box.put(draft("a"), replace(entry(draft("a")), patient_name="DOE^JANE", fingerprint="a"))
    other = box.put(draft("a"), replace(entry(draft("a")), patient_name="SMITH^BOB", fingerprint="b"))
    assert first
    assert other
    assert other.result_id != first.result_id
    assert [flag.patient_name for flag in box.history(5)] == ["SMITH^BOB", "DOE^JANE"]
    assert box.put(draft("a"), replace(entry(draft("a")), fingerprint="b")) is None
    assert box.put(draft("a"), replace(entry(draft("a")), fingerprint="a")) is None
    assert [flag.resends for flag in box.history(5)] == [1, 1]
