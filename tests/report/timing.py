"""How large a page is, and how long it takes to open: 300 cells, and a cell whose model has 300 layers.

python -m tests.report.timing [report.json …]
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.report import large
from tests.report.browsing import Browser, browser
from validator.report import html, json

#: From the start of the navigation to the second frame after the load: it was parsed, laid out and painted.
_PAINTED = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>
  done(performance.now()))))"""


@dataclass(frozen=True)
class Opening:
    """Seconds until a page is painted, and those of them in which its process was busy with it."""

    wall: float
    busy: float


def opening(chromium: Browser, file: Path, link: str = "") -> Opening:
    """Open a page, and wait until it is painted."""
    with chromium.open(file, link) as opened:
        wall = float(opened.page.evaluate(_PAINTED)) / 1000
        return Opening(wall, opened.busy())


def main(*reports: str) -> None:
    """Print both numbers for each page."""
    pages = {"300 cells": html.page(large.large())}
    pages |= {Path(name).parent.name: html.page(json.load(Path(name).read_text())) for name in reports}
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for name, text in pages.items():
            file = Path(folder, "report.html")
            file.write_text(text, encoding="utf-8")
            links = {"overview": "", "a cell of 300 layers": "#model-00@keras-3.4.0"}
            for place, link in links.items() if name == "300 cells" else [("overview", "")]:
                times = [opening(chromium, file, link) for _ in range(5)]
                wall, busy = min(each.wall for each in times), min(each.busy for each in times)
                size = f"{len(text.encode()) / 1e6:.2f} MB"
                print(f"{name}, {place}: {size}, open in {wall:.2f} s, {busy:.2f} s of them busy")


if __name__ == "__main__":
    main(*sys.argv[1:])
