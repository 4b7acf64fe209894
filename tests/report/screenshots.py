"""Pictures of the comment and the HTML page in every case, to be looked at.

python -m tests.report.screenshots FOLDER [CASE or report.json …]   (also `examples` and `large`)

Renders the comment of each case of `tests.report.cases` as GitHub would, in light and dark, at 940 and at 400
pixels, and report.html at 1280 and 390: its overview and the pages of its worst cells.
With a headless Chromium (`apt-get install chromium fonts-noto-color-emoji`).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from string import Template

from tests.report import rendering
from tests.report.browsing import NARROW, Browser
from tests.report.browsing import browser as started
from tests.report.browsing import executable as browser
from tests.report.cases import CASES as SMALL
from tests.report.examples import examples
from tests.report.large import large
from tests.report.toy import WORDS, ToyReport
from validator.report import html, json, markdown
from validator.report.words import WordsByCheck
from validator.verdict.results import Report

CASES = {**SMALL, "examples": examples, "large": large}
WIDTHS, PAGE_WIDTHS = (940, 400), (1280, NARROW)
_CELLS = 3  # pages of the worst cells
THEMES = {
    "light": {
        "back": "#ffffff", "page": "#f6f8fa", "text": "#1f2328", "soft": "#59636e", "line": "#d1d9e0",
        "stripe": "#f6f8fa", "code": "#818b981f", "block": "#f6f8fa", "link": "#0969da", "warn": "#9a6700",
    },
    "dark": {
        "back": "#0d1117", "page": "#010409", "text": "#f0f6fc", "soft": "#9198a1", "line": "#3d444d",
        "stripe": "#151b23", "code": "#656c7633", "block": "#151b23", "link": "#4493f8", "warn": "#d29922",
    },
}  # fmt: skip

PAGE = Template("""<!doctype html><html lang="en"><meta charset="utf-8"><title>comment</title><style>
body { background: $page; color: $text; margin: 0; padding: 12px;
  font: 14px/1.5 -apple-system, BlinkMacSystemFont, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif,
  "Noto Color Emoji"; }
article { background: $back; border: 1px solid $line; border-radius: 6px; padding: 16px;
  overflow-wrap: break-word; }
article > :first-child { margin-top: 0 } article > :last-child { margin-bottom: 0 }
p, table, pre, details, ul, blockquote { margin: 0 0 16px }
h3 { font-size: 1.25em; line-height: 1.25; margin: 24px 0 16px }
a { color: $link; text-decoration: none }
table { border-collapse: collapse; display: block; width: max-content; max-width: 100%; overflow: auto }
th, td { border: 1px solid $line; padding: 6px 13px } tr:nth-child(2n) td { background: $stripe }
th { font-weight: 600 }
code { background: $code; border-radius: 6px; font: 85% ui-monospace, "DejaVu Sans Mono", monospace;
  padding: .2em .4em; white-space: break-spaces }
pre { background: $block; border-radius: 6px; font-size: 85%; line-height: 1.45; overflow: auto;
  padding: 16px }
pre code { background: none; padding: 0; font-size: 100%; white-space: pre }
sub { font-size: 75%; line-height: 0 } ul { padding-left: 2em }
blockquote { border-left: .25em solid $warn; padding: .5rem 1rem } blockquote p { margin: 0 0 8px }
.alert { color: $warn; font-weight: 500 }
</style><article>$body</article></html>""")


def read(case: str) -> Report:
    """A case by its name, or a report that a run has written."""
    return CASES[case]() if case in CASES else json.load(Path(case).read_text(encoding="utf-8"))


def words_of(report: Report) -> WordsByCheck | None:
    """The words of the invented checks, or the registered ones."""
    return WORDS if isinstance(report, ToyReport) else None


def comment_page(report: Report, theme: str, *, unfolded: bool = False) -> str:
    """The comment of a report as a page; `unfolded` with every fold open."""
    links = markdown.Links(report="https://example.com/report", run="https://example.com/run")
    body = rendering.html(markdown.comment(report, links=links, checks=words_of(report)))
    alert = '<blockquote>\n<p class="alert">Warning</p><p>'
    body = body.replace("<blockquote>\n<p>[!WARNING]<br>\n", alert).replace("<p>[!WARNING]<br>", alert)
    if unfolded:
        body = body.replace("<details>", '<details open="">')
    return PAGE.substitute(THEMES[theme], body=body)


def shoot(page: Path, picture: Path, width: int, *, dark: bool) -> None:
    """One picture of a page, as high as the page needs within reason."""
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        flags += ["--disable-background-networking", f"--user-data-dir={profile}"]
        flags += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
        flags += [f"--window-size={max(width, 500)},1500", f"--screenshot={picture}", page.as_uri()]
        subprocess.run([browser(), *flags], check=True, capture_output=True, timeout=120)


def shoot_report(chromium: Browser, report: Report, stem: Path) -> None:
    """The overview and the pages of the worst cells, in both themes, wide and narrow, whole."""
    file = stem.with_name(f"{stem.name}-report.html")
    file.write_text(html.page(report, checks=words_of(report)), encoding="utf-8")
    for theme, width in product(THEMES, PAGE_WIDTHS):
        with chromium.open(file, width=width, color_scheme=theme) as opened:
            pages = [page.get_attribute("id") for page in opened.page.locator(".page").all()]
            for at, link in enumerate(pages[: _CELLS + 1]):
                opened.page.evaluate("id => { location.hash = id }", link)
                opened.page.wait_for_timeout(200)
                picture = stem.with_name(f"{stem.name}-report-{theme}-{width}-{at}.png")
                opened.page.screenshot(path=picture, full_page=True)


def framed(page: Path, width: int, height: int = 1500) -> str:
    """A page inside a frame of that width: a Chromium window is never narrower than 500 pixels."""
    return (
        f'<!doctype html><body style="margin:0"><iframe src="{page.as_uri()}" '
        f'style="border:0;width:{width}px;height:{height}px"></iframe>'
    )


def main(folder: str, *cases: str) -> None:
    """Write the pages and pictures into a folder."""
    target = Path(folder).resolve()
    target.mkdir(parents=True, exist_ok=True)
    for case in cases or CASES:
        report, stem = read(case), Path(case).stem
        for theme in THEMES:
            pages = {
                f"{stem}-{theme}": comment_page(report, theme),
                f"{stem}-{theme}-unfolded": comment_page(report, theme, unfolded=True),
            }
            for name, content in pages.items():
                page = target / f"{name}.html"
                page.write_text(content, encoding="utf-8")
                for width in WIDTHS:
                    frame = target / f"{name}-{width}.frame.html"
                    frame.write_text(framed(page, width), encoding="utf-8")
                    shoot(frame, target / f"{name}-{width}.png", width, dark=theme == "dark")
                    frame.unlink()
        with started() as chromium:
            shoot_report(chromium, report, target / stem)
        print(f"{case}: done")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
