"""The check `accuracy` on real captures and labels."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checks.outputs.output_cases import capture, entries, subject
from validator.checks.accuracy import CHECK
from validator.checks.accuracy.types import AccuracyComparison, EvaluateFailedFinding, UnscoredFinding
from validator.checks.outputs import CHECK as OUTPUTS
from validator.checks.protocol import Earlier, Evidence, Examined, Subject
from validator.storage import recording
from validator.verdict.bands import BANDS

LABELS = np.arange(200) % 2
RIGHT = np.eye(2, dtype=np.float32)[LABELS]
WRONG = np.where((np.arange(200) < 60)[:, None], 1 - RIGHT, RIGHT)
REPORTED = {"reported": {"accuracy": 0.27, "loss": 1.0}}


def examined(
    folder: Path, new: Any = RIGHT, *, about: dict[str, Any] | None = None, **responses: Any
) -> tuple[Examined, Subject]:
    np.savez(folder / "labels.npz", labels=LABELS)
    labels = folder / "labels"
    recording.prepare(folder / "labels.npz", labels)
    model = {"labels": "labels.npz", "metrics": ["accuracy"], **(about or {})}
    cell = replace(subject(**model), labels=labels, folder=folder)
    left = Evidence(cell.baseline, capture(folder / "a", {"output": RIGHT}, **responses.get("baseline", {})))
    right = Evidence(cell.cell, capture(folder / "b", {"output": new}, **responses.get("candidate", {})))
    earlier = Earlier((OUTPUTS.examine(cell, left, right, BANDS, Earlier()),))
    return CHECK.examine(cell, left, right, BANDS, earlier), cell


def kinds(result: Examined) -> list[str]:
    return [finding.kind for finding in result.findings]


def numbers(result: Examined) -> AccuracyComparison:
    assert isinstance(result.comparison, AccuracyComparison)
    return result.comparison


def test_a_metric_that_got_worse(tmp_path: Path) -> None:
    result, _ = examined(tmp_path, WRONG)
    (metric,) = numbers(result).metrics
    assert (metric.baseline, metric.candidate, metric.worse) == (1.0, 0.7, True)
    assert kinds(result) == ["metric-worse"]
    assert all(finding.verdict is None for finding in result.findings)


def test_nothing_to_say_about_equal_sides(tmp_path: Path) -> None:
    result, _ = examined(tmp_path)
    assert kinds(result) == []
    assert numbers(result).metrics[0].decision == "not-worse"


def test_another_report_of_the_same_predictions_is_metric_only(tmp_path: Path) -> None:
    other = {"reported": {"accuracy": 0.9, "loss": 1.0}}
    result, _ = examined(tmp_path, baseline=REPORTED, candidate=other)
    assert kinds(result) == ["metric-only"]
    assert BANDS.worst(finding.verdict for finding in result.findings) == "metric-only"
    assert [metric.name for metric in numbers(result).reported] == ["accuracy", "loss"]


def test_another_report_of_other_predictions_is_no_finding_of_its_own(tmp_path: Path) -> None:
    other = {"reported": {"accuracy": 0.9, "loss": 1.0}}
    result, _ = examined(tmp_path, WRONG, baseline=REPORTED, candidate=other)
    assert kinds(result) == ["metric-worse"]


def test_labels_that_fit_no_output_are_unscored(tmp_path: Path) -> None:
    result, _ = examined(tmp_path, about={"metrics": ["acuracy"]})
    (finding,) = result.findings
    assert isinstance(finding, UnscoredFinding)
    assert (finding.metric, "did you mean 'accuracy'" in finding.reason) == ("", True)


def test_a_metric_that_cannot_be_scored_is_unscored(tmp_path: Path) -> None:
    result, _ = examined(tmp_path, about={"metrics": ["accuracy", "mae"]})
    (finding,) = result.findings
    assert isinstance(finding, UnscoredFinding)
    assert (finding.metric, finding.output) == ("mae", "output")


def test_what_must_not_be_compared_is_not_scored(tmp_path: Path) -> None:
    result, _ = examined(tmp_path, candidate={"inputs_digest": "bb"}, baseline=REPORTED)
    assert (result.comparison, result.findings) == (None, ())


def test_evaluate_failed_on_either_side(tmp_path: Path) -> None:
    failure = {"stage": "predict", "error": "ValueError", "message": "shapes"}
    result, _ = examined(
        tmp_path, baseline={"reported_failure": failure}, candidate={"reported_failure": failure}
    )
    found = [finding for finding in result.findings if isinstance(finding, EvaluateFailedFinding)]
    assert [(finding.side, finding.failure.message) for finding in found] == [
        ("baseline", "shapes"),
        ("candidate", "shapes"),
    ]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def right(predictions, labels):\n    return float(predictions['output'].mean())\n", None),
        ("right = 3\n", "unscored"),
        ("1 / 0\n", "unscored"),
        ("raise SystemExit\n", "unscored"),
    ],
)
def test_a_metric_of_the_user(tmp_path: Path, source: str, kind: str | None) -> None:
    module = f"metric_of_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{module}.py").write_text(source)
    try:
        result, _ = examined(tmp_path, about={"metrics": [f"{module}:right"]})
    finally:
        sys.modules.pop(module, None)
    assert kinds(result) == ([kind] if kind else [])
    assert str(tmp_path) not in sys.path


def test_the_noise_makes_ties(tmp_path: Path) -> None:
    members = entries(tmp_path / "a", {"member0": RIGHT + 1, "member1": RIGHT - 1})
    ensemble = {"name": "output", "members": [{**member, "name": "output"} for member in members]}
    noise = {"failure": None, "method": "operations", "samples": [[0, 200]], "outputs": [ensemble]}
    answer = {"outputs": {"failure": None, "noise": noise, "reference": None}}
    few = np.where(((np.arange(200) < 6) & (LABELS == 1))[:, None], 1 - RIGHT, RIGHT)
    result, _ = examined(tmp_path, few, baseline={"tasks": answer})
    (metric,) = numbers(result).metrics
    assert (metric.negative_flips, metric.tied_flips) == (0, 3)
