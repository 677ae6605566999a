from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.contract import Source
from device.receive.spool import Spool, SpoolFull, scan
from tests.device.delivery.test_outbox import fill


def spool_in(folder: Path, **how: object) -> Spool:
    return Spool(folder / "spool", reserve_bytes=0, **how)


def test_exposures_come_out_oldest_first_with_what_is_known_of_their_arrival(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    put = [spool.put(b"%d" % n, source=Source.DICOM, receive_ms=1.5 * n) for n in range(12)]
    assert spool.pending() == put == scan(tmp_path / "spool")
    assert [exposure.path.read_bytes() for exposure in spool.pending()] == [b"%d" % n for n in range(12)]
    assert put[3].receive_ms == 4.5
    spool.done(put[0])
    assert spool.oldest() == put[1]


def test_a_new_start_finds_the_same_exposures_in_the_same_order_although_the_clock_was_set_back(tmp_path: Path) -> None:
    late, early = datetime(2026, 11, 23, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)
    first = spool_in(tmp_path, now=lambda: late).put(b"first", source=Source.DICOM, receive_ms=None)
    second = spool_in(tmp_path, now=lambda: early).put(b"second", source=Source.FILE, receive_ms=0.25)
    assert spool_in(tmp_path).pending() == [first, second]


def test_an_unfinished_exposure_is_never_seen_and_swept_away_at_the_next_start(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    writer = spool.open()
    writer.write(b"half an exposure")
    assert (spool.pending(), len(list((tmp_path / "spool").iterdir()))) == ([], 1)
    assert spool_in(tmp_path).pending() == []
    assert list((tmp_path / "spool").iterdir()) == []


def test_an_aborted_exposure_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    with spool.open() as writer:
        writer.write(b"half an exposure")
    writer.abort()
    assert list((tmp_path / "spool").iterdir()) == []


def test_tries_are_counted_on_disk_before_they_are_made(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    exposure = spool.put(b"exposure", source=Source.DICOM, receive_ms=None)
    assert spool.attempt(exposure).tries == 1
    (again,) = spool_in(tmp_path).pending()
    assert again.tries == 1
    assert spool_in(tmp_path).attempt(again).tries == 2


def test_done_removes_an_exposure_under_whatever_name_it_has_by_now(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    exposure = spool.put(b"exposure", source=Source.DICOM, receive_ms=None)
    spool.attempt(exposure)
    spool.done(exposure)
    spool.done(exposure)
    assert (spool.depth, scan(tmp_path / "spool")) == (0, [])


def test_files_of_others_in_its_folder_are_left_alone(tmp_path: Path) -> None:
    spool_in(tmp_path)
    for name in ("note.txt", "1-2-dicom-x-0.film", "000000000001-999999999999999999-dicom-x-0.film"):
        (tmp_path / "spool" / name).write_text("not ours")
    assert spool_in(tmp_path).pending() == []


def test_less_space_than_the_reserve_refuses_the_exposure_before_it_is_written(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", reserve_bytes=1 << 60)
    with pytest.raises(SpoolFull, match="reserve_mib"):
        spool.put(b"exposure", source=Source.DICOM, receive_ms=None)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_disk_that_fills_up_under_way_refuses_the_exposure_and_keeps_nothing_of_it(small_disk: Path) -> None:
    spool = Spool(small_disk / "spool", reserve_bytes=0)
    kept = spool.put(b"x" * 100_000, source=Source.DICOM, receive_ms=None)
    with pytest.raises(SpoolFull, match="full"):
        spool.put((b"y" * 100_000 for _ in range(100)), source=Source.DICOM, receive_ms=None)
    assert [path.name for path in (small_disk / "spool").iterdir()] == [kept.path.name]
    fill(small_disk)
    spool.attempt(kept)
    spool.done(kept)
    assert spool.depth == 0


def test_a_disk_that_fails_otherwise_is_not_called_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    spool = spool_in(tmp_path)
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="input/output"):
        spool.put(b"exposure", source=Source.DICOM, receive_ms=None)
    assert list((tmp_path / "spool").iterdir()) == []


def test_file_and_folder_are_synced_before_anyone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    true_fsync = os.fsync

    def note(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        true_fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    spool_in(tmp_path).put(b"exposure", source=Source.DICOM, receive_ms=None)
    assert synced[0].startswith(".incoming-")
    assert synced[1:] == ["spool"]


def test_a_process_killed_at_any_moment_leaves_only_whole_exposures(tmp_path: Path) -> None:
    """The worker prints a number once the exposure is spooled; every printed one is there and complete."""
    worker = textwrap.dedent(f"""
        from pathlib import Path
        from device.contract import Source
        from device.receive.spool import Spool
        spool = Spool(Path({str(tmp_path / "spool")!r}), reserve_bytes=0)
        number = 0
        while True:
            chunks = (bytes([number % 256]) * 50_000 for _ in range(8))
            exposure = spool.put(chunks, source=Source.DICOM, receive_ms=None)
            print(exposure.order, flush=True)
            if number % 3 == 0:
                spool.attempt(exposure)
            number += 1
    """)
    printed: set[int] = set()
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", worker], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            printed |= {int(process.stdout.readline()) for _ in range(7)}
            process.kill()
            printed |= {int(line) for line in process.stdout.read().split("\n")[:-1]}
        exposures = spool_in(tmp_path).pending()
        assert printed <= {exposure.order for exposure in exposures}
        for exposure in exposures:
            body = exposure.path.read_bytes()
            assert len(body) == 400_000
            assert len(set(body)) == 1


@settings(deadline=None)
@given(chunks=st.lists(st.binary(max_size=300), max_size=8))
def test_whatever_goes_in_comes_out(tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes]) -> None:
    spool = spool_in(tmp_path_factory.mktemp("spool"))
    exposure = spool.put(iter(chunks), source=Source.FILE, receive_ms=None)
    assert exposure.path.read_bytes() == b"".join(chunks)
