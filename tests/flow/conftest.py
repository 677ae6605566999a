"""What tests across the folders share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flow.browser import Browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One Chromium for the whole session; a test names its size and light by `chromium.show`."""
    pytest.importorskip("selenium", reason="selenium is missing: it comes with the dev extra")
    from tests.flow.browser import Browser, missing_part  # noqa: PLC0415 - selenium may be absent

    if missing := missing_part():
        pytest.skip(missing)
    browser = Browser()
    yield browser
    browser.close()
