"""The test of the house: a check that is added with three files and one registration is shown everywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import run, write_project

CHECK = '''
"""How long does one batch take?"""

from typing import Literal

from validator.base import Frozen
from validator.checks.protocol import Check, Comparison, Finding, Task


class LatencyAnswer(Frozen):
    milliseconds: float


class LatencyComparison(Comparison):
    baseline: float
    candidate: float


class Slower(Finding):
    check: Literal["latency"] = "latency"
    kind: Literal["slower"] = "slower"
    factor: float


class Latency(Check[float, LatencyComparison]):
    name = "latency"
    comparison = LatencyComparison
    findings = (Slower,)

    def ask(self, subject):
        return Task({"repeats": 3})

    def read(self, evidence):
        answer = evidence.capture.answer("latency", LatencyAnswer)
        return answer.milliseconds if isinstance(answer, LatencyAnswer) else 0.0

    def compare(self, subject, baseline, candidate, earlier):
        return LatencyComparison(baseline=baseline, candidate=candidate)

    def find(self, comparison, bands, earlier):
        return (Slower(factor=comparison.candidate / comparison.baseline),) if comparison.baseline else ()


CHECK = Latency()
'''
WORKER = '''
"""Times one batch."""

import time

STAGE = "predict"


def run(work, options):
    began = time.perf_counter()
    for _ in range(options["repeats"]):
        for _ in work.prediction.outputs():
            pass
    return {"milliseconds": 1000 * (time.perf_counter() - began) / options["repeats"]}
'''
WORDS = '''
"""The words of the check latency."""

from validator.report.document import Paragraph
from validator.report.phrases import words
from validator.report.words import CheckWords, Column


def _sentence(finding):
    return words("one pass takes ", f"{finding.factor:.2f} times as long as in the baseline")


def _details(comparison, findings):
    return (Paragraph(words("latency of the candidate, in milliseconds")),)


WORDS = CheckWords(
    sentence=_sentence,
    columns=(Column("latency", lambda comparison: f"{comparison.candidate:.1f} ms"),),
    details=_details,
)
'''


def add_latency(folder: Path) -> None:
    """Copy the package, add the three files, and register the check."""
    package = folder / "validator"
    shutil.copytree(ROOT / "validator", package, ignore=shutil.ignore_patterns("__pycache__"))
    files = {
        "checks/latency/__init__.py": CHECK,
        "worker/keras_capture/latency/__init__.py": WORKER,
        "report/words/latency.py": WORDS,
    }
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.lstrip(), encoding="utf-8")
    registry = package / "checks" / "registry.py"
    text = registry.read_text(encoding="utf-8")
    text = text.replace("\n\n#:", "\nfrom validator.checks.latency import CHECK as LATENCY\n\n#:", 1)
    registered, end = text.rstrip().removesuffix(")"), "    LATENCY,\n)\n"
    registry.write_text(registered + end, encoding="utf-8")


@pytest.mark.environment
def test_a_check_from_outside_is_run_and_shown_in_every_form(tmp_path: Path) -> None:
    config = write_project(tmp_path)
    add_latency(tmp_path / "copy")
    output = tmp_path / "run"
    done = run(config, tmp_path / "copy", "run", "--json", "--output", str(output))
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    cell = next(
        cell for model in report["models"] for cell in model["cells"] if cell["cell"].startswith("moved")
    )
    assert cell["checks"]["latency"]["candidate"] > 0
    (finding,) = [finding for finding in cell["findings"] if finding["check"] == "latency"]
    assert "times as long" in finding["message"]
    for form in ("terminal", "markdown", "html", "junit"):
        shown = run(config, tmp_path / "copy", "report", str(output), "--format", form)
        assert shown.returncode == 0, shown.stderr
        assert "times as long as in the baseline" in " ".join(shown.stdout.split()), form
    assert (
        "latency of the candidate"
        in run(config, tmp_path / "copy", "report", str(output), "--format", "html").stdout
    )
