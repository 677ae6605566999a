"""A real Chromium, headless, for tests and pictures of the pages."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
# At every start Chromium contacts its maker's servers, which a hospital's network does not allow.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def missing_part() -> str | None:
    """Return what to install, or None when nothing is missing."""
    absent = [path for path in (CHROMIUM, DRIVER) if not Path(path).exists()]
    return f"{' and '.join(absent)} missing: apt-get install chromium chromium-driver" if absent else None


class Browser:
    """One window. `size` in CSS pixels, `scheme` dark or light."""

    def __init__(self, *, size: tuple[int, int] = (1280, 720), scheme: str = "dark", scale: float = 1) -> None:
        self._profile = tempfile.mkdtemp(prefix="pneumoflag-browser-")
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={self._profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        self.driver.set_page_load_timeout(30)
        self.show(size=size, scheme=scheme, scale=scale)

    def show(self, *, size: tuple[int, int] = (1280, 720), scheme: str = "dark", scale: float = 1) -> None:
        """Show pages at this size, in this colour scheme."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **metrics)
        self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def devtools(self, command: str, **parameters: Any) -> Any:
        """Send a command of the DevTools protocol and return its answer."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def open(self, url: str) -> None:
        """Load a page."""
        self.driver.get(url)

    def run(self, script: str, *values: Any) -> Any:
        """Return the value of a JavaScript expression in the page."""
        return self.driver.execute_script(f"return ({script});", *values)

    def text(self, selector: str = "body") -> str:
        """Return the visible text of the selected elements; empty when there are none."""
        text = self.run("[...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')", selector)
        return str(text)

    def picture(self, path: Path) -> None:
        """Write a PNG of the window."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self.driver.save_screenshot(str(path)):
            raise OSError(f"{path}: picture could not be written")

    def close(self) -> None:
        """End Chromium and delete its profile."""
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)
