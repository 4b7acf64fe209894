"""JSON and its schema, JUnit, the HTML page and the terminal."""

from __future__ import annotations

import base64
import hashlib
import io
import json as stdlib_json
import re
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from jsonschema import Draft202012Validator
from rich.console import Console

from tests.report import cases
from tests.report.hostile import hostile_report
from validator.errors import ConfigurationError
from validator.report import html, json, junit, schema, terminal
from validator.results import Report

HOSTILE = {
    "hostile": hostile_report,
    "10 MB": lambda: hostile_report(models=1, log="no \x1b[31m\n" * 1_250_000),
}
EVERY = cases.CASES | HOSTILE


def shown(report: Report, width: int = 100, **options: object) -> str:
    stream = io.StringIO()
    terminal.show(report, Console(file=stream, width=width, **options))
    return stream.getvalue()


class TestJson:
    @pytest.mark.parametrize("case", EVERY)
    def test_a_report_comes_back_as_it_was_and_fits_the_schema(self, case: str) -> None:
        report = EVERY[case]()
        written = json.dump(report)
        assert json.load(written) == report
        Draft202012Validator(stdlib_json.loads(schema.schema())).validate(stdlib_json.loads(written))

    def test_the_published_schema_is_the_generated_one(self) -> None:
        published = schema.PATH.read_text(encoding="utf-8")
        assert published == schema.schema(), "run: python -m validator.report.schema"
        Draft202012Validator.check_schema(stdlib_json.loads(published))

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ('"schema": 1', '"schema": 2', "schema"),
            ('"verdict": "pass"', '"verdict": "fine"', "verdict"),
            ('"baseline":', '"base_line":', "base"),
            ('"seconds": 41.3', '"seconds": NaN', "seconds"),
            ('"seconds": 41.3', '"seconds": 1e999', "seconds"),
            ('"max_abs": 0.0', '"max_abs": "Infinity"', "max_abs"),
            ("{", "", "JSON"),
        ],
    )
    def test_a_forged_report_is_refused_in_one_sentence(self, old: str, new: str, words: str) -> None:
        text = json.dump(cases.all_identical())
        assert old in text
        with pytest.raises(ConfigurationError, match=f"not a report.*{words}") as caught:
            json.load(text.replace(old, new, 1))
        assert "\n" not in str(caught.value)

    def test_a_huge_report_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="1,000"):
            json.load(json.dump(cases.far_too_much()), largest=1000)


class TestJunit:
    @pytest.mark.parametrize("case", EVERY)
    def test_it_parses_and_counts(self, case: str) -> None:
        root = ElementTree.fromstring(junit.dump(EVERY[case]()))  # noqa: S314 - our own output
        tests = root.findall(".//testcase")
        assert int(root.get("tests", "")) == len(tests) == sum(len(m.cells) for m in EVERY[case]().models)
        assert int(root.get("failures", "")) == len(root.findall(".//failure"))
        assert int(root.get("errors", "")) == len(root.findall(".//error"))

    def test_it_agrees_with_the_gate(self) -> None:
        def outcome(case: str) -> dict[str, list[str]]:
            root = ElementTree.fromstring(junit.dump(cases.CASES[case]()))  # noqa: S314 - our own output
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
            junit.dump(cases.report("warn", cases.model("digits", cell)))
        )
        assert root.find(".//testcase/skipped") is not None


class TestHtml:
    @pytest.mark.parametrize("case", EVERY)
    def test_it_loads_nothing_and_runs_nothing(self, case: str) -> None:
        page = html.page(EVERY[case]())
        soup = BeautifulSoup(page, "html.parser")
        assert not soup.find_all(["script", "link", "img", "iframe", "object", "form", "base"])
        assert not [tag for tag in soup.find_all(True) if any(name.startswith("on") for name in tag.attrs)]
        assert not [tag for tag in soup.find_all(True) if "style" in tag.attrs]
        assert all(tag["href"].startswith("https://redirect.github.com/") for tag in soup.find_all("a"))
        assert len(page) < 5_000_000

    def test_the_policy_allows_only_our_style_sheet(self) -> None:
        soup = BeautifulSoup(html.page(cases.something_changed()), "html.parser")
        policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
        digest = base64.b64encode(hashlib.sha256(soup.style.string.encode()).digest()).decode()
        assert policy.startswith("default-src 'none'")
        assert f"style-src 'sha256-{digest}'" in policy
        assert "url(" not in soup.style.string

    def test_it_is_accessible(self) -> None:
        soup = BeautifulSoup(html.page(cases.something_changed()), "html.parser")
        assert soup.html["lang"] == "en"
        assert soup.title.string
        assert all(head.get("scope") for head in soup.find_all("th"))
        assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in soup.find_all("svg"))
        assert len(soup.find_all("h1")) == 1

    def test_it_says_what_the_comment_says(self) -> None:
        said = re.sub(
            r"\s+", " ", BeautifulSoup(html.page(cases.something_changed()), "html.parser").get_text()
        )
        for words in (
            "causal mask ignored",
            "412×",
            "0.613 → 0.341",
            "keras>=3.10",
            "--only llama@keras-3.5.0",
        ):
            assert words in said

    def test_bars_are_in_units_of_the_noise_where_it_is_known(self) -> None:
        rows = html.content.rows(cases.something_changed())
        scale = html.scale(rows)
        assert scale is not None
        assert scale.unit == "×"
        assert [bar.label for bar in scale.bars] == ["412×", "0.6×", "0.5×"]
        assert all(0 < bar.width <= 100 for bar in scale.bars)
        assert html.scale(html.content.rows(cases.all_identical())) is None


class TestTerminal:
    @pytest.mark.parametrize("case", EVERY)
    @pytest.mark.parametrize("width", [80, 140])
    def test_it_fits_and_carries_no_control_characters(self, case: str, width: int) -> None:
        text = shown(EVERY[case](), width)
        before_commands = text.split("\nRun again:")[0]
        assert max(map(len, before_commands.splitlines())) <= width
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)

    def test_worst_first_with_all_columns(self) -> None:
        text = shown(cases.something_changed(), 160)
        head = text.splitlines()[0]
        for column in (
            "model",
            "environment",
            "what happened",
            "largest difference",
            "drift ÷ noise",
            "flips",
        ):
            assert column in head
        assert text.index("causal mask ignored") < text.index("metric only") < text.index("rounding")
        assert "FAIL" in text

    def test_the_command_is_in_one_line(self) -> None:
        again = shown(cases.something_changed(), 40)
        assert "  nox -s validate -- --config validator.yml --only llama@keras-3.5.0\n" in again

    def test_colour_only_where_it_is_wanted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "\x1b[" in shown(cases.something_changed(), force_terminal=True, color_system="standard")
        monkeypatch.setenv("NO_COLOR", "1")
        assert "\x1b[3" not in shown(cases.something_changed(), force_terminal=True)

    def test_an_ascii_terminal_gets_ascii(self) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        terminal.show(cases.something_changed(), Console(file=stream, width=140))
        stream.flush()
        text = stream.buffer.getvalue().decode("ascii")
        assert "0.613 -> 0.341" in text
        assert "412x" in text

    def test_progress_without_a_terminal_is_plain_lines(self) -> None:
        stream = io.StringIO()
        with terminal.Progress(Console(file=stream, width=80), total=12, clock=lambda: 0.0) as progress:
            progress.environment("keras-3.5.0", "installing")
            progress.cell_started("digits@keras-3.5.0")
            progress.cell_finished("digits@keras-3.5.0", "done", 1.2)
        assert stream.getvalue().splitlines() == [
            "keras-3.5.0: installing",
            "[ 1/12] digits@keras-3.5.0  done  1.2 s",
        ]

    def test_progress_on_a_terminal_keeps_finished_lines_and_cleans_up(self) -> None:
        stream = io.StringIO()
        console = Console(file=stream, width=80, force_terminal=True, color_system=None)
        with terminal.Progress(console, total=2) as progress:
            progress.environment("legacy", "resolving")
            progress.cell_started("digits@legacy")
            progress.cell_finished("digits@legacy", "load", 0.5)
        assert "[1/2] digits@legacy  load  0.5 s" in stream.getvalue()
        assert stream.getvalue().count("\x1b[?25h") == 1  # the cursor is back
