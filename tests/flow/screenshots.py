"""Screenshots of a demonstration site for README and docs, of phantoms only.

python -m tests.flow.screenshots docs/pictures
python -m tests.flow.screenshots docs/pictures --board http://... --comparison http://...    # of a running site
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.flow.board_states import take_states
from tests.flow.browser import Browser, missing_part

SIM = [sys.executable, "-c", "from sim.app import main; main()"]
SIZE = (1440, 900)
COUNT = 40
WAIT_S = 60.0
# Images below the fold and hidden ones are lazy: they never load.
IMAGES_ARE_LOADED = (
    "[...document.images].every(i => i.complete || !i.offsetParent || i.getBoundingClientRect().top > innerHeight)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The addresses of a site, and the DICOM port of its box (None: nothing is sent to it)."""

    board: str
    comparison: str
    dicom_port: int | None = None


@contextmanager
def demonstration(arguments: list[str]) -> Iterator[Running]:
    """Run a demonstration until it has compared everything, and keep it running."""
    with tempfile.TemporaryDirectory(prefix="pneumoflag-screenshots-") as folder:
        out = Path(folder) / "demo-out"
        command = [*SIM, "demo", "--stay", "--out", str(out), "--count", str(COUNT), *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, bufsize=1) as demo:
            try:
                board, comparison = _addresses(demo)
                ports = json.loads((out / "work" / "box" / "ports.json").read_text(encoding="utf-8"))
                yield Running(board=board, comparison=comparison, dicom_port=ports["dicom"])
            finally:
                demo.send_signal(signal.SIGINT)


def _addresses(demo: subprocess.Popen[str]) -> tuple[str, str]:
    """Return the addresses of the pages once the demonstration stays up. Its output is passed on."""
    urls: dict[str, str] = {}
    stays = False
    for line in demo.stdout or ():
        print(line, end="", flush=True)
        stays = stays or "Ctrl-C" in line
        urls |= dict(re.findall(r"(flag board|collector) +(http\S+)", line))
        if stays and line.rstrip().endswith(urls.get("collector", "nowhere")):
            return urls["flag board"], urls["collector"]
    raise SystemExit("screenshots: the demonstration has ended; its output is above")


def _expose(port: int, folder: Path) -> None:
    """Send one more exposure, so that the board has a current one."""
    manifest = folder / "one-more.csv"
    arguments = ["modality", "--port", str(port), "--count", "1", "--seed", "5", "--manifest", str(manifest)]
    subprocess.run([*SIM, *arguments], check=True, timeout=WAIT_S)


def _until(check: Callable[[], bool], what: str) -> None:
    end_s = time.monotonic() + WAIT_S
    while not check():
        if time.monotonic() > end_s:
            raise SystemExit(f"screenshots: {what} did not appear within {WAIT_S:g} s")
        time.sleep(0.1)


def take(site: Running, folder: Path) -> list[Path]:
    """Take pictures of the pages and of the states of the flag page; return their paths."""
    comparison, board, states = folder / "comparison.png", folder / "board.png", folder / "board-states.png"
    browser = Browser(size=SIZE)
    try:
        browser.show(size=SIZE, scheme="light")
        browser.open(site.comparison)
        browser.picture(comparison)
        browser.show(size=SIZE, scheme="dark")
        browser.open(site.board)
        if site.dicom_port is not None:
            with tempfile.TemporaryDirectory() as temporary:
                _expose(site.dicom_port, Path(temporary))
            _until(lambda: bool(browser.text("#top .name")), "the flag of the last exposure")
        _until(lambda: bool(browser.run(IMAGES_ARE_LOADED)), "every thumbnail")
        time.sleep(0.5)  # until nothing moves any more
        browser.picture(board)
        take_states(states, browser)
    finally:
        browser.close()
    return [board, comparison, states]


def main() -> None:
    """Command line; see the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="where board.png, comparison.png and board-states.png go")
    parser.add_argument("--board", help="address of a running flag board")
    parser.add_argument("--comparison", help="address of a running comparison page")
    options, demo_arguments = parser.parse_known_args()
    if missing := missing_part():
        raise SystemExit(f"screenshots: {missing}")
    if options.board and options.comparison:
        taken = take(Running(board=options.board, comparison=options.comparison), options.folder)
    else:
        with demonstration(demo_arguments) as site:
            taken = take(site, options.folder)
    print("\n".join(map(str, taken)))


if __name__ == "__main__":
    main()
