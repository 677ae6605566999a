"""The heatmap switch in a real browser: where the score comes from, on request, and for this exposure only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from device.board.server import BoardServer
from device.config import BoardConfig
from device.contract import Reason
from device.delivery.outbox import Outbox
from device.receive.spool import Spool
from tests.flow.test_pages import soon
from tests.support.board_entries import (
    Shown,
    entry_of,
    grey_jpeg,
    result_of,
)

if TYPE_CHECKING:
    from tests.flow.browser import Browser

pytestmark = pytest.mark.browser

MAPS_SHOWN = "[...document.querySelectorAll('.evidence img')].filter(i => i.offsetParent && i.complete).map(i => i.src)"
TOP_KEY = "document.getElementById('top').dataset.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    url: str
    box: Outbox

    def add(self, name: str, *, ago_s: float = 0.0, drawn: bool = True, **details: Any) -> str:
        shown = Shown(name=name, at=datetime.now(UTC) - timedelta(seconds=ago_s), thumbnail=grey_jpeg(60), **details)
        result = result_of(shown)
        self.box.put(result, entry_of(shown, evidence=grey_jpeg(200) if drawn else None))
        assert soon(lambda: result.result_id in httpx.get(self.url, trust_env=False).text)
        return result.result_id


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    box = Outbox(tmp_path / "outbox.sqlite")
    Spool(tmp_path / "spool", reserve_bytes=0)
    server = BoardServer(BoardConfig(port=0), tmp_path / "outbox.sqlite", tmp_path / "spool")
    yield Site(url=server.start(), box=box)
    server.stop()
    box.close()


@pytest.fixture
def browser(chromium: Browser) -> Iterator[Browser]:
    chromium.show()
    yield chromium
    chromium.open("about:blank")


def press(browser: Browser, *keys: str) -> None:
    ActionChains(browser.driver).send_keys(*keys).perform()


def test_the_map_is_shown_by_the_keyboard_and_hidden_again(site: Site, browser: Browser) -> None:
    key = site.add("image", probability=0.9)
    browser.open(site.url)
    assert browser.run(MAPS_SHOWN) == []
    press(browser, Keys.TAB, Keys.SPACE)
    assert soon(lambda: browser.run(MAPS_SHOWN)) == [f"{site.url}evidence/{key}.jpg"]
    assert "0.1 logits per 1 % of the image" in browser.text("#top")
    press(browser, Keys.SPACE)
    assert browser.run(MAPS_SHOWN) == []


def test_an_open_map_stays_open_for_its_exposure_and_is_closed_for_the_next(site: Site, browser: Browser) -> None:
    first = site.add("one", probability=0.9)
    browser.open(site.url)
    browser.run("document.querySelector('#top .where').click()")
    site.box.put(result_of(Shown(name="one", at=datetime.now(UTC))), entry_of(Shown(name="one", at=datetime.now(UTC))))
    assert soon(lambda: "Sent again" in browser.text("#top"))
    assert browser.run(MAPS_SHOWN) == [f"{site.url}evidence/{first}.jpg"]
    second = site.add("two", probability=0.1)
    assert soon(lambda: browser.run(TOP_KEY) == second)
    assert browser.run(MAPS_SHOWN) == []


def test_a_line_of_the_list_has_its_own_map(site: Site, browser: Browser) -> None:
    older = site.add("older", ago_s=60, probability=0.4)
    site.add("newest", probability=0.9)
    browser.open(site.url)
    browser.run("document.querySelector('#list .where').click()")
    assert soon(lambda: browser.run(MAPS_SHOWN)) == [f"{site.url}evidence/{older}.jpg"]


def test_without_a_map_or_a_flag_there_is_no_switch(site: Site, browser: Browser) -> None:
    site.add("plain", ago_s=60, drawn=False)
    site.add("refused", reason=Reason.OUT_OF_DISTRIBUTION)
    browser.open(site.url)
    assert "unlike those the model was trained on" in browser.text("#top")
    assert browser.run("document.querySelectorAll('.switch, .where').length") == 0


def test_it_needs_no_script(site: Site, browser: Browser) -> None:
    key = site.add("image", probability=0.9)
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(site.url)
        press(browser, Keys.TAB, Keys.SPACE)
        assert soon(lambda: browser.run(MAPS_SHOWN)) == [f"{site.url}evidence/{key}.jpg"]
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
