"""The page as a reader uses it: links, filters, keys, themes, print, narrow windows, assistive technology."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report import cases, large
from tests.report.examples import examples
from tests.report.hostile import hostile_report
from tests.report.toy import WORDS
from validator.report import html

pytest.importorskip("playwright")
from axe_playwright_python.sync_playwright import Axe

from tests.report.browsing import NARROW, Browser, browser
from tests.report.timing import opening

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
LLAMA = "#llama@keras-3.5.0"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The pages of some reports."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {
        "examples": html.page(examples()),
        "changed": html.page(cases.something_changed(), checks=WORDS),
        "hostile": html.page(hostile_report(), checks=WORDS),
        "deep": html.page(large.large(models=1, environments=2)),
        "large": html.page(large.large()),
    }
    for name, text in pages.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in pages}


def test_a_link_shows_one_page_and_back_returns(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["changed"]) as opened:
        page = opened.page
        assert page.locator(".page:visible").count() == 1
        page.locator(f'.matrix a[href="{LLAMA}"]').click()
        page.locator("article.shown").wait_for(state="visible")
        assert page.locator(".page:visible").get_attribute("id") == LLAMA[1:]
        assert page.evaluate("document.activeElement.tagName") == "H1"
        page.locator(".contents a:visible", has_text="Toy").click()
        assert page.url.endswith(f"{LLAMA}/toy")
        page.go_back()
        page.go_back()
        page.locator("#overview").wait_for(state="visible")
        assert page.locator(".page:visible").get_attribute("id") == "overview"
        assert opened.requests == [files["changed"].as_uri()]
        assert opened.errors == []


def test_a_link_to_a_section_opens_its_page(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["changed"], f"{LLAMA}/toy") as opened:
        assert opened.page.locator("article:visible").get_attribute("id") == LLAMA[1:]
    with chromium.open(files["changed"], "#nothing/of-the-kind") as opened:
        assert opened.page.locator(".page:visible").get_attribute("id") == "overview"


def test_filters(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["changed"]) as opened:
        page = opened.page
        page.keyboard.press("/")
        page.keyboard.type("digits")
        assert page.locator(".matrix tbody tr:visible").count() == 1
        assert page.locator(".reason:visible").count() == 0
        page.locator("input[type=search]").fill("")
        page.locator('[data-filter="changed"]').click()
        assert page.locator(".matrix .cell:not(.faded)").count() == 1
        assert page.locator(".reason:visible").count() == 1
        assert page.locator(".filters output").inner_text() == "1 of 6 cells"


def test_keys(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["deep"]) as opened:
        page = opened.page
        page.keyboard.press("j")
        page.locator("article.shown").wait_for(state="visible")
        row = page.locator(".rows button.chosen")
        row.focus()
        before = row.get_attribute("aria-label")
        page.keyboard.press("ArrowDown")
        assert page.locator(".rows button.chosen").get_attribute("aria-label") != before
        assert page.locator(".panel .name").inner_text() == "block_7_projection"
        page.keyboard.press("Escape")
        page.locator("#overview").wait_for(state="visible")


def test_repeated_blocks_are_folded(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["deep"], "#model-00@keras-3.4.0/layers") as opened:
        rows = opened.page.locator(".rows button")
        folded = rows.count()
        opened.page.locator(".graph button", has_text="Unfold").click()
        assert (folded < 30, rows.count()) == (True, large.LAYERS)


def test_pictures_stand_in_for_their_sentences(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["deep"], "#model-00@keras-3.4.0") as opened:
        pictures = opened.page.locator("article:visible .picture")
        assert pictures.count() == opened.page.locator("article:visible .picture.drawn").count() > 0
        labels = opened.page.locator("article:visible svg[role=img]").all()
        assert all(label.get_attribute("aria-label") for label in labels)
        assert opened.errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["examples", "changed", "hostile", "deep"])
def test_it_is_accessible_and_quiet(chromium: Browser, files: dict[str, Path], name: str, theme: str) -> None:
    with chromium.open(files[name], color_scheme=theme) as opened:
        pages = [link.get_attribute("id") for link in opened.page.locator(".page").all()]
        for id in (pages[0], pages[1]):
            opened.page.evaluate("id => { location.hash = id }", id)
            opened.page.wait_for_timeout(50)
            results = Axe().run(opened.page)
            assert results.violations_count == 0, results.generate_report()
        assert opened.errors == []
        assert opened.requests == [files[name].as_uri()]


@pytest.mark.parametrize("name", ["examples", "hostile", "deep", "large"])
def test_nothing_is_wider_than_a_narrow_window(chromium: Browser, files: dict[str, Path], name: str) -> None:
    with chromium.open(files[name], width=NARROW) as opened:
        for link in ("overview", *(opened.page.locator("article").first.get_attribute("id"),)):
            opened.page.evaluate("id => { location.hash = id }", link)
            opened.page.wait_for_timeout(50)
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= NARROW


def test_the_theme_button(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["changed"], color_scheme="light") as opened:
        color = "getComputedStyle(document.body).backgroundColor"
        light = opened.page.evaluate(color)
        opened.page.locator("#theme").click(click_count=2)
        assert opened.page.locator("#theme").inner_text() == "Theme: dark"
        assert opened.page.evaluate(color) != light


def test_in_print_every_cell_that_moved_is_there_in_light(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["changed"], color_scheme="dark") as opened:
        page = opened.page
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator("article.page:visible").count() == 2
        assert page.locator(".filters:visible, #theme:visible").count() == 0
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"


def test_without_script_every_word_is_there(chromium: Browser, files: dict[str, Path]) -> None:
    with chromium.open(files["deep"], java_script_enabled=False) as opened:
        page = opened.page
        assert page.locator(".page:visible").count() == page.locator(".page").count() == 3
        assert page.locator(".picture .label:visible").count() == page.locator(".picture").count()
        assert page.locator("#theme:visible, .filters:visible").count() == 0


def test_300_cells_and_300_layers_open_within_a_second(chromium: Browser, files: dict[str, Path]) -> None:
    """By the time that the page itself takes, whatever else the machine does."""
    for link in ("", "#model-00@keras-3.4.0"):
        assert min(opening(chromium, files["large"], link).busy for _ in range(3)) < 1.0
