"""Results in a notebook: escaped, small, and legible in both themes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup

import validator
from tests.report import cases, large
from tests.report.hostile import hostile_report
from tests.report.toy import WORDS
from validator.report import notebook
from validator.report.brief import brief

LINK = "/project/.keras-validator/run/report.html"
ARRAY = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e"
#: As JupyterLab sets them.
THEMES = {"light": ("#ffffff", "#000000"), "dark": ("#111111", "#e0e0e0")}


def compared() -> str:
    sides = {"scores": ARRAY, HOSTILE: ARRAY}, {"scores": ARRAY + 1, HOSTILE: ARRAY}
    return validator.compare(*sides)._repr_html_()


def cells(html: str) -> list[list[str]]:
    rows = BeautifulSoup(html, "html.parser").select("tbody tr")
    return [[cell.get_text(" ") for cell in row.select("td")] for row in rows]


def test_a_comparison_has_a_row_an_output_worst_first() -> None:
    html = compared()
    rows = cells(html)
    assert rows[0][0] == "scores 50 × 3 float32"
    assert rows[0][1] == "1"
    assert rows[0][-1].startswith("changed")
    assert len(rows) == 2


def test_a_run_has_a_row_a_cell_and_the_place_of_its_report() -> None:
    html = notebook.run(cases.something_changed(), LINK, checks=WORDS)
    assert LINK in html
    assert any("llama" in row[1] for row in cells(html))


def test_what_others_wrote_is_escaped_and_cleaned() -> None:
    for html in (compared(), notebook.run(hostile_report(), HOSTILE, checks=WORDS)):
        page = BeautifulSoup(html, "html.parser")
        assert {tag.name for tag in page.find_all()} <= {
            *("div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"),
            *("code", "small", "br", "span"),
        }
        attributes = {name for tag in page.find_all() for name in tag.attrs}
        assert attributes <= {"class", "style", "role", "aria-label"}
        assert "\x1b" not in html
        assert "\u202e" not in html


def test_many_cells_stay_small() -> None:
    assert len(notebook.run(large.large(), LINK)) < 60_000


def test_brief_words_name_cell_number_layer_and_command() -> None:
    text = brief(cases.something_changed(), checks=WORDS)
    assert text.startswith("FAIL: ")
    assert "llama@keras-3.5.0: changed" in text
    assert "(max abs diff 0.53, drift ÷ noise 412×)" in text
    assert "nox -s validate -- --config validator.yml --only llama@keras-3.5.0" in text
    assert len(text) < 4000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    pytest.importorskip("playwright")
    from tests.report.browsing import browser

    with browser() as started:
        yield started


@pytest.mark.e2e
@pytest.mark.browser
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", ["comparison", "run"])
def test_it_is_legible_in_both_themes(chromium: Any, tmp_path: Path, kind: str, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    back, ink = THEMES[theme]
    html = compared() if kind == "comparison" else notebook.run(large.large(), LINK)
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Notebook</title>'
    style = f"<style>body {{ background: {back}; color: {ink}; font: 13px sans-serif }}</style>"
    page = f"{head}{style}<main><h1>Notebook</h1>{html}</main>"
    (tmp_path / "cell.html").write_text(page, encoding="utf-8")
    with chromium.open(tmp_path / "cell.html", color_scheme=theme, width=900) as opened:
        results = Axe().run(opened.page)
        assert results.violations_count == 0, results.generate_report()
        color = "place => getComputedStyle(document.querySelector(place)).color"
        ink = opened.page.evaluate(color, "body")
        assert opened.page.evaluate(color, ".keras-validator td") == ink
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 900
        assert opened.errors == []
        assert opened.requests == [(tmp_path / "cell.html").as_uri()]
