"""A check from outside shows up in every form, by its types and its words alone."""

from __future__ import annotations

import io
import json as stdlib_json
import re
from xml.etree import ElementTree

from bs4 import BeautifulSoup
from rich.console import Console

from tests.report import cases, rendering
from tests.report.toy import WIDER, ToyComparison, ToyComparisons, ToyFinding, ToyReport
from validator.report import html, json, junit, markdown, terminal
from validator.report.words import WordsByCheck, registered_words

FINDINGS = (
    cases.remark("lead", "leads", "toy lead", verdict="changed"),
    cases.remark("why", "explains", "toy cause"),
    cases.remark("do", "helps", "toy workaround"),
    cases.remark("note", "is a note", "toy note"),
    cases.remark("hidden", "is hidden", "toy secret"),
)
CHECKS = ToyComparisons(outputs=cases.output(0.5, 99.0), toy=ToyComparison(size=7.5, rows=("toy part",)))
CELL = cases.changed("m", checks=CHECKS, findings=FINDINGS)
REPORT = cases.report("fail", cases.model("m", CELL))
SENTENCES = ("toy lead leads", "toy cause explains", "toy workaround helps", "toy note is a note")


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", BeautifulSoup(page, "html.parser").get_text(" ")).replace(" :", ":")


def assert_shows(text: str) -> None:
    assert "changed" in text
    for sentence in SENTENCES:
        assert re.search(sentence.replace(" ", r"\s+"), text, re.IGNORECASE), sentence
    assert "7.5" in text
    assert "is hidden" not in text


def test_in_the_comment_and_the_summary() -> None:
    for text in (markdown.comment(REPORT, checks=WIDER), markdown.summary(REPORT, checks=WIDER)):
        page = words_of(rendering.html(text))
        assert_shows(page)
        assert "toy size" in page
        assert "toy units" in page
        assert "Details of m (outputs, toy)" in page
        assert "toy part" in page


def test_on_the_page() -> None:
    page = words_of(html.page(REPORT, checks=WIDER))
    assert_shows(page)
    assert "toy part" in page


def test_on_a_terminal() -> None:
    stream = io.StringIO()
    terminal.show(REPORT, Console(file=stream, width=160), checks=WIDER)
    assert_shows(stream.getvalue())
    assert "toy size" in stream.getvalue()


def test_in_junit() -> None:
    root = ElementTree.fromstring(junit.dump(REPORT, checks=WIDER))  # noqa: S314 - our own output
    failure = root.find(".//failure")
    assert failure is not None
    assert failure.get("message", "").startswith("changed: toy lead leads")
    for sentence in (*SENTENCES, "toy size: 7.5 toy units", "toy secret is hidden"):
        assert sentence in (failure.text or "")


def test_in_json_and_back() -> None:
    written = json.dump(REPORT, checks=WIDER)
    cell = stdlib_json.loads(written)["models"][0]["cells"][0]
    assert cell["checks"]["toy"]["size"] == 7.5
    assert [finding["message"] for finding in cell["findings"]][:4] == list(SENTENCES)
    read = json.load(written, kind=ToyReport, checks=WIDER)
    assert isinstance(read.models[0].cells[0].findings[0], ToyFinding)
    assert read == json.worded(REPORT, checks=WIDER)


def test_every_registered_check_has_words() -> None:
    words: WordsByCheck = registered_words()
    assert list(words) == [
        *(
            "loading",
            "structure",
            "outputs",
            "accuracy",
            "layers",
            "decode",
            "training",
            "workarounds",
            "known",
        )
    ]
