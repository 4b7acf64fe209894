from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.github.cases import HOSTILE, cell, edition, parse_outputs, passing, render, report
from validator.github.annotations import (
    Annotation,
    command,
    commands,
    foreign_output,
)
from validator.github.annotations import annotations_of as annotations_of_edition
from validator.github.edition import characters, fit
from validator.github.summary import SUMMARY_LIMIT, append_summary, write_outputs
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.results import Reason, Report


def annotations_of(made: Report) -> tuple[Annotation, ...]:
    return annotations_of_edition(edition(made))


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as the runner reads it."""
    found = re.fullmatch(r"::(\w+) ?(.*?)::(.*)", line)
    assert found, line

    def raw(text: str) -> str:
        for code, letter in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            text = text.replace(code, letter)
        return text

    properties = dict(item.split("=", 1) for item in found[2].split(",") if item)
    return found[1], {name: raw(value) for name, value in properties.items()}, raw(found[3])


def test_the_summary_is_appended(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    assert append_summary(file, render("first"))
    assert append_summary(file, render("second\n"))
    assert file.read_text() == "first\n\nsecond\n"


def test_the_summary_stays_below_its_limit_in_bytes(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    for _ in range(3):
        append_summary(file, lambda budget: "€" * min(budget, 10_000_000))
    assert file.stat().st_size < SUMMARY_LIMIT
    file.read_text(encoding="utf-8")  # no character is cut in two


def test_a_full_summary_takes_no_more(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    file.write_bytes(b"x" * SUMMARY_LIMIT)
    assert not append_summary(file, render())
    assert file.stat().st_size == SUMMARY_LIMIT


def test_a_report_that_knows_no_budget_is_left_out_rather_than_cut(tmp_path: Path) -> None:
    file = tmp_path / "summary.md"
    assert not append_summary(file, lambda _: "x" * 10_000_000)
    assert not file.exists()


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(["a", "é", "€", "😀"]))
def test_what_fits_fits(budget: int, limit: int, letter: str) -> None:
    text = fit(lambda room: letter * room, budget, limit)
    if text is not None:
        assert characters(text) <= limit
    if budget * 2 <= limit:
        assert text == letter * budget


def test_control_characters_and_lone_surrogates_are_not_posted() -> None:
    assert fit(lambda _: "a\x00b\ud800c\x1b[1m\r\n\td", 100, 100) == "abc[1m\n\td"


@given(st.text(), st.text())
def test_outputs_are_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, one: str, two: str
) -> None:
    file = tmp_path_factory.mktemp("output") / "output"
    write_outputs(file, {"one": one, "two-2": two})
    expected = one.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    found = parse_outputs(file.read_bytes().decode("utf-8"))
    assert found["one"] == expected
    assert set(found) == {"one", "two-2"}


def test_outputs_cannot_be_forged(tmp_path: Path) -> None:
    file = tmp_path / "output"
    file.write_text("earlier=1\n")
    write_outputs(file, {"verdict": "x\nEOF\nverdict=pass\nend-\nother<<end-\ny\nend-"})
    assert file.read_text().startswith("earlier=1\n")
    assert set(parse_outputs(file.read_text().removeprefix("earlier=1\n"))) == {"verdict"}
    with pytest.raises(ValueError, match="no name"):
        write_outputs(file, {"a\nb": ""})


def test_annotations_stand_on_the_changed_line() -> None:
    changes = (
        PackageChange(name="ml-dtypes", old="1", new="2", direct=False, manifest="uv.lock", line=9),
        PackageChange(name="numpy", old="1", new="2", manifest="requirements.txt", line=3),
        PackageChange(name="keras", old="3.3.3", new="3.5.0", manifest="requirements.txt", line=4),
    )
    found = annotations_of(report("fail", upgrade=Upgrade(changes=changes, relevant=True)))
    assert found == (Annotation("error", "digits in head: changed", "It changed.", "requirements.txt", 4),)
    assert commands(found) == [
        "::error file=requirements.txt,line=4,title=digits in head%3A changed::It changed."
    ]


def test_the_title_is_that_of_the_cell_escaped_and_cut() -> None:
    title = "llama changed: accuracy 0.7 → 0.6, first in a::b,c\n::error::forged" + "x" * 400
    named = cell("changed", gated=True).model_copy(update={"title": title})
    (found,) = annotations_of(report("fail", named))
    assert len(found.title) == 255
    (line,) = commands((found,))
    assert "title=llama changed%3A accuracy 0.7 → 0.6%2C first in a%3A%3Ab%2Cc %3A%3Aerror" in line
    assert "\n" not in line
    assert parsed(line)[1]["title"] == found.title


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../b", "a\nb", "a\\b", "", "\u202ea", "x" * 500]
)
def test_a_path_outside_the_repository_is_not_named(path: str) -> None:
    changes = (PackageChange(name="keras", old="1", new="2", manifest=path, line=1),)
    found = annotations_of(report("fail", upgrade=Upgrade(changes=changes, relevant=True)))
    assert found[0].path == ""
    assert "file=" not in command(found[0])


def test_no_upgrade_no_place() -> None:
    assert annotations_of(report("fail", upgrade=None))[0].path == ""


def test_what_the_gate_stops_is_an_error_and_worst_comes_first() -> None:
    cells = [
        cell("suspicious", name="a"),
        cell("identical", name="b"),
        cell("changed", name="c", gated=True),
        cell("rounding", name="d"),
        cell("failed", name="e", gated=True),
        cell("not-compared", name="f"),
        cell("metric-only", name="g"),
    ]
    found = annotations_of(report("fail", *cells))
    assert [(item.level, item.title[-14:].split()[-1]) for item in found] == [
        ("error", "failed"),
        ("error", "changed"),
        ("warning", "not-compared"),
        ("warning", "metric-only"),
        ("warning", "suspicious"),
    ]


def test_nothing_is_said_when_all_is_well() -> None:
    assert annotations_of(passing()) == ()


def test_an_inconclusive_run_says_why() -> None:
    found = annotations_of(
        report("inconclusive", cell("identical"), reasons=(Reason(kind="error", error="No baseline."),))
    )
    assert found[0].level == "error"
    assert found[0].message == "inconclusive: No baseline."


def test_ten_of_a_level_and_the_last_counts_the_others() -> None:
    cells = [cell("changed", gated=number % 2 == 0, name=f"e{number}") for number in range(60)]
    lines = commands(annotations_of(report("fail", *cells)))
    assert [line.split()[0] for line in lines] == ["::error"] * 10 + ["::warning"] * 10
    assert lines[9].endswith("::21 more are in the job summary")


def test_hostile_names_stay_within_their_command() -> None:
    lines = commands(annotations_of(report("fail", cell("failed", True, HOSTILE * 50, "e"))))
    assert len(lines) == 1
    level, properties, message = parsed(lines[0])
    assert (level, set(properties)) == ("error", {"file", "line", "title"})
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) <= 1000


@given(st.text(), st.text(), st.text(max_size=20))
def test_a_command_is_one_line_and_reads_back(title: str, message: str, path: str) -> None:
    line = command(Annotation("warning", title, message, path, 3))
    assert "\n" not in line
    assert "\r" not in line
    level, properties, text = parsed(line)
    place = {"file": path, "line": "3"} if path else {}
    assert (level, properties, text) == ("warning", {**place, "title": title}, message)


@pytest.mark.parametrize("text", ["", "::error::x", "no end of line", "::stop-commands::x\n::x::\n", HOSTILE])
def test_foreign_output_is_taken_for_no_command(text: str) -> None:
    stream = io.StringIO()
    with foreign_output(stream) as inner:
        inner.write(text)
    stream.write("::notice::ours\n")
    lines = stream.getvalue().splitlines()
    word = lines[0].removeprefix("::stop-commands::")
    assert len(word) == 32
    assert lines[-2] == f"::{word}::"
    assert stream.getvalue().count(word) == 2


def test_foreign_output_ends_when_the_model_raises() -> None:
    stream = io.StringIO()
    with pytest.raises(RuntimeError), foreign_output(stream):
        raise RuntimeError
    assert stream.getvalue().endswith("::\n")
