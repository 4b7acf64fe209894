"""Pull requests that change a model, alone and with its packages: real environments and workers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.changed_project import PLAIN, requirements, start
from tests.upgrade.conftest import Files, Repo
from validator.report import json as report_json
from validator.report.markdown import summary
from validator.verdict.results import CellResult, Report

pytestmark = pytest.mark.e2e
BRANCHES: dict[str, Files] = {
    "layer": {
        "sea/factors.py": "def factor():\n    return 1.5\n",
        "plain.py": PLAIN.replace("SCALE = 1.0", "SCALE = 2.0"),
    },
    "comment": {"sea/factors.py": "# a half would be too much\ndef factor():\n    return 1.0\n"},
    "layer and keras": {
        "sea/factors.py": "def factor():\n    return 1.5\n",
        "requirements.txt": requirements("3.5.0"),
    },
    "needs keras": {
        "sea/factors.py": "import keras\nassert keras.__version__ > '3.5', 'too old'\n"
        "def factor():\n    return 1.0\n",
        "requirements.txt": requirements("3.5.0"),
    },
}


class Pulls:
    """Runs the validator on branches of one repository, with environments that they share."""

    def __init__(self, repo: Repo, other_weights: bytes) -> None:
        self.repo = repo
        self.other_weights = other_weights
        self.reports: dict[str, tuple[Report, int]] = {}

    def run(self, name: str) -> tuple[Report, int]:
        if name not in self.reports:
            files = BRANCHES.get(name, {"tides.weights.h5": self.other_weights})
            self.repo.git("checkout", "--quiet", "-B", "topic", "main")
            self.repo.commit(files)
            done = subprocess.run(
                [sys.executable, "-m", "validator", "run", "--base", "main", "--json"],
                cwd=self.repo.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
            self.reports[name] = report_json.load(done.stdout), done.returncode
        return self.reports[name]


@pytest.fixture(scope="module")
def pulls(tmp_path_factory: pytest.TempPathFactory, keras_python: Callable[[str], Path]) -> Pulls:
    folder = tmp_path_factory.mktemp("sea") / "repository"
    repo = start(folder, keras_python("keras-3.3.3"))
    return Pulls(repo, (folder.parent / "other.weights.h5").read_bytes())


def cells(report: Report) -> dict[str, CellResult]:
    return {cell.cell: cell for model in report.models for cell in model.cells}


def test_new_weights_are_the_models_change(pulls: Pulls) -> None:
    report, code = pulls.run("weights")
    (cell,) = cells(report).values()
    assert (cell.cell, cell.verdict, cell.effect) == ("tides@head", "changed", "model")
    assert (report.baseline, report.verdict, code) == ("base-files", "fail", 1)
    assert [env.name for env in report.environments] == ["base-files", "head"]
    assert report.environments[0].packages == report.environments[1].packages
    text = summary(report)
    assert "with its new weights" in text
    assert "this is the model's own change, not an upgrade's" in text


def test_a_module_two_imports_away_and_inputs_from_a_function(pulls: Pulls) -> None:
    report, _ = pulls.run("layer")
    verdicts = {name: cell.verdict for name, cell in cells(report).items()}
    assert verdicts == {"tides@head": "changed", "made@head": "changed"}
    tides = cells(report)["tides@head"]
    assert next(each.kind for each in tides.findings if each.check == "layers") == "first-difference"
    # both sides of `made` were fed the head's samples: its new rescaling alone doubles them
    (output,) = (each for each in cells(report)["made@head"].findings if each.kind == "output")
    assert output.numbers.comparison.baseline_shape == (20, 3)
    assert not [finding for finding in cells(report)["made@head"].findings if finding.kind == "obstacle"]


def test_a_comment_changes_nothing_and_is_said_to(pulls: Pulls) -> None:
    report, code = pulls.run("comment")
    (cell,) = cells(report).values()
    assert (cell.cell, cell.verdict, cell.effect, code) == ("tides@head", "identical", "model", 0)
    assert "bit for bit, with its new code \\(module `sea/factors.py`\\)" in summary(report)


def test_both_effects_are_told_apart(pulls: Pulls) -> None:
    report, code = pulls.run("layer and keras")
    effects = {name: (cell.verdict, cell.effect) for name, cell in cells(report).items()}
    assert effects == {
        "tides@base": ("changed", "model"),
        "tides@head": ("identical", "packages"),
        "made@head": ("identical", None),
    }
    assert code == 1
    text = summary(report)
    assert "The new code alone **moves** `tides`" in text
    assert "the upgrade alone does not" in text
    keras = {env.name: env.packages["keras"] for env in report.environments}
    assert keras == {"base-files": "3.3.3", "base": "3.3.3", "head": "3.5.0"}


def test_code_that_needs_the_new_packages_is_compared_as_a_whole(pulls: Pulls) -> None:
    report, code = pulls.run("needs keras")
    head = cells(report)["tides@head"]
    assert (head.effect, head.verdict, code) == ("both", "identical", 0)
    assert head.alone is not None
    assert "too old" in head.alone.message
    assert "tides@base" not in cells(report)
    assert "does not run with the old packages" in summary(report)
