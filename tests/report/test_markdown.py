"""The comment: what it says, that it fits, and that nobody's text becomes more than text."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup, Comment
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report import cases, rendering
from tests.report.hostile import hostile_report
from validator.errors import ConfigurationError
from validator.report.markdown import SMALLEST_BUDGET, Links, comment, summary
from validator.results import PackageChange, Upgrade

MARKER = "<!-- keras-validator:default -->\n"
LINKS = Links(report="https://example.com/report", run="https://example.com/run")


def page(markdown: str) -> BeautifulSoup:
    return BeautifulSoup(rendering.html(markdown), "html.parser")


def said(markdown: str) -> str:
    return re.sub(r"\s+", " ", page(markdown).get_text()).replace("\u200b", "")


@pytest.mark.parametrize("case", cases.CASES)
def test_every_case_starts_with_the_marker_and_a_headline(case: str) -> None:
    shown = comment(cases.CASES[case](), links=LINKS)
    assert shown.startswith(MARKER + "### ")
    assert shown.count("<!--") == 1
    assert "keras-validator 0.1.0" in said(shown)
    assert "None" not in said(shown)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("all-identical", ["Predictions are identical", "keras 3.3.3 → 3.5.0", "bit for bit"]),
        ("rounding", ["Predictions hold, up to rounding", "1.5e-7 at most", "0.5× the measured noise"]),
        (
            "changed",
            [
                "Predictions change, accuracy gets worse",
                "changed at block_0/attention: causal mask ignored",
                "412× the noise, 87 of 360 predictions flip",
                "0.613 → 0.341",
                "p < .001",
                "interval of the difference -0.292 … -0.252",
                "keras>=3.10",
                "not in keras-3.5.0 float32",
                "The gate fails on changed and accuracy.",
            ],
        ),
        ("metric-only", ["reported metric", "0.610 → 0.099", "0.610 = 0.610", "The gate lets this pass."]),
        ("failed-to-install", ["keras-3.5.0 failed to resolve", "depends on numpy<2.0.0", "3 cells"]),
        ("failed-to-load", ["1 model failed to load", "TypeError: Could not locate class"]),
        ("accuracy-fell", ["accuracy gets worse", "0.983 → 0.950p < .001"]),
        ("too-much", ["4 models failed", "10 models no longer predict the same", "Not shown:"]),
        ("nothing-relevant", ["Nothing relevant changed", "requests 2.32.3 → 2.32.4", "no model was run"]),
        (
            "baseline-unusable",
            ["Cannot judge: the baseline is unusable", "nothing can be said", "DLL load failed"],
        ),
    ],
)
def test_every_case_says_what_happened(case: str, words: list[str]) -> None:
    shown = said(comment(cases.CASES[case](), links=LINKS))
    for word in words:
        assert word in shown


def test_the_worst_stands_first() -> None:
    rows = page(comment(cases.something_changed())).find("tbody").find_all("tr")
    assert [row.td.get_text(" ").split()[0] for row in rows] == ["❌", "⚠️", "✅", "✅", "✅", "✅"]


def test_all_well_is_short() -> None:
    outside = re.sub(r"<details>.*?</details>", "", comment(cases.all_identical()), flags=re.DOTALL)
    assert len(outside) < 400
    assert "|" not in outside


def test_a_command_reproduces_each_cell_that_is_not_green() -> None:
    shown = comment(cases.something_changed())
    assert "--only llama@keras-3.5.0\n" in shown
    assert "--only digits" not in shown


def test_known_links_are_links_that_notify_nobody() -> None:
    hrefs = {tag["href"] for tag in page(comment(cases.something_changed())).find_all("a")}
    assert hrefs == {
        "https://redirect.github.com/keras-team/keras/issues/19920",
        "https://redirect.github.com/keras-team/keras/pull/21569",
    }


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "https://a b", "https://x/)[", "//x", "https://x/<b>"]
)
def test_other_addresses_are_dropped(url: str) -> None:
    assert "full report" not in comment(cases.all_identical(), links=Links(report=url))


def test_long_upgrades_are_listed_below() -> None:
    changes = tuple(PackageChange(name=f"package-{at}", old="1", new="2") for at in range(9))
    shown = said(
        comment(cases.all_identical().model_copy(update={"upgrade": Upgrade(changes=changes, relevant=True)}))
    )
    assert "package-0 1 → 2, package-1 1 → 2 and 7 more" in shown
    assert "package-8 1 → 2" in shown


@pytest.mark.parametrize("instance", ["", "a b", "x --> y", "é", "a" * 81])
def test_an_instance_that_breaks_the_marker_is_refused(instance: str) -> None:
    with pytest.raises(ConfigurationError, match="instance"):
        comment(cases.all_identical(), instance=instance)


def test_a_budget_that_holds_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        comment(cases.all_identical(), budget=SMALLEST_BUDGET - 1)


def test_the_ladder_keeps_the_worst() -> None:
    report = cases.far_too_much()
    shown = comment(report, budget=60_000, links=LINKS)
    assert 20_000 < len(shown) <= 60_000
    assert "| ✅" not in shown
    counts = comment(report, budget=SMALLEST_BUDGET, links=LINKS)
    assert "24 failed, 60 changed" in said(counts)
    assert "full report" in said(counts)


@given(
    budget=st.integers(SMALLEST_BUDGET, 70_000),
    models=st.integers(1, 12),
    name=st.sampled_from(["m", "<!-- " * 20, "😀" * 60, "|`@a" * 30, "</details>" * 9]),
    log=st.integers(0, 3000),
)
@settings(max_examples=40, deadline=None)
def test_the_comment_is_whole_at_every_budget(budget: int, models: int, name: str, log: int) -> None:
    report = hostile_report(name, models, "😀`~" * log)
    shown = comment(report, budget=budget, links=LINKS)
    assert len(shown.encode("utf-16-le")) // 2 <= budget
    assert_whole(shown)


@pytest.mark.parametrize("budget", [SMALLEST_BUDGET, 8000, 20_000, 60_000])
def test_hostile_reports_stay_inside_their_places(budget: int) -> None:
    shown = comment(hostile_report(models=30), budget=budget, links=LINKS)
    assert len(shown) <= budget
    assert_whole(shown)


def test_a_summary_has_no_marker_and_stays_below_a_mebibyte() -> None:
    shown = summary(hostile_report(models=400, log="😀 log\n" * 2000))
    assert len(shown.encode()) < 2**20
    assert not shown.startswith("<!--")
    assert_whole(MARKER + shown)


def assert_whole(shown: str) -> None:
    """Every tag is closed, only our links are links, and nobody is called."""
    assert shown.count("<!--") == 1
    tags = rendering.raw(shown)
    assert tags.count("<details") == tags.count("</details>") == tags.count("<summary>")
    assert tags.count("<sub>") == tags.count("</sub>")
    soup = page(shown)
    assert all(
        tag["href"].startswith(("https://example.com/", "https://redirect.github")) for tag in soup("a")
    )
    assert not soup.find_all(["img", "h1", "h2", "h4", "script", "input"])
    assert len(soup.find_all("h3")) == 1
    assert not soup.find_all(string=lambda string: isinstance(string, Comment))
    for string in soup.find_all(string=True):
        if string.find_parent("code") is None:
            assert not re.search(r"(?<!\w)@\w|#\d", string)
    for row in soup.find_all("tr"):
        assert len(row.find_all(["td", "th"])) == len(row.find_parent("table").find("tr").find_all("th"))
