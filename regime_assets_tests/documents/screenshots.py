"""The pictures of the docs, taken in Debian's chromium.

`python -m regime_assets_tests.documents.screenshots DATA_FOLDER` starts the UI on a data folder with at least one
session (such as that of `bin/demo`), photographs the graph, the page for the morning and a report, and writes
`docs/images/`.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Page, ViewportSize

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLOURS = 64  # enough for pages of text and lines; a quarter of the size of true colour
WIDTH, HEIGHT = 1280, 900
GRAPH_WINDOW: ViewportSize = {"width": 2300, "height": 560}  # wide enough for names and counts to be drawn
GRAPH: FloatRect = {"x": 660, "y": 165, "width": 1510, "height": 265}
SETTLING_MILLISECONDS = 15_000
START_SECONDS = 120


def save_small(png: bytes, path: Path) -> None:
    """Write a screenshot with few colours."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page in a light chromium of the docs' size."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        browser.close()


def take_page(page: Page, address: str, path: Path, height: int = HEIGHT) -> None:
    """The top of a page of our own, which needs no time to settle."""
    page.goto(address)
    save_small(page.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": height}, full_page=True), path)


@contextmanager
def running_ui(home: Path, universes: Path | None) -> Iterator[str]:
    """The address of a UI on a data folder, ended afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | {"REGIME_ASSETS_HOME": str(home), "REGIME_ASSETS_AUTOMATION": "off"}
    if universes is not None:
        environment["REGIME_ASSETS_UNIVERSES"] = str(universes)
    command = [sys.executable, "-m", "regime_assets.cli", "ui", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
        while not _answers(f"{address}/server_info"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the UI did not start; `regime-assets ui` says why")
            time.sleep(0.5)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="the data folder")
    parser.add_argument(
        "--universes", type=Path, help="the folder of its universe files; the shipped ones when left out"
    )
    options = parser.parse_args()
    report = sorted(options.home.resolve().glob("reports/*/long/*-backtest.html"))[-1]
    universe = report.parent.parent.name
    with running_ui(options.home.resolve(), options.universes) as address, browser_page() as page:
        take_page(page, f"{address}/regime-assets/", IMAGES / "morning.png", 1500)
        take_page(page, report.as_uri(), IMAGES / "report.png", 1100)
        page.set_viewport_size(GRAPH_WINDOW)
        page.goto(f"{address}/asset-groups/")
        page.get_by_text(f"{universe}_monitoring").last.wait_for(timeout=60_000)
        page.wait_for_timeout(SETTLING_MILLISECONDS)
        save_small(page.screenshot(clip=GRAPH), IMAGES / "asset-graph.png")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
