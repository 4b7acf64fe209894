"""`validator.run`: the command line's own way, as values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import validator
from tests.conftest import ROOT
from tests.pipeline.small_project import run as command
from tests.pipeline.small_project import write_project
from validator.errors import ConfigurationError, Exit
from validator.report.json import dump


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"models": "smae"}, "no model is called 'smae': did you mean 'same'"),
        ({"against": "newest"}, "neither an environment nor a version of Keras"),
        ({"baseline": "3.3.3", "against": ["3.3.3"]}, "nothing to compare with the baseline keras-3.3.3"),
        ({"only": "same@nowhere"}, "no such cell"),
        ({"jobs": 0}, "jobs must be a positive number"),
        ({"config": "nowhere.yml"}, "nowhere.yml"),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object], words: str
) -> None:
    write_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=words):
        validator.run(**arguments)  # type: ignore[arg-type]
    assert not list((tmp_path / ".keras-validator").glob("run/captures"))


def test_the_command_line_takes_the_same_selection(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    planned = command(
        config, ROOT, "plan", "--model", "same", "--baseline", "3.5.0", "--against", "3.12.0", "--json"
    )
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["baseline"] == "keras-3.5.0"
    assert [cell["cell"] for cell in plan["cells"]] == ["same@keras-3.5.0", "same@keras-3.12.0"]
    current = command(config, ROOT, "plan", "--against", "current", "--json")
    environments = json.loads(current.stdout)["environments"]
    assert [each["name"] for each in environments] == ["keras-3.3.3", "current"]


@pytest.mark.environment
def test_a_run_is_that_of_the_command_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = write_project(tmp_path)
    outcome = validator.run(config, progress=False)
    assert capfd.readouterr() == ("", "")
    assert (outcome.verdict, outcome.passed, outcome.exit_code) == ("fail", False, Exit.GATE)
    assert {cell.cell: cell.verdict for cell in outcome.cells} == {
        "lost@keras-3.5.0": "failed",
        "moved@keras-3.5.0": "changed",
        "same@keras-3.5.0": "identical",
    }
    moved = outcome.cell("moved@keras-3.5.0")
    assert moved.message.startswith("changed: ")
    with pytest.raises(ConfigurationError, match="no cell is called 'moved'; the run has"):
        outcome.cell("moved")
    text = str(outcome)
    assert text.startswith("FAIL: ")
    assert "keras-validator run --config" in text
    assert text.endswith(f"Full report: {outcome.report_html}")
    assert outcome.report_html.is_file()
    assert outcome.report_json.read_text(encoding="utf-8") == dump(outcome.report)
    assert "<code>moved</code>" in outcome._repr_html_()

    part = validator.run(config, models="same", against="3.5.0", progress=False)
    assert part.passed
    assert part.folder == tmp_path / ".keras-validator" / "only"
    assert [cell.cell for cell in part.cells] == ["same@keras-3.5.0"]
