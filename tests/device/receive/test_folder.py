from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from device.config import FolderConfig
from device.contract import Source
from device.host.alarms import Alarms
from device.receive.folder import FolderReceiver
from device.receive.spool import Spool, SpooledExposure, SpoolWriter
from tests.support.exposures import write_exposure

SETTLE_S = 2.0


class Watched:
    """A watched folder on a clock of its own."""

    def __init__(
        self, root: Path, *, after: str = "move", reserve_bytes: int = 0, max_file_bytes: int = 1 << 20
    ) -> None:
        self.now_s = 100.0
        self.inbox = root / "inbox"
        self.inbox.mkdir()
        self.alarms = Alarms()
        self.spool = Spool(root / "spool", reserve_bytes=reserve_bytes)
        self.receiver = FolderReceiver(
            self.inbox,
            FolderConfig(path=self.inbox, settle_s=SETTLE_S, after=after),
            self.spool,
            self.alarms,
            max_file_bytes=max_file_bytes,
            clock_s=lambda: self.now_s,
        )

    def look(self, *, after_s: float = SETTLE_S) -> int:
        self.now_s += after_s
        return self.receiver.step()

    def bodies(self) -> list[bytes]:
        return [results.path.read_bytes() for results in self.spool.pending()]


def test_a_finished_file_is_spooled_and_then_moved_away(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    path = write_exposure(watched.inbox, 7)
    body = path.read_bytes()
    assert [watched.look(), watched.look()] == [0, 1]
    assert watched.bodies() == [body]
    assert not path.exists()
    assert (watched.inbox / "received" / path.name).read_bytes() == body
    assert watched.look() == 0, "what was received is not received again"


def test_it_deletes_where_the_site_wants_that(tmp_path: Path) -> None:
    watched = Watched(tmp_path, after="delete")
    write_exposure(watched.inbox)
    watched.look()
    watched.look()
    assert list(watched.inbox.iterdir()) == []
    assert watched.spool.depth == 1


def test_a_file_that_still_grows_is_left_alone(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    path = watched.inbox / "exposure.dcm"
    for part in range(4):
        with path.open("ab") as file:
            file.write(b"x" * 100)
        assert watched.look() == 0, part
    assert [watched.look(after_s=SETTLE_S / 2), watched.look(after_s=SETTLE_S / 2)] == [0, 1]
    assert watched.bodies() == [b"x" * 400]


def test_a_file_rewritten_with_the_same_size_waits_again(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    path = watched.inbox / "exposure.dcm"
    path.write_bytes(b"old")
    watched.look()
    path.write_bytes(b"new")
    os.utime(path, ns=(1, 1))
    assert watched.look() == 0
    assert watched.look() == 1
    assert watched.bodies() == [b"new"]


def test_an_old_date_proves_nothing(tmp_path: Path) -> None:
    """The file server's clock may be hours behind ours while it still writes."""
    watched = Watched(tmp_path)
    path = write_exposure(watched.inbox)
    os.utime(path, (0, 0))
    assert watched.look() == 0


def test_a_file_renamed_into_place_is_taken_whole(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    part = watched.inbox / "exposure.dcm.part"
    part.write_bytes(b"whole")
    assert [watched.look(), watched.look()] == [0, 0]
    part.rename(watched.inbox / "exposure.dcm")
    assert [watched.look(), watched.look()] == [0, 1]


@pytest.mark.parametrize(
    "name", [".hidden.dcm", "exposure.part", "IMAGE.TMP", "exposure.dcm.filepart", ".folder/exposure.dcm"]
)
def test_names_of_unfinished_and_hidden_files_are_left_alone(tmp_path: Path, name: str) -> None:
    watched = Watched(tmp_path)
    path = watched.inbox / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"exposure")
    assert [watched.look(), watched.look()] == [0, 0]


def test_folders_within_are_watched_and_links_are_not_followed(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    (watched.inbox / "ward 1").mkdir()
    write_exposure(watched.inbox / "ward 1", 1)
    (tmp_path / "elsewhere").mkdir()
    (watched.inbox / "link.dcm").symlink_to(write_exposure(tmp_path / "elsewhere", 2))
    (watched.inbox / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(watched.inbox / "pipe.dcm")
    assert [watched.look(), watched.look()] == [0, 1]
    assert (watched.inbox / "received" / "ward 1" / "exposure-0001.dcm").exists()


def test_pictures_are_told_from_dicom_by_their_first_bytes(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for name, head in (
        ("a", b"\xff\xd8\xff\xe0"),
        ("b", b"\x89PNG\r\n\x1a\n"),
        ("c", b"\0" * 128 + b"DICM"),
        ("d", b""),
    ):
        (watched.inbox / name).write_bytes(head)
    watched.look()
    assert watched.look() == 4
    sources = {results.path.read_bytes()[:2]: results.source for results in watched.spool.pending()}
    assert sources == {b"\xff\xd8": Source.FILE, b"\x89P": Source.FILE, b"\0\0": Source.DICOM, b"": Source.DICOM}


@pytest.mark.parametrize("after", ["move", "delete"])
def test_an_exposure_that_takes_the_name_while_the_one_before_is_synced_is_taken_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    watched = Watched(tmp_path, after=after)
    path = watched.inbox / "exposure.dcm"
    path.write_bytes(b"one")
    watched.look()
    commit = SpoolWriter.commit

    def replaced_meanwhile(writer: SpoolWriter, *, source: Source, receive_ms: float | None) -> SpooledExposure:
        (watched.inbox / "exposure.part").write_bytes(b"two")
        (watched.inbox / "exposure.part").rename(path)
        return commit(writer, source=source, receive_ms=receive_ms)

    monkeypatch.setattr(SpoolWriter, "commit", replaced_meanwhile)
    assert watched.look() == 1
    monkeypatch.undo()
    assert [watched.look(), watched.look()] == [0, 1]
    assert watched.bodies() == [b"one", b"two"]
    assert not path.exists()
    assert watched.alarms.active() == {}


def test_the_same_name_again_does_not_overwrite_what_was_received(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    for body in (b"one", b"two"):
        (watched.inbox / "exposure.dcm").write_bytes(body)
        watched.look()
        assert watched.look() == 1
    assert sorted(path.read_bytes() for path in (watched.inbox / "received").iterdir()) == [b"one", b"two"]


def test_a_full_disk_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    watched = Watched(tmp_path, reserve_bytes=1 << 60)
    path = write_exposure(watched.inbox)
    watched.look()
    assert watched.look() == 0
    assert path.exists()
    assert "exposure_refused" in watched.alarms.active()
    watched.spool._reserve_bytes = 0
    assert watched.look() == 1
    assert watched.alarms.active() == {}


def test_of_a_huge_file_only_so_much_is_spooled_that_the_classify_can_say_too_large(tmp_path: Path) -> None:
    watched = Watched(tmp_path, max_file_bytes=1 << 20)
    (watched.inbox / "huge.dcm").write_bytes(b"x" * (5 << 20))
    watched.look()
    assert watched.look() == 1
    (body,) = watched.bodies()
    assert 1 << 20 < len(body) <= 2 << 20


def test_a_file_that_cannot_be_moved_away_is_received_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(tmp_path, after="delete")
    write_exposure(watched.inbox)
    watched.look()

    def refuse(_path: Path, **_: object) -> None:
        raise PermissionError(13, "permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    assert [watched.look() for _ in range(4)] == [1, 0, 0, 0]
    assert "folder" in watched.alarms.active()
    monkeypatch.undo()
    for path in watched.inbox.iterdir():
        path.unlink()
    watched.look()
    assert watched.alarms.active() == {}


@pytest.mark.parametrize("step", ["_copy", "_put_away"])
def test_an_alarm_tells_no_file_name_for_it_may_be_a_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, step: str
) -> None:
    watched = Watched(tmp_path)
    for name in ("DOE^JANE.dcm", "ROE^JOHN.dcm"):
        (watched.inbox / name).write_bytes(b"exposure")

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "permission denied", str(path))

    monkeypatch.setattr(watched.receiver, step, refuse)
    watched.look()
    watched.look()
    text = watched.alarms.active()["folder"]
    assert text.startswith(f"{watched.inbox}: 2 files")
    assert f"errno {errno.EACCES}" in text
    logged = "".join(str(vars(record)) for record in caplog.records)
    assert not any(name in text + logged for name in ("DOE", "ROE"))


def test_a_folder_that_vanishes_is_an_alarm_and_comes_back(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.inbox.rmdir()
    assert watched.look() == 0
    assert "folder" in watched.alarms.active()
    watched.inbox.mkdir()
    write_exposure(watched.inbox)
    watched.look()
    assert watched.look() == 1


def test_a_subfolder_that_cannot_be_listed_stops_none_of_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(tmp_path)
    for name in ("DOE^JANE", "ward 2"):
        (watched.inbox / name).mkdir()
        write_exposure(watched.inbox / name)
    scandir = os.scandir

    def refuse(path: str | Path) -> object:  # root may list everything, whatever the mode says
        if Path(path).name == "DOE^JANE":
            raise PermissionError(errno.EACCES, "permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert [watched.look(), watched.look()] == [0, 1]
    assert list(watched.alarms.active()) == ["subfolder"]
    assert "1 subfolders" in watched.alarms.active()["subfolder"]
    assert "DOE" not in watched.alarms.active()["subfolder"]
    monkeypatch.undo()
    assert [watched.look(), watched.look()] == [0, 1]
    assert watched.alarms.active() == {}
