"""Real runs over what a single number for a whole output hides, and over what rounding alone flips."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, share_environments
from validator.checks.outputs.types import OutputFinding
from validator.verdict.results import CellResult, Report

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

GREEN, CHANGED = {"identical", "rounding"}, {"changed"}
DOUBTFUL, EMPTY = {"suspicious"}, {"not-compared"}
#: Model → the verdicts that are right where it was left alone, and where it was edited.
EXPECTED = {
    "price": (GREEN, CHANGED),
    "wild": (GREEN, CHANGED),
    "classes": (GREEN, CHANGED),
    "last_step": (GREEN, CHANGED),
    "padding": (GREEN, CHANGED),
    "equal_ids": (GREEN, CHANGED),
    "label": (GREEN, DOUBTFUL | CHANGED),  # everything ties
    "threshold": (GREEN, DOUBTFUL | CHANGED),
    "word": (GREEN, DOUBTFUL | CHANGED),
    "root": (GREEN | DOUBTFUL, DOUBTFUL | CHANGED),
    "chaos": (DOUBTFUL, DOUBTFUL | CHANGED),
    "chaos_column": (DOUBTFUL, DOUBTFUL | CHANGED),
    "nothing": (EMPTY, EMPTY),
    "mostly_nan": (DOUBTFUL, DOUBTFUL),
    "turns_random": (CHANGED, CHANGED),
    "both_random": (EMPTY, EMPTY),
}
CASES = [(name, edit) for name in EXPECTED for edit in (False, True)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("hidden")
    shutil.copy(Path(__file__).with_name("hidden_models.py"), folder)
    share_environments(folder)
    models = "".join(
        f"  - {{name: {_named(name, edit)}, builder: 'hidden_models:{name}', "
        f"builder_arguments: {{edit: {str(edit).lower()}}}, inputs: 'hidden_models:inputs'}}\n"
        for name, edit in CASES
    )
    (folder / "validator.yml").write_text(
        'version: 1\norigin: {seconds: 0}\npython: "3.11"\n'
        "requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4]\n"
        'matrix: {keras: ["3.3.3", "3.5.0"]}\nparity: {search: false}\ngate: {fail_on: []}\n'
        f"models:\n{models}"
    )
    command = [sys.executable, "-m", "validator", "run", "--config", str(folder / "validator.yml"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert done.stdout, done.stderr[-2000:]
    return Report.model_validate(json.loads(done.stdout))


def _named(name: str, edit: bool) -> str:
    return f"{name}-edited" if edit else name


def cell(report: Report, name: str, edit: bool) -> CellResult:
    return next(model.cells[0] for model in report.models if model.name == _named(name, edit))


@pytest.mark.parametrize(("name", "edit"), CASES)
def test_the_verdict(report: Report, name: str, edit: bool) -> None:
    judged = cell(report, name, edit)
    assert judged.verdict in EXPECTED[name][edit], judged.message


@pytest.mark.parametrize(
    ("name", "place"), [("price", (1,)), ("padding", (0,)), ("last_step", (39,)), ("classes", (77_777,))]
)
def test_the_place_is_named(report: Report, name: str, place: tuple[int, ...]) -> None:
    (finding,) = [each for each in cell(report, name, True).findings if isinstance(each, OutputFinding)]
    assert finding.numbers.drift is not None
    columns = {grain.grain: grain.index for grain in finding.numbers.drift.grains}
    elements = columns["element"][1 : 1 + len(place)]
    assert place in (columns["column"][: len(place)], elements)


def test_the_plain_models_differ_in_bytes(report: Report) -> None:
    """Else nothing here could fail."""
    same = [name for name in EXPECTED if cell(report, name, False).verdict == "identical"]
    assert len(same) <= 2, same
