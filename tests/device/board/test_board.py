"""The flag page over HTTP: live within a moment, silent rather than stale, and nothing a patient's name could break."""

from __future__ import annotations

import json
import re
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from markupsafe import escape

from device.board import live
from device.board.server import BoardError, BoardServer
from device.config import BoardConfig
from device.contract import Reason, Source
from device.delivery.outbox import Outbox
from device.receive.spool import Spool
from tests.support.board_entries import add, grey_jpeg


class Listener:
    """A browser's event stream, read in a thread: (name, data, moment)."""

    def __init__(self, url: str) -> None:
        self.events: list[tuple[str, dict[str, Any], float]] = []
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()

    def _read(self, url: str) -> None:
        name = ""
        try:
            with httpx.stream("GET", url + "events", trust_env=False, timeout=30) as answer:
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        with self._arrived:
                            self.events.append((name, json.loads(line[6:]), time.monotonic()))
                            self._arrived.notify_all()
        except (httpx.HTTPError, OSError):
            pass

    def wait(self, wanted: Callable[[str, dict[str, Any]], bool], timeout_s: float = 5.0) -> float:
        """The moment at which such an event came."""

        def results() -> list[float]:
            return [at for name, data, at in self.events if wanted(name, data)]

        with self._arrived:
            assert self._arrived.wait_for(lambda: bool(results()), timeout_s), f"not seen in {timeout_s} s"
            return results()[0]

    def wait_for_text(self, text: str, timeout_s: float = 5.0) -> float:
        return self.wait(lambda _name, data: text in data.get("html", ""), timeout_s)

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self._thread.join(timeout=5)
        assert not self.is_alive()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A served page with the outbox and the spool that feed it."""

    url: str
    server: BoardServer
    box: Outbox
    spool: Spool
    folder: Path
    listeners: list[Listener] = field(default_factory=list)

    def listen(self) -> Listener:
        self.listeners.append(Listener(self.url))
        return self.listeners[-1]

    def get(self, path: str = "", **headers: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, trust_env=False, timeout=10)

    def text(self) -> str:
        return self.get().text


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    opened: list[Site] = []

    def start(**config: Any) -> Site:
        box = Outbox(tmp_path / "outbox.sqlite")
        spool = Spool(tmp_path / "spool", reserve_bytes=0)
        server = BoardServer(
            BoardConfig(port=0, **config), tmp_path / "outbox.sqlite", tmp_path / "spool", title="north / room-2"
        )
        site = Site(url=server.start(), server=server, box=box, spool=spool, folder=tmp_path)
        opened.append(site)
        return site

    yield start
    for site in opened:
        site.server.stop()
        site.box.close()
        for listener in site.listeners:
            listener.join()


@pytest.fixture
def site(open_site: Callable[..., Site]) -> Site:
    return open_site()


def soon(check: Callable[[], bool], within_s: float = 3.0) -> bool:
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.03)
    return False


# ---- what is served


def test_the_page_stands_complete_without_any_script(site: Site) -> None:
    add(site.box, "a", ago_s=30, probability=0.87, clock_trusted=False)
    add(
        site.box,
        "b",
        ago_s=300,
        clock_trusted=False,
        reason=Reason.MINOR,
        patient="ROE^RICHARD",
        model="trial-model",
        fell_back=True,
    )
    assert soon(lambda: "ROE, Richard" in site.text())
    page = site.text()
    for text in (
        "Pneumonia flagged",
        "87 %",
        "DOE, Jane",
        "A-4711",
        str(escape("The patient is below the model's age range.")),
        "2 results waiting for the",
    ):
        assert text in page, text
    assert "For research and quality comparison, not diagnosis" in page
    assert "north / room-2" in page
    assert "trial-model" in page
    assert "accelerator failed" in page
    assert page.count("Box clock not verified") == 1
    assert page.count("taken, unverified") == 1
    assert '<noscript><meta http-equiv="refresh"' in page


def test_every_answer_is_strict_and_unstored(site: Site) -> None:
    for path in ("", "image/" + "0" * 32 + ".jpg", "nothing"):
        headers = site.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_the_page_needs_nothing_from_elsewhere_and_no_inline_code(site: Site) -> None:
    page = site.text()
    assert not re.search(r"https?://", page.replace("http://www.w3.org/2000/svg", ""))
    assert not re.search(r"\son\w+=|\sstyle=|<style|javascript:", page)
    for name in re.findall(r'(?:src|href)="/([^"#]+)"', page):
        assert site.get(name).status_code == 200, name


def test_a_hostile_name_stays_text(site: Site) -> None:
    evil = '<img src=x onerror="alert(1)">'
    add(site.box, "a", patient=evil, patient_id=evil, accession="</script><script>alert(2)</script>", view=evil)
    assert soon(lambda: "alert(2)" in site.text())
    assert "<img src=x" not in site.text()
    assert "<script>alert" not in site.text()


def test_nothing_can_be_changed_through_the_page(site: Site) -> None:
    assert httpx.post(site.url, trust_env=False).status_code == 405
    assert httpx.delete(site.url + "image/" + "0" * 32 + ".jpg", trust_env=False).status_code == 405


def test_each_thumbnail_is_the_one_of_its_result(site: Site) -> None:
    pictures = {grey: grey_jpeg(grey) for grey in (10, 120, 240)}
    results = {grey: add(site.box, str(grey), thumbnail=jpeg) for grey, jpeg in pictures.items()}
    for grey, result in results.items():
        answer = site.get(f"image/{result.result_id}.jpg")
        assert (answer.headers["content-type"], answer.content) == ("image/jpeg", pictures[grey])


@pytest.mark.parametrize("name", ["0" * 32, "../outbox.sqlite", "..%2f..%2fetc%2fpasswd", "x' OR '1'='1", "0" * 31])
def test_an_unknown_thumbnail_is_not_there(site: Site, name: str) -> None:
    add(site.box, "a", thumbnail=grey_jpeg(10))
    assert site.get(f"image/{name}.jpg").status_code == 404


def test_an_exposure_without_picture_says_so(site: Site) -> None:
    result = add(site.box, "a", thumbnail=None)
    assert soon(lambda: "No image of this exposure" in site.text())
    assert site.get(f"image/{result.result_id}.jpg").status_code == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8080", 200),
        ("[::1]:8080", 200),
        ("10.1.2.3", 200),
        ("flags.hospital", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example:80", 421),
        ("", 421),
    ],
)
def test_a_foreign_host_name_is_refused(open_site: Callable[..., Site], host: str, status: int) -> None:
    site = open_site(host_names=("flags.hospital",))
    assert site.get(host=host).status_code == status


# ---- live


def test_a_new_flag_is_on_the_wire_within_a_moment_of_its_commit(site: Site) -> None:
    listener = site.listen()
    listener.wait(lambda name, _data: name == "page")
    delays_s = []
    for number in range(9):
        add(site.box, f"exposure {number}", patient=f"PATIENT{number}^X")
        committed_at = time.monotonic()
        delays_s.append(listener.wait_for_text(f"PATIENT{number},") - committed_at)
    assert statistics.median(delays_s) < 0.25


def test_an_exposure_in_the_spool_takes_the_flag_from_the_top_at_once(site: Site) -> None:
    listener = site.listen()
    add(site.box, "a", patient="EARLIER^X")
    listener.wait_for_text("EARLIER, X")
    exposure = site.spool.put(b"exposure", source=Source.DICOM, receive_ms=1.0)
    listener.wait_for_text("Exposure received")
    assert 'class="top state waiting"' in site.text()
    site.spool.done(exposure)
    assert soon(lambda: 'class="top flag-clear"' in site.text())


def test_delivery_is_told_and_does_not_matter(site: Site) -> None:
    listener = site.listen()
    results = [add(site.box, str(n)) for n in range(12)]
    listener.wait_for_text("12 results waiting for the collector")
    site.box.confirm(result.result_id for result in results)
    listener.wait_for_text("All results delivered")


def test_without_news_there_is_a_sign_of_life_every_two_seconds(site: Site) -> None:
    listener = site.listen()
    assert soon(lambda: len(listener.events) == 3, within_s=8)
    names, versions, times_s = zip(*[(name, data["version"], at) for name, data, at in listener.events], strict=True)
    assert names == ("page", "beat", "beat")
    assert len(set(versions)) == 1
    assert 1.5 < times_s[2] - times_s[1] < 2.5


def test_when_the_watcher_hangs_there_is_no_sign_of_life_and_no_flag(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "FRESH_S", 0.5)
    monkeypatch.setattr(live, "BEAT_S", 0.2)
    add(site.box, "a", probability=0.9)
    listener = site.listen()
    listener.wait(lambda name, _data: name == "beat")
    hang, read = threading.Event(), site.server._reader.read
    monkeypatch.setattr(site.server._reader, "read", lambda: hang.wait(20) and read())
    time.sleep(1.0)
    events = len(listener.events)
    time.sleep(1.0)
    assert len(listener.events) == events
    late_comer = site.listen()
    time.sleep(0.5)
    assert late_comer.events == []
    answer = site.get()
    assert answer.status_code == 503
    assert "Flags cannot be read" in answer.text
    assert "Pneumonia flagged" not in answer.text
    monkeypatch.undo()
    hang.set()


def test_a_slow_browser_and_many_others_hold_up_nobody(site: Site) -> None:
    address = httpx.URL(site.url)
    sleepers = [socket.create_connection((address.host, address.port)) for _ in range(40)]
    for sleeper in sleepers:
        sleeper.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    listener = site.listen()
    for number in range(60):
        add(site.box, str(number), patient="LONG^" + "X" * 60)
        time.sleep(0.02)
    add(site.box, "last", patient="LAST^X")
    committed_at = time.monotonic()
    assert listener.wait_for_text("LAST, X") - committed_at < 1.0
    with ThreadPoolExecutor(20) as pool:
        assert {answer.status_code for answer in pool.map(lambda _n: site.get(), range(40))} == {200}
    for sleeper in sleepers:
        sleeper.close()


# ---- when things go wrong


def test_without_the_outbox_file_the_page_says_that_flags_cannot_be_read_and_recovers(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    server = BoardServer(BoardConfig(port=0), tmp_path / "outbox.sqlite", tmp_path / "spool")
    url = server.start()
    try:
        assert "Flags cannot be read" in httpx.get(url, trust_env=False).text
        box = Outbox(tmp_path / "outbox.sqlite")
        add(box, "a")
        assert soon(lambda: "DOE, Jane" in httpx.get(url, trust_env=False).text)
        box.close()
    finally:
        server.stop()


def test_another_file_under_the_same_name_is_read_and_the_old_one_forgotten(site: Site) -> None:
    add(site.box, "a", patient="BEFORE^X")
    assert soon(lambda: "BEFORE, X" in site.text())
    site.box.close()
    for path in site.folder.glob("outbox.sqlite*"):
        path.rename(path.with_name("old-" + path.name))
    fresh = Outbox(site.folder / "outbox.sqlite")
    add(fresh, "b", patient="AFTER^X")
    assert soon(lambda: "AFTER, X" in site.text())
    assert "BEFORE" not in site.text()
    fresh.close()


def test_a_damaged_outbox_shows_no_flags(site: Site) -> None:
    add(site.box, "a", patient="BEFORE^X")
    assert soon(lambda: "BEFORE, X" in site.text())
    site.box.close()
    for path in site.folder.glob("outbox.sqlite-*"):
        path.unlink()
    damaged = site.folder / "damaged"
    damaged.write_bytes(b"no database" * 1000)
    damaged.rename(site.folder / "outbox.sqlite")
    assert soon(lambda: "Flags cannot be read" in site.text())
    assert "BEFORE" not in site.text()


def test_a_port_in_use_is_named_with_the_remedy(site: Site, tmp_path: Path) -> None:
    port = httpx.URL(site.url).port
    second = BoardServer(BoardConfig(port=port), tmp_path / "outbox.sqlite", tmp_path / "spool")
    with pytest.raises(BoardError, match=rf"port {port} on 127\.0\.0\.1 is already in use.*board\.port"):
        second.start()


def test_an_address_that_is_not_this_machines_is_named(tmp_path: Path) -> None:
    server = BoardServer(BoardConfig(host="203.0.113.7", port=0), tmp_path / "o", tmp_path / "s")
    with pytest.raises(BoardError, match=r"203\.0\.113\.7 cannot be used"):
        server.start()


def test_stopping_ends_every_stream_and_leaves_nothing_running(site: Site) -> None:
    listener = site.listen()
    listener.wait(lambda name, _data: name == "page")
    site.server.stop()
    assert soon(lambda: not listener.is_alive())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("board")]
    with pytest.raises(httpx.ConnectError):
        site.get()
