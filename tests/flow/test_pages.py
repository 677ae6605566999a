"""The flag page in a real browser: what a technologist sees, and that it is never an old or a wrong flag."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from device.board.server import BoardServer
from device.config import BoardConfig
from device.contract import Reason, Source
from device.delivery.outbox import Outbox
from device.receive.spool import Spool
from tests.support.board_entries import add, grey_jpeg

if TYPE_CHECKING:
    from tests.flow.browser import Browser

pytestmark = pytest.mark.browser

COVERED = "getComputedStyle(document.getElementById('lost')).visibility === 'visible'"
# The moment at which a text first stands in the page, by the same clock as the test's.
WATCH = """
window.seen = {};
new MutationObserver(() => {
  for (const text of arguments[0])
    if (!window.seen[text] && document.body.innerText.includes(text)) window.seen[text] = Date.now() / 1000;
}).observe(document.body, {childList: true, subtree: true, characterData: true});
"""


@dataclass(kw_only=True)
class Site:
    """A box's page with its outbox and spool; the page can be stopped and started again."""

    folder: Path
    box: Outbox
    spool: Spool
    config: BoardConfig
    server: BoardServer | None = None
    url: str = ""

    def start(self) -> None:
        self.server = BoardServer(self.config, self.folder / "outbox.sqlite", self.folder / "spool", title="room-2")
        self.url = self.server.start()
        self.config = self.config.model_copy(update={"port": httpx.URL(self.url).port})

    def stop(self) -> None:
        if self.server:
            self.server.stop()
        self.server = None


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    opened: list[Site] = []

    def start(**config: Any) -> Site:
        box, spool = Outbox(tmp_path / "outbox.sqlite"), Spool(tmp_path / "spool", reserve_bytes=0)
        site = Site(folder=tmp_path, box=box, spool=spool, config=BoardConfig(port=0, **config))
        site.start()
        opened.append(site)
        return site

    yield start
    for site in opened:
        site.stop()
        site.box.close()


@pytest.fixture
def site(open_site: Callable[..., Site]) -> Site:
    return open_site()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    chromium.show()
    yield chromium
    chromium.open("about:blank")


def soon(check: Callable[[], Any], within_s: float = 5.0) -> Any:
    end = time.monotonic() + within_s
    while not (value := check()) and time.monotonic() < end:
        time.sleep(0.05)
    return value


def mark_page(browser: Browser) -> None:
    """Set a mark that is lost when the page is reloaded."""
    browser.run("window.sameLoad = true")


def is_same_load(browser: Browser) -> bool:
    return browser.run("window.sameLoad === true")  # type: ignore[no-any-return]


def test_a_new_flag_appears_in_the_open_page_within_a_moment(site: Site, browser: Browser) -> None:
    browser.open(site.url)
    assert soon(lambda: "No exposure classified yet" in browser.text("#top"))
    mark_page(browser)
    names = [f"PATIENT{number}" for number in range(5)]
    browser.driver.execute_script(WATCH, names)
    delays_s = []
    for name in names:
        add(site.box, name, patient=f"{name}^X", probability=0.9)
        committed_at = time.time()
        assert soon(lambda name=name: browser.run("window.seen[arguments[0]]", name))
        delays_s.append(browser.run("window.seen[arguments[0]]", name) - committed_at)
    assert sorted(delays_s)[len(delays_s) // 2] < 0.3
    assert is_same_load(browser)
    assert "Pneumonia flagged" in browser.text("#top")


def test_the_page_covers_its_flags_when_the_box_stops_and_shows_the_new_ones_when_it_is_back(
    site: Site, browser: Browser
) -> None:
    add(site.box, "a", probability=0.9, patient="BEFORE^X")
    browser.open(site.url)
    assert soon(lambda: "BEFORE, X" in browser.text("#top"))
    mark_page(browser)
    site.stop()
    stopped_s = time.monotonic()
    assert soon(lambda: browser.run(COVERED), within_s=9)
    assert 3 < time.monotonic() - stopped_s < 8.5
    assert "Connection to the box lost" in browser.text("#lost")
    assert soon(lambda: "Connection to the box lost" in browser.run("document.getElementById('announcer').textContent"))
    add(site.box, "b", probability=0.1, patient="AFTER^X")
    site.start()
    assert soon(lambda: not browser.run(COVERED), within_s=8)
    assert "AFTER, X" in browser.text("#top")
    assert is_same_load(browser)


def test_the_cover_needs_no_script(site: Site, browser: Browser) -> None:
    add(site.box, "a", probability=0.9)
    assert soon(lambda: "Pneumonia flagged" in httpx.get(site.url, trust_env=False).text)
    browser.devtools("Network.enable")
    browser.devtools("Network.setBlockedURLs", urls=["*board.js*"])
    try:
        browser.open(site.url)
        assert "Pneumonia flagged" in browser.text("#top")
        assert not browser.run(COVERED)
        assert soon(lambda: browser.run(COVERED), within_s=9)
    finally:
        browser.devtools("Network.setBlockedURLs", urls=[])
        browser.devtools("Network.disable")


def test_a_tab_that_was_hidden_shows_nothing_old_when_it_comes_back(site: Site, browser: Browser) -> None:
    add(site.box, "a", patient="BEFORE^X")
    browser.open(site.url)
    assert soon(lambda: "BEFORE, X" in browser.text("#top"))
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    add(site.box, "b", patient="AFTER^X")
    time.sleep(0.5)
    browser.driver.close()
    browser.driver.switch_to.window(first)
    assert browser.run(COVERED) or "AFTER, X" in browser.text("#top")
    assert soon(lambda: "AFTER, X" in browser.text("#top") and not browser.run(COVERED))


def test_markup_in_a_patients_name_stays_text(site: Site, browser: Browser) -> None:
    evil = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
    for name in ("a", "b"):
        add(site.box, name, patient=evil, patient_id=evil, accession=evil, view=evil)
    browser.open(site.url)
    assert soon(lambda: "<img src=x onerror" in browser.text("#top"))
    add(site.box, "c", patient_id=evil + "live")
    assert soon(lambda: browser.run("document.querySelectorAll('#list .row').length") == 2)
    time.sleep(0.3)
    assert browser.run("window.hacked") is None
    assert browser.run("document.querySelectorAll('img[src=x], main script, #live script').length") == 0


def test_flags_stand_newest_decision_first_and_the_newest_exposure_on_top(site: Site, browser: Browser) -> None:
    for number in range(6):
        add(site.box, str(number), ago_s=60 - number * 10, patient=f"N{number}^X")
    browser.open(site.url)
    assert soon(lambda: "N5, X" in browser.text("#top .name"))
    assert browser.text("#list .name").split() == ["N4,", "X", "N3,", "X", "N2,", "X", "N1,", "X", "N0,", "X"]
    add(site.box, "late", ago_s=4000, patient="LATE^X", classified_after_s=4000)
    assert soon(lambda: browser.text("#list .name").startswith("LATE, X"))
    assert "N5, X" in browser.text("#top .name")
    assert "Late: classified" in browser.text("#list .row:first-child")


def test_a_waiting_exposure_removes_the_flag_from_the_top(site: Site, browser: Browser) -> None:
    add(site.box, "a", probability=0.9)
    browser.open(site.url)
    assert soon(lambda: "Pneumonia flagged" in browser.text("#top"))
    spooled = site.spool.put(b"image", source=Source.DICOM, receive_ms=1.0)
    assert soon(lambda: "Exposure received" in browser.text("#top"))
    assert "Pneumonia flagged" not in browser.text("#top")
    assert "Pneumonia flagged" in browser.text("#list")
    assert soon(lambda: browser.run("document.getElementById('announcer').textContent.startsWith('Exposure received')"))
    site.spool.done(spooled)
    assert soon(lambda: "Pneumonia flagged" in browser.text("#top"))


def test_a_flag_becomes_stale_by_itself(open_site: Callable[..., Site], browser: Browser) -> None:
    site = open_site(stale_after_s=2.0)
    add(site.box, "a", probability=0.9)
    browser.open(site.url)
    assert soon(lambda: "Pneumonia flagged" in browser.text("#top"))
    assert soon(lambda: "No new exposure since" in browser.text("#top"))
    assert "Pneumonia flagged" not in browser.text("#top")
    assert "Pneumonia flagged" in browser.text("#list")


def test_a_line_never_shows_the_image_of_another(site: Site, browser: Browser) -> None:
    greys = list(range(8, 248, 12))
    browser.open(site.url)
    for grey in greys:
        add(site.box, str(grey), patient=f"G{grey}^X", thumbnail=grey_jpeg(grey))
        time.sleep(0.05)
    assert soon(lambda: f"G{greys[-1]}, X" in browser.text("#top"))
    every_picture = "[...document.images].filter(i => i.src.includes('/image/')).every(i => i.complete)"
    browser.driver.execute_script("for (const i of document.images) i.loading = 'eager'")
    assert soon(lambda: browser.run(every_picture))
    shown = browser.run(
        """[...document.querySelectorAll('#top, #list .row')].map(line => {
          const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
          const ink = canvas.getContext('2d');
          ink.drawImage(line.querySelector('.image img'), 0, 0, 1, 1);
          return [line.querySelector('.name').innerText, ink.getImageData(0, 0, 1, 1).data[0]];
        })"""
    )
    assert len(shown) == len(greys)
    for name, grey in shown:
        assert abs(int(name.removeprefix("G").removesuffix(", X")) - grey) <= 2, name


def test_flags_differ_by_text_and_shape_and_images_have_alternative_texts(site: Site, browser: Browser) -> None:
    for name, probability in (("a", 0.9), ("b", 0.4), ("c", 0.1)):
        add(site.box, name, probability=probability)
    add(site.box, "d", reason=Reason.LATERAL_VIEW)
    browser.open(site.url)
    assert soon(lambda: browser.run("document.querySelectorAll('#list .row').length") == 3)
    flags = "[...document.querySelectorAll('#list .flag, #top h2')]"
    assert len(set(browser.run(f"{flags}.map(f => f.innerText)"))) == 4
    assert len(set(browser.run(f"{flags}.map(f => f.querySelector('use').getAttribute('href'))"))) == 4
    assert browser.run("[...document.images].every(i => i.hasAttribute('alt'))")
    assert browser.run("document.querySelectorAll('[aria-live=polite]').length") == 1


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (390, 844)])
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_fits_the_screen_and_the_newest_flag_is_large(
    site: Site, browser: Browser, size: tuple[int, int], scheme: str
) -> None:
    add(site.box, "old", patient="X" * 64, patient_id="9" * 64, accession="8" * 64, ago_s=100)
    add(site.box, "a", patient="X" * 64, patient_id="9" * 64, probability=0.4)
    browser.show(size=size, scheme=scheme)
    browser.open(site.url)
    assert soon(lambda: "Needs review" in browser.text("#top") and browser.text("#list .name"))
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("document.querySelector('#top .when').getBoundingClientRect().bottom <= innerHeight")
    text_px = float(browser.run("parseFloat(getComputedStyle(document.querySelector('#top h2')).fontSize)"))
    assert text_px >= (60 if size[0] > 1000 else 28)
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(11, 16, 21)") == (scheme == "dark")


def test_the_browser_reports_no_error_of_the_page(site: Site, browser: Browser) -> None:
    browser.driver.get_log("browser")  # type: ignore[no-untyped-call]
    add(site.box, "a", thumbnail=grey_jpeg(90))
    browser.open(site.url)
    add(site.box, "b", thumbnail=grey_jpeg(30), reason=Reason.MINOR)
    assert soon(lambda: "Not classified" in browser.text("#top"))
    time.sleep(0.5)
    assert browser.driver.get_log("browser") == []  # type: ignore[no-untyped-call]
