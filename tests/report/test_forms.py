"""JSON and its schema, JUnit, the HTML page and the terminal."""

from __future__ import annotations

import base64
import hashlib
import io
import json as stdlib_json
import math
import re
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from jsonschema import Draft202012Validator
from rich.console import Console

from tests.report import cases
from tests.report.hostile import hostile_report
from tests.report.toy import WORDS, ToyComparisons, ToyReport
from validator.errors import ConfigurationError
from validator.report import html, json, junit, schema, terminal
from validator.verdict.results import Report

HOSTILE = {
    "hostile": hostile_report,
    "10 MB": lambda: hostile_report(models=1, log="no \x1b[31m\n" * 1_250_000),
}
EVERY = cases.CASES | HOSTILE


def shown(report: Report, width: int = 100, **options: object) -> str:
    stream = io.StringIO()
    terminal.show(report, Console(file=stream, width=width, **options), checks=WORDS)
    return stream.getvalue()


def dumped(report: Report) -> str:
    return json.dump(report, checks=WORDS)


def loaded(text: str, **options: int) -> Report:
    return json.load(text, kind=ToyReport, checks=WORDS, **options)


class TestJson:
    @pytest.mark.parametrize("case", EVERY)
    def test_a_report_comes_back_as_it_was_and_fits_the_schema(self, case: str) -> None:
        report = EVERY[case]()
        written = dumped(report)
        assert loaded(written) == json.worded(report, checks=WORDS)
        Draft202012Validator(stdlib_json.loads(schema.schema(ToyReport))).validate(stdlib_json.loads(written))

    def test_the_published_schema_is_the_generated_one(self) -> None:
        published = schema.PATH.read_text(encoding="utf-8")
        assert published == schema.schema(), "run: python -m validator.report.schema"
        Draft202012Validator.check_schema(stdlib_json.loads(published))

    def test_sentences_are_written(self) -> None:
        cell = stdlib_json.loads(dumped(cases.something_changed()))["models"][0]["cells"][0]
        assert cell["message"] == "changed: attention is not causal; fails the gate: changed, accuracy"
        assert cell["findings"][-1]["message"] == "keras>=3.10 restores parity in this run"

    def test_sentences_of_a_received_report_are_not_read(self) -> None:
        forged = stdlib_json.loads(dumped(cases.something_changed()))
        cell = forged["models"][0]["cells"][0]
        for each in (cell, *cell["findings"], *forged["reasons"]):
            each["message"] = "all is well"
        assert dumped(loaded(stdlib_json.dumps(forged))) == dumped(cases.something_changed())

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ('"schema": 2', '"schema": 1', "schema 1"),
            ('"schema": 2', '"schema": 3', "schema 3"),
            ('"schema": 2', '"schema": "2x"', "schema"),
            ('"verdict": "pass"', '"verdict": "fine"', "verdict"),
            ('"baseline":', '"base_line":', "base"),
            ('"seconds": 41.3', '"seconds": NaN', "seconds"),
            ('"seconds": 41.3', '"seconds": 1e999', "seconds"),
            ('"max_abs": 0.0', '"max_abs": "much"', "max_abs"),
            ("{", "", "JSON"),
        ],
    )
    def test_a_forged_report_is_refused_in_a_single_line(self, old: str, new: str, words: str) -> None:
        text = dumped(cases.all_identical())
        assert old in text
        with pytest.raises(ConfigurationError, match=f"not a report.*{words}") as caught:
            loaded(text.replace(old, new, 1))
        assert "\n" not in str(caught.value)

    def test_a_drift_over_no_noise_comes_back_as_not_known(self) -> None:
        checks = ToyComparisons(outputs=cases.output(0.1, math.inf))
        cell = cases.changed("m", checks=checks)
        written = dumped(cases.report("fail", cases.model("m", cell, cases.rounding("m"))))
        (comparison, _) = (each.checks.outputs for each in loaded(written).models[0].cells)
        assert math.isnan(comparison.outputs[0].drift.ratio)
        assert dumped(loaded(written)) == written
        for text in ("Infinity", "1e999", '"Infinity"', "NaN"):
            with pytest.raises(ConfigurationError, match=r"ratio: .* finite number or null"):
                loaded(written.replace('"ratio": null', f'"ratio": {text}', 1))

    def test_a_huge_report_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="1,000"):
            loaded(dumped(cases.far_too_much()), largest=1000)


class TestJunit:
    @pytest.mark.parametrize("case", EVERY)
    def test_it_parses_and_counts(self, case: str) -> None:
        root = ElementTree.fromstring(junit.dump(EVERY[case](), checks=WORDS))  # noqa: S314 - our own output
        tests = root.findall(".//testcase")
        assert int(root.get("tests", "")) == len(tests) == sum(len(m.cells) for m in EVERY[case]().models)
        assert int(root.get("failures", "")) == len(root.findall(".//failure"))
        assert int(root.get("errors", "")) == len(root.findall(".//error"))

    def test_it_agrees_with_the_gate(self) -> None:
        def outcome(case: str) -> dict[str, list[str]]:
            written = junit.dump(cases.CASES[case](), checks=WORDS)
            root = ElementTree.fromstring(written)  # noqa: S314 - our own output
            return {test.get("name", ""): [child.tag for child in test] for test in root.iter("testcase")}

        changed = outcome("changed")
        assert changed["llama@keras-3.5.0"] == ["failure"]
        assert changed["translator@legacy"] == ["system-out"]
        assert changed["digits@legacy"] == []
        assert outcome("failed-to-load")["translator@keras-3.5.0"] == ["error"]
        assert outcome("baseline-unusable")["digits@keras-3.5.0"] == ["error"]

    def test_a_cell_that_was_not_compared_never_passes(self) -> None:
        cell = cases.not_compared("digits").model_copy(update={"gated": ()})
        root = ElementTree.fromstring(  # noqa: S314 - our own output
            junit.dump(cases.report("warn", cases.model("digits", cell)), checks=WORDS)
        )
        assert root.find(".//testcase/skipped") is not None


class TestHtml:
    @pytest.mark.parametrize("case", EVERY)
    def test_it_loads_nothing_and_runs_our_script_alone(self, case: str) -> None:
        page = html.page(EVERY[case](), checks=WORDS)
        soup = BeautifulSoup(page, "html.parser")
        assert not soup.find_all(["link", "img", "iframe", "object", "base"])
        early, data, script = soup.find_all("script")
        assert (early.string, early.attrs) == (html.EARLY, {})
        assert data["type"] == "application/json"
        assert not script.attrs
        assert not [tag for tag in soup.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
        assert not [tag for tag in soup.find_all(True) if "style" in tag.attrs]
        links = [tag["href"] for tag in soup.find_all("a")]
        assert all(link.startswith(("https://redirect.github.com/", "#")) for link in links)
        assert len(page) < 5_000_000

    @pytest.mark.parametrize("case", EVERY)
    def test_every_link_of_its_own_leads_somewhere(self, case: str) -> None:
        soup = BeautifulSoup(html.page(EVERY[case](), checks=WORDS), "html.parser")
        ids = [tag["id"] for tag in soup.find_all(id=True)]
        assert len(ids) == len(set(ids))
        links = [tag["href"] for tag in soup.find_all("a") if tag["href"].startswith("#")]
        assert {link[1:] for link in links} <= set(ids)

    def test_the_policy_allows_only_our_style_and_script(self) -> None:
        soup = BeautifulSoup(html.page(cases.something_changed(), checks=WORDS), "html.parser")
        policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules["default-src"] == "'none'"
        assert digest_of(soup.style.string) in rules["style-src"].split()
        scripts = [digest_of(script.string) for script in soup.find_all("script", type=False)]
        assert rules["script-src"].split() == scripts
        assert "unsafe" not in policy
        assert "url(" not in soup.style.string

    def test_data_end_no_element(self) -> None:
        nasty = {"</script><script>alert(1)</script>": ["<!--", "]]>", "&amp;", "\u2028", "'\""]}
        text = html.embedded([nasty])
        assert not re.search("[<>&\u2028]", text)
        assert stdlib_json.loads(text) == [nasty]

    def test_it_is_accessible(self) -> None:
        soup = BeautifulSoup(html.page(cases.something_changed(), checks=WORDS), "html.parser")
        assert soup.html["lang"] == "en"
        assert soup.title.string
        assert all(head.get("scope") for head in soup.find_all("th"))
        assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in soup.find_all("svg"))
        assert all(len(page.find_all("h1")) == 1 for page in soup.select(".page"))

    def test_it_says_what_the_comment_says(self) -> None:
        page = html.page(cases.something_changed(), checks=WORDS)
        text = re.sub(r"\s+", " ", BeautifulSoup(page, "html.parser").get_text())
        for words in (
            "attention is not causal",
            "412×",
            "0.613 → 0.341",
            "keras>=3.10",
            "--only llama@keras-3.5.0",
            "Unchanged predictions (4): digits (keras-3.5.0, legacy)",
            "not checked: decoding, training",
        ):
            assert words.casefold() in text.casefold()

    def test_every_row_of_the_details_is_listed(self) -> None:
        page = html.page(cases.something_changed(), checks=WORDS)
        assert all(f"<code>layer_{at}</code>" in page for at in range(50))

    def test_a_page_a_cell_in_words(self) -> None:
        report = cases.something_changed()
        soup = BeautifulSoup(html.page(report, checks=WORDS), "html.parser")
        cells = [cell.cell for model in report.models for cell in model.cells]
        assert sorted(page["id"] for page in soup.select("article.page")) == sorted(cells)
        llama = soup.find(id="llama@keras-3.5.0")
        assert "changes in keras-3.5.0" in llama.h1.get_text()
        assert soup.find(id="llama@keras-3.5.0/toy") in llama.find_all("section")

    def test_the_matrix_has_every_cell_as_a_link(self) -> None:
        soup = BeautifulSoup(html.page(cases.something_changed(), checks=WORDS), "html.parser")
        cells = {link["href"]: link["aria-label"] for link in soup.select(".matrix a.cell")}
        assert len(cells) == 6
        assert cells["#llama@keras-3.5.0"].startswith("llama@keras-3.5.0 changed 412×")


def digest_of(text: str) -> str:
    """The hash by which a policy allows an element."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class TestTerminal:
    @pytest.mark.parametrize("case", EVERY)
    @pytest.mark.parametrize("width", [80, 140])
    def test_it_fits_and_carries_no_control_characters(self, case: str, width: int) -> None:
        text = shown(EVERY[case](), width)
        before_commands = text.split("\nReproduce\n")[0]
        assert max(map(len, before_commands.splitlines())) <= width
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)

    def test_worst_first_with_all_columns(self) -> None:
        text = shown(cases.something_changed(), 160)
        head = text.splitlines()[0]
        for column in ("model", "environment", "result", "max abs diff", "drift ÷ noise", "top-1 changed"):
            assert column in head
        assert text.index("attention is not causal") < text.index("metric only") < text.index("rounding")
        assert "FAIL" in text

    def test_a_narrow_terminal_has_the_numbers_below_the_words(self) -> None:
        text = re.sub(r"\s+", " ", shown(cases.something_changed(), 80))
        assert "max abs diff 0.53" in text
        assert "environment" not in text.split("llama")[0]

    def test_six_notes(self) -> None:
        notes = tuple(cases.remark("note", f"note {at}") for at in range(9))
        report = cases.report("fail", cases.model("llama", cases.changed("llama", findings=notes)))
        text = shown(report)
        assert "… 3 more in report.md" in text
        assert "note 5" in text
        assert "note 6" not in text

    def test_the_command_is_in_one_line(self) -> None:
        again = shown(cases.something_changed(), 40)
        assert "  nox -s validate -- --config validator.yml --only llama@keras-3.5.0\n" in again

    def test_colour_only_where_it_is_wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "\x1b[" in shown(cases.something_changed(), force_terminal=True, color_system="standard")
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[3" not in shown(cases.something_changed(), force_terminal=True)

    def test_an_ascii_terminal_gets_ascii(self) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        terminal.show(cases.something_changed(), Console(file=stream, width=140), checks=WORDS)
        stream.flush()
        text = stream.buffer.getvalue().decode("ascii")
        assert "0.613 -> 0.341" in text
        assert "412x" in text
