"""A Chromium that opens a page from a file, and what it complained about."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

NARROW = 390


def executable() -> str:
    """The Chromium of this machine."""
    named = os.environ.get("KERAS_VALIDATOR_BROWSER")
    candidates = (named, *map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    installed = next((path for path in candidates if path), None)
    if installed is None:
        raise SystemExit("no Chromium: apt-get install chromium fonts-noto-color-emoji")
    return installed


@dataclass
class Opened:
    """A page, with every request and every error since it was opened."""

    page: Page
    session: Any
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def busy(self) -> float:
        """Seconds of its own that the page's thread has worked, waiting for other processes left out."""
        metrics = self.session.send("Performance.getMetrics")["metrics"]
        return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


@dataclass(frozen=True)
class Browser:
    """Opens files, each in a window of its own."""

    chromium: Any

    @contextmanager
    def open(self, file: Path, link: str = "", *, width: int = 1280, **window: Any) -> Iterator[Opened]:
        """A file at a link; `window` is what Playwright's `new_context` takes."""
        context = self.chromium.new_context(viewport={"width": width, "height": 900}, **window)
        page = context.new_page()
        opened = Opened(page, context.new_cdp_session(page))
        opened.session.send("Performance.enable", {"timeDomain": "threadTicks"})
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
        opened.page.on(
            "console", lambda said: opened.errors.append(said.text) if said.type == "error" else None
        )
        opened.page.goto(f"{file.as_uri()}{link}")
        try:
            yield opened
        finally:
            context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """One Chromium for several pages."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield Browser(chromium)
        finally:
            chromium.close()
