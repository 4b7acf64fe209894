"""Every form of a report says what is accepted, by whom and why, and how to accept what is not."""

from __future__ import annotations

import io
import re
import shlex
from datetime import date
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from rich.console import Console

from tests.report import cases
from tests.verdict.acceptance_cases import accept, cell, output, report
from validator.report import html, json, junit, markdown, terminal
from validator.verdict.acceptance_file import parse
from validator.verdict.acceptances import Acceptance
from validator.verdict.results import Report

TODAY = date(2026, 11, 28)
UNTIL = date(2027, 2, 28)
HOSTILE = "<b>@everyone</b> |`x` <!-- --> ##"


def terminal_text(made: Report) -> str:
    stream = io.StringIO()
    terminal.show(made, Console(file=stream, width=400))
    return stream.getvalue()


def forms(made: Report) -> dict[str, str]:
    tested = ElementTree.fromstring(junit.dump(made)).iter("testcase")  # noqa: S314 - our own output
    return {
        "comment": markdown.comment(made),
        "summary": markdown.summary(made),
        "terminal": terminal_text(made),
        "html": BeautifulSoup(html.page(made), "html.parser").get_text(" "),
        "json": json.dump(made),
        "junit": " ".join(text for case in tested for text in case.itertext()),
    }


def flat(text: str) -> str:
    return " ".join(text.replace("*", "").replace("\u200b", "").replace("\u00a0", " ").split())


ACCEPTED = report(accept(until=UNTIL))


@pytest.mark.parametrize("form", forms(ACCEPTED))
def test_every_form_says_who_accepted_it_and_why(form: str) -> None:
    said = "accepted until 2027-02-28 by Ada: the new kernel is right"
    assert said in flat(forms(ACCEPTED)[form])


def test_what_is_accepted_is_no_green_and_no_failure() -> None:
    comment = markdown.comment(ACCEPTED)
    assert "### ⚠️ Predictions change" in comment
    assert "as accepted" in comment
    assert "✅" not in comment
    assert "❌" not in comment
    root = ElementTree.fromstring(junit.dump(ACCEPTED))  # noqa: S314 - our own output
    assert (root.get("failures"), root.get("errors"), root.get("skipped")) == ("0", "0", "0")


def test_the_comment_has_no_hint_for_what_is_accepted_or_holds() -> None:
    assert "keras-validator accept" not in markdown.comment(ACCEPTED)
    assert "keras-validator accept" not in markdown.comment(cases.all_identical())


@pytest.mark.parametrize(("adds", "says"), [("added", "itself adds"), ("changed", "itself changes")])
def test_an_acceptance_of_the_pull_request_itself_stands_out(adds: str, says: str) -> None:
    entry = accept(until=UNTIL)
    before = (entry.model_copy(update={"until": None}),) if adds == "changed" else ()
    made = report(entry, before=before)
    for form in ("comment", "summary", "terminal", "html"):
        assert f"The pull request {says} this acceptance" in flat(forms(made)[form])
    assert "pull request itself" not in flat(markdown.comment(report(entry, before=(entry,))))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (accept(until=date(2026, 1, 1)), "by Ada expired on 2026-01-01"),
        (accept(packages={"keras": "3.0.0 -> 3.3.3"}), "is of another upgrade: `keras 3.0.0 → 3.3.3`"),
        (
            accept().model_copy(update={"metrics": {"accuracy": 0.05}}),
            "does not cover this result: `accuracy` is worse by 0.1, and it covers 0.05 at most",
        ),
        (accept().model_copy(update={"verdict": "suspicious"}), "its verdict is now changed, which is worse"),
        (
            accept().model_copy(update={"findings": accept().findings[:2]}),
            "`accuracy: metric-worse of accuracy,output` is not part of it",
        ),
    ],
)
def test_one_that_does_not_count_is_one_sentence(entry: Acceptance, says: str) -> None:
    made = report(entry)
    assert made.verdict == "fail"
    assert says in flat(markdown.comment(made))
    (note,) = json.worded(made).acceptances
    assert note.message.startswith("The acceptance of m@head by Ada ")
    assert note.message.endswith(".")


def test_an_unused_one_is_said_of_a_run_that_passes() -> None:
    holds = cell("identical", output(0, "identical", rule="bytes"))
    made = report(accept(), judged=holds)
    assert made.verdict == "pass"
    assert "is not used: the cell holds without it; remove it" in flat(markdown.comment(made))


def test_the_comment_has_the_command_and_an_entry_that_is_read_once_it_is_filled_in() -> None:
    comment = markdown.comment(report())
    assert 'keras-validator accept m@head --reason "…"' in comment
    entry = comment.partition("```yaml\n")[2].partition("```")[0]
    filled = entry.replace("reason: ''", "reason: right").replace("by: ''", "by: Ada")
    text = f"version: 1\nacceptances:\n{filled}"
    (read,) = parse(text, "pasted")
    assert read == accept(reason="right")
    assert report(read).verdict == "warn"


def test_the_commands_of_another_configuration_name_it() -> None:
    made = report().model_copy(update={"configuration": "services/a b/validator.yml"})
    command = next(line for line in terminal_text(made).splitlines() if "keras-validator accept" in line)
    assert shlex.split(command)[1:5] == ["accept", "m@head", "--config", "services/a b/validator.yml"]


def test_many_cells_are_shown_within_the_budget() -> None:
    comment = markdown.comment(report(names=tuple(f"m{at}" for at in range(40))), budget=20_000)
    assert len(comment) <= 20_000
    assert "keras-validator review" in comment
    entries = yaml.safe_load(comment.partition("```yaml\n")[2].partition("```")[0])
    assert len(entries) > 1
    assert all(each["cell"].startswith("m") for each in entries)


def test_what_a_person_wrote_is_escaped() -> None:
    made = report(accept(reason=HOSTILE, by=HOSTILE))
    for form in ("comment", "summary"):
        outside_code = re.sub(r"`[^`]*`", "", forms(made)[form])
        assert "<b>" not in outside_code
        assert "@everyone" not in outside_code
    shown = BeautifulSoup(html.page(made), "html.parser").find("main")
    assert shown is not None
    assert shown.find("b") is None
    ElementTree.fromstring(junit.dump(made))  # noqa: S314 - our own output


def test_a_report_with_acceptances_comes_back_as_it_was() -> None:
    made = report(accept(until=UNTIL), before=())
    assert json.load(json.dump(made)) == json.worded(made)
