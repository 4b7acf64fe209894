"""The comment: what it says, that it fits, and that nobody's text becomes more than text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from bs4 import BeautifulSoup, Comment
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.report import cases, rendering
from tests.report.examples import examples
from tests.report.hostile import hostile_report
from tests.report.toy import WORDS
from validator.errors import ConfigurationError
from validator.report import json, markdown
from validator.report.markdown import SMALLEST_BUDGET, Links
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.results import FetchedPlace, Report

MARKER = "<!-- keras-validator:default -->\n"
LINKS = Links(report="https://example.com/report", run="https://example.com/run")


def comment(report: Report, **options: Any) -> str:
    return markdown.comment(report, checks=WORDS, **options)


def summary(report: Report) -> str:
    return markdown.summary(report, checks=WORDS)


def page(shown: str) -> BeautifulSoup:
    return BeautifulSoup(rendering.html(shown), "html.parser")


def said(shown: str) -> str:
    return re.sub(r"\s+", " ", page(shown).get_text())


def test_the_examples_answer_a_newcomer() -> None:
    """What happened, to which model, by whose doing, whether it matters, what to do, what was not checked."""
    shown = said(markdown.comment(examples()))
    for answer in (
        "llama predicts differently in keras-3.5.0, but not in keras-3.5.0 float32.",
        "input attention_mask of attention_0 is now cast from bool to bfloat16",
        "Both sides ran on the same recorded inputs. Of 39 packages, only keras and tf-keras differ.",
        "Its accuracy falls from 0.725 to 0.592 (1,873 labels, p < .001).",
        "digits predicts the same up to rounding (max abs diff 8.9e-7, 0.5× the noise).",
        "Run the model with precision: float32: baseline and candidate then predict identically (verified "
        "in this run).",
        "Why translator reports another metric The baseline ignores the mask",
        "not checked: decoding, training",
    ):
        assert answer in shown


def test_addresses_without_a_pin_are_named() -> None:
    kept = FetchedPlace(address="s3://models/inputs.npz", sha256="0" * 64, bytes=9, pinned=True)
    loose = FetchedPlace(
        address="https://***@example.com/m.keras?***", sha256="0" * 64, bytes=9, pinned=False
    )
    changed = cases.something_changed()
    shown = said(comment(changed.model_copy(update={"fetched": (kept, loose)})))
    assert "https://***@example.com/m.keras?*** is not pinned; keras-validator pin writes" in shown
    assert "s3://models" not in shown
    assert "pinned" not in said(comment(changed.model_copy(update={"fetched": (kept,)})))
    both = said(comment(changed.model_copy(update={"fetched": (loose, loose)})))
    assert "2 addresses of models and inputs are not pinned" in both


def test_synthetic_inputs_are_named_as_such() -> None:
    recorded = cases.something_changed()
    made = tuple(model.model_copy(update={"synthetic": True}) for model in recorded.models)
    shown = said(comment(recorded.model_copy(update={"models": made})))
    assert "All inputs are synthetic: outputs are compared, accuracy is not known." in shown
    assert "the same recorded inputs" not in shown
    first = made[0].name
    some = recorded.model_copy(update={"models": (made[0], *recorded.models[1:])})
    if len(made) > 1:
        assert f"The inputs of {first} are synthetic" in said(comment(some))
    assert "synthetic" not in said(comment(recorded))
    quiet = cases.all_identical()
    made = tuple(model.model_copy(update={"synthetic": True}) for model in quiet.models)
    assert "are synthetic" in said(comment(quiet.model_copy(update={"models": made})))


def test_the_examples_in_json_come_back() -> None:
    assert json.load(json.dump(examples())) == json.worded(examples())


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
        ("all-identical", ["Predictions are identical: keras 3.3.3 → 3.5.0", "bit for bit"]),
        ("rounding", ["Predictions hold, up to rounding", "max abs diff 1.5e-7, 0.5× the noise"]),
        (
            "changed",
            [
                "Predictions change, accuracy falls: keras 3.3.3 → 3.5.0",
                "llama predicts differently in keras-3.5.0, but not in keras-3.5.0 float32.",
                "Its accuracy falls from 0.613 to 0.341 (360 labels, p < .001).",
                "changed: attention is not causal",
                "max abs diff 0.53 · drift ÷ noise 412× · top-1 changed 87 of 360",
                "Why llama changes DTypePolicy casts boolean inputs since 3.5.0 (",
                "What to do about llama keras>=3.10 restores parity in this run.",
                "Of 39 packages, only keras and tf-keras differ.",
                "Unchanged predictions (4): digits (keras-3.5.0, legacy), llama (keras-3.5.0 float32)",
                "not checked: decoding, training",
                "The gate in validator.yml fails by its rules changed and accuracy.",
            ],
        ),
        (
            "metric-only",
            [
                "Predictions hold, a reported metric changes",
                "translator predicts the same in legacy. The framework reports 0.099 instead of 0.610.",
                "The predictions need nothing. Update thresholds that compare the reported metric.",
                "does not fail on this: it is a warning",
            ],
        ),
        (
            "failed-to-install",
            [
                "keras-3.5.0 failed to resolve, unlike the baseline keras-3.3.3: no versions of the packages "
                "satisfy its requirements. digits, translator and llama could not run, so the upgrade is "
                "untested for them.",
                "digits, translator and llama are identical in the other environments, bit for bit.",
                "depends on numpy<2.0.0",
                "What to do about digits, translator and llama Change one of the",
                "not compared: digits@keras-3.5.0, translator@keras-3.5.0 and llama@keras-3.5.0",
            ],
        ),
        ("failed-to-load", ["1 model failed to load", "TypeError: Could not locate class"]),
        ("accuracy-fell", ["accuracy falls", "0.983 → 0.950p < .001", "Do not merge"]),
        ("too-much", ["4 models fail", "10 models predict differently"]),
        (
            "nothing-relevant",
            ["nothing relevant changed", "requests 2.32.3 → 2.32.4", "(2 other packages moved)"],
        ),
        (
            "baseline-unusable",
            [
                "Inconclusive: the baseline cannot be used",
                "says nothing about the upgrade",
                "DLL load failed",
            ],
        ),
    ],
)
def test_every_case_says_what_happened(case: str, words: list[str]) -> None:
    shown = said(comment(cases.CASES[case](), links=LINKS))
    for word in words:
        assert word in shown


def test_the_worst_stands_first_and_unchanged_cells_are_folded_away() -> None:
    tables = page(comment(cases.something_changed())).find_all("table")
    first, folded = ([row.td.get_text() for row in each.tbody.find_all("tr")] for each in tables[:2])
    assert first == ["❌", "⚠️"]
    assert folded == ["✅"] * 4
    assert tables[0].find_parent("details") is None
    assert tables[1].find_parent("details") is not None


def test_three_columns_beside_the_icon() -> None:
    for each in page(comment(cases.something_changed())).find_all("table")[:2]:
        assert len(each.find_all("th")) == 4


def test_all_well_is_short() -> None:
    outside = re.sub(r"<details>.*?</details>", "", comment(cases.all_identical()), flags=re.DOTALL)
    assert len(outside) < 400
    assert "|" not in outside


def test_every_fold_stands_closed() -> None:
    assert "<details open" not in comment(cases.something_changed())
    assert "<details open" in comment(cases.failed_to_load())


def test_no_duration_and_no_date() -> None:
    first = cases.something_changed()
    later = first.model_copy(update={"seconds": 99.0, "started": "2025-01-01T00:00:00Z"})
    assert comment(first) == comment(later)
    assert "2024" not in comment(first)
    assert "41 s" in summary(first)


def test_a_command_reproduces_each_cell_that_is_not_green() -> None:
    shown = comment(cases.something_changed())
    assert "--only llama@keras-3.5.0\n" in shown
    assert "--only digits" not in shown


def test_known_links_are_links_that_notify_nobody() -> None:
    hrefs = {tag["href"] for tag in page(comment(cases.something_changed())).find_all("a")}
    assert hrefs == {
        "https://redirect.github.com/keras-team/keras/issues/19920",
        "https://redirect.github.com/keras-team/keras/issues/21569",
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
    shown = comment(report, budget=20_000, links=LINKS)
    assert 10_000 < len(shown) <= 20_000
    assert "| ✅" not in shown
    assert "more rows are in the full report" in shown
    assert "more rows are in the full report" in said(comment(report, budget=5600))
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
