"""The check `outputs` on real captures: what it asks for, reads, compares and asks again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checks.outputs.output_cases import OLD, capture, entries, failed, of_reference, subject
from validator.checks.outputs import CHECK, compare_stored
from validator.checks.outputs.types import (
    NondeterministicFinding,
    ObstacleFinding,
    OutputFinding,
    OutputsComparison,
)
from validator.checks.protocol import Earlier, Evidence, Examined
from validator.failure import Failure
from validator.matrix.variants import Variant
from validator.runner.captures import Capture
from validator.storage.tensors import StoredTensor
from validator.verdict.bands import BANDS
from validator.verdict.results import CellResult

MOVED = OLD + np.float32(1e-5)
SELF = [{"output": "output", "max_abs": 0.5, "elements": 40}]


def noise(folder: Path, rms: float, **fields: Any) -> dict[str, Any]:
    (folder / "noise").mkdir(parents=True, exist_ok=True)
    np.save(folder / "noise" / "0.npy", np.full(10, rms))
    output = {"name": "output", "rms": rms, "max_abs": 3 * rms, "path": "noise/0.npy"}
    answer = {"failure": None, "reason": "", "weights": 4, "members": 3, "samples": 10, "split": 2}
    return {**answer, "outputs": [output], **fields}


def tasks(noise: object = None, reference: object = None) -> dict[str, Any]:
    return {"outputs": {"failure": None, "noise": noise, "reference": reference}}


def sides(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> tuple[Capture, Capture]:
    return (
        capture(tmp_path / "baseline", old.pop("outputs", {"output": OLD}), **old),
        capture(tmp_path / "candidate", new.pop("outputs", {"output": MOVED}), **new),
    )


def examined(baseline: Capture, candidate: Capture, /, **own: dict[str, Any]) -> Examined:
    about = subject()
    left = Evidence(about.baseline, baseline, **own.get("baseline", {}))
    right = Evidence(about.cell, candidate, **own.get("candidate", {}))
    return CHECK.examine(about, left, right, BANDS, Earlier())


def worst(result: Examined) -> str:
    return BANDS.worst(finding.verdict for finding in result.findings)


def numbers(result: Examined) -> OutputsComparison:
    assert isinstance(result.comparison, OutputsComparison)
    return result.comparison


@pytest.mark.parametrize(
    ("side", "precision", "options"),
    [
        ("baseline", "as-saved", {"noise": {}, "reference": {"noise": {}}}),
        ("candidate", "as-saved", {"noise": None, "reference": {"noise": None}}),
        ("candidate", "bfloat16", {"noise": None, "reference": {"noise": None}}),
        ("baseline", "float32", {"noise": {}, "reference": None}),
        ("candidate", "float64", None),
    ],
)
def test_what_it_asks_for(side: str, precision: Any, options: dict[str, Any] | None) -> None:
    task = CHECK.ask(subject(side, Variant(precision=precision)))
    assert (None if task is None else task.options) == options


@pytest.mark.parametrize(("rms", "verdict"), [(1e-5, "rounding"), (3e-6, "suspicious"), (1e-7, "changed")])
def test_drift_is_held_against_the_baselines_noise(tmp_path: Path, rms: float, verdict: str) -> None:
    answer = tasks(noise(tmp_path / "baseline", rms))
    result = examined(*sides(tmp_path, {"tasks": answer}, {}))
    assert worst(result) == verdict
    (output,) = numbers(result).outputs
    assert output.drift is not None
    assert output.drift.noise_rms == pytest.approx(rms)
    assert output.noise_max_abs == pytest.approx(3 * rms)
    assert output.drift.sample_ratio is not None


@pytest.mark.parametrize(
    ("answer", "gap"),
    [
        (None, "not-measured"),
        ({"failure": {"stage": "predict", "error": "MemoryError", "message": ""}}, "failed"),
        ({"reason": "no-weights"}, "no-weights"),
        ({"reason": "not-floating", "weights": 3}, "not-floating"),
        ({"weights": 3, "members": 3, "outputs": []}, "not-floating"),
        ({"weights": 3, "members": 3, "outputs": [{"name": "output"}]}, "not-finite"),
        ({"weights": 3, "members": 3, "outputs": [{"name": "output", "rms": 0.0}]}, "unmoved"),
        ({"weights": 3, "members": 3, "outputs": [{"name": "output", "rms": 1.0, "path": "gone"}]}, "failed"),
        ({"outputs": "many"}, "failed"),
    ],
)
def test_without_noise_it_is_known_why(tmp_path: Path, answer: object, gap: str) -> None:
    result = examined(*sides(tmp_path, {"tasks": tasks(answer)}, {}))
    (output,) = numbers(result).outputs
    assert (output.gap, output.drift) == (gap, None)
    assert (output.gap_failure is not None) == (gap == "failed")
    assert [finding.rule for finding in result.findings if isinstance(finding, OutputFinding)] == [
        "dtype-tolerance"
    ]


def test_a_baseline_that_wavers_has_no_noise(tmp_path: Path) -> None:
    old = {"tasks": tasks(noise(tmp_path / "baseline", 1.0)), "deterministic": False, "self_difference": SELF}
    result = examined(*sides(tmp_path, old, {}))
    assert numbers(result).outputs[0].gap == "unsteady-baseline"
    assert worst(result) == "suspicious"
    wavering = [finding for finding in result.findings if isinstance(finding, NondeterministicFinding)]
    assert [(finding.side, finding.outputs[0].max_abs) for finding in wavering] == [("baseline", 0.5)]


@pytest.mark.parametrize(
    ("fields", "obstacle"),
    [({"inputs_digest": "bb"}, "inputs"), ({"samples": 9}, "samples"), ({"batch_size": 2}, "batch-size")],
)
def test_what_must_not_be_compared_is_not(tmp_path: Path, fields: dict[str, Any], obstacle: str) -> None:
    result = examined(*sides(tmp_path, {}, fields))
    assert [each.kind for each in numbers(result).obstacles] == [obstacle]
    assert numbers(result).outputs == ()
    assert worst(result) == "not-compared"


def test_a_missing_file_is_a_value(tmp_path: Path) -> None:
    both = sides(tmp_path, {}, {})
    (tmp_path / "candidate" / "output.npy").unlink()
    result = examined(*both)
    (finding,) = result.findings
    assert isinstance(finding, ObstacleFinding)
    (unreadable,) = finding.obstacles
    assert (unreadable.kind, finding.verdict) == ("unreadable", "not-compared")
    assert unreadable.failure is not None
    assert str(tmp_path / "candidate") in unreadable.failure.message


def test_no_outputs_at_all_are_not_compared(tmp_path: Path) -> None:
    result = examined(*sides(tmp_path, {"outputs": {}}, {"outputs": {}}))
    assert worst(result) == "not-compared"
    assert [obstacle.kind for obstacle in numbers(result).obstacles] == ["no-outputs"]


def test_a_renamed_output_is_a_change(tmp_path: Path) -> None:
    result = examined(*sides(tmp_path, {"outputs": {"a": OLD}}, {"outputs": {"b": OLD}}))
    assert worst(result) == "changed"
    assert numbers(result).outputs[0].renamed_to == "b"


def half(folder: Path, outputs: dict[str, Any], rms: float | None = None) -> dict[str, Any]:
    described = entries(folder / "reference", outputs)
    measured = None if rms is None else noise(folder / "reference", rms)
    reference = {"failure": None, "policy": "bfloat16", "outputs": described, "noise": measured}
    own = noise(folder, 1e-3) if rms is not None else None
    return {"policy": "bfloat16", "tasks": tasks(own, reference)}


def test_a_float32_reference_beside_the_predictions_convicts(tmp_path: Path) -> None:
    old = half(tmp_path / "baseline", {"output": OLD}, 1e-7)
    result = examined(*sides(tmp_path, old, half(tmp_path / "candidate", {"output": MOVED})))
    assert worst(result) == "changed"
    reference = of_reference(result.findings)
    assert (reference.kind, reference.precision, reference.policy) == (
        "reference-convicts",
        "float32",
        "bfloat16",
    )


def test_the_float32_cell_of_the_matrix_comes_first(tmp_path: Path) -> None:
    both = sides(tmp_path, {"policy": "bfloat16"}, {"policy": "bfloat16"})
    old, new = (capture(tmp_path / f"{side}-32", {"output": OLD}) for side in ("baseline", "candidate"))
    result = examined(*both, baseline={"float32": old}, candidate={"float32": new})
    reference = numbers(result).reference
    assert reference is not None
    assert [output.comparison.identical for output in reference.outputs if output.comparison] == [True]
    lost = examined(*both, baseline={"float32": old}, candidate={"float32": failed()})
    missing = numbers(lost).reference
    assert missing is not None
    assert (missing.failure, missing.failed_side) == (failed(), "candidate")


def test_other_outputs_of_the_references_are_no_reference(tmp_path: Path) -> None:
    both = sides(tmp_path, {"policy": "bfloat16"}, {"policy": "bfloat16"})
    old, new = capture(tmp_path / "a", {"output": OLD}), capture(tmp_path / "b", {"other": OLD[:5]})
    result = examined(*both, baseline={"float32": old}, candidate={"float32": new})
    assert of_reference(result.findings).kind == "reference-missing"


def test_a_reference_is_needed_on_both_sides(tmp_path: Path) -> None:
    old = capture(tmp_path / "a", {"output": OLD})
    both = sides(tmp_path, {}, {})
    assert numbers(examined(*both, baseline={"own": {"outputs": old}})).reference is None


def test_a_float64_reference_is_asked_for_once_rounding_does_not_explain(tmp_path: Path) -> None:
    answer = tasks(noise(tmp_path / "baseline", 3e-6))
    both = sides(tmp_path, {"tasks": answer}, {})
    result = examined(*both)
    assert worst(result) == "suspicious"
    more = CHECK.more(subject(), result, Earlier())
    assert more is not None
    assert more.baseline is not None
    assert more.candidate is not None
    assert (more.baseline.options["noise"], more.candidate.options["noise"]) == ({}, None)
    for task in (more.baseline, more.candidate):
        assert task.own is not None
        assert (task.own.predict, task.own.precision) == (True, "float64")
    exact = OLD.astype(np.float64) + 1e-5
    wide = noise(tmp_path / "wide", 1e-3)
    old = capture(tmp_path / "wide", {"output": exact}, policy="float64", tasks=tasks(wide))
    new = capture(tmp_path / "wide-new", {"output": exact}, policy="float64")
    again = examined(*both, baseline={"own": {"outputs": old}}, candidate={"own": {"outputs": new}})
    assert (worst(again), of_reference(again.findings).kind) == ("rounding", "reference-acquits")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"policy": "bfloat16"}, {"policy": "bfloat16"}),
        ({}, {"policy": None}),
        ({"deterministic": False}, {}),
        ({}, {"outputs": {"output": OLD}}),
    ],
)
def test_no_float64_reference_where_it_says_nothing(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert CHECK.more(subject(), examined(*sides(tmp_path, old, new)), Earlier()) is None


def test_a_failed_task_is_a_gap_and_no_reference(tmp_path: Path) -> None:
    lost = {"outputs": {"failure": {"stage": "crash", "error": "SIGSEGV", "message": ""}}}
    result = examined(*sides(tmp_path, {"policy": "bfloat16", "tasks": lost}, {"policy": "bfloat16"}))
    assert numbers(result).outputs[0].gap == "failed"
    assert isinstance(numbers(result).outputs[0].gap_failure, Failure)


def test_two_sets_of_outputs_need_no_run() -> None:
    old = [StoredTensor.from_array(name, OLD) for name in ("a", "b")]
    found = compare_stored(old, [StoredTensor.from_array("a", OLD + 1)], BANDS)
    compared = [finding.numbers for finding in found]
    assert [(output.name, output.only_in) for output in compared] == [("a", None), ("b", "baseline")]
    assert [(finding.verdict, finding.rule) for finding in found] == [
        ("changed", "dtype-tolerance"),
        ("changed", "missing"),
    ]


def test_results_survive_json() -> None:
    """NaN and infinity become null; complex numbers, strings and large integers stay."""
    old = [
        np.array([[1 + 2j, complex("nan")]]),
        np.array(["a"]),
        np.array([[1.0, np.nan]]),
        np.array([2**62]),
    ]
    new = [np.array([[1 + 3j, 1 + 2j]]), np.array(["b"]), np.array([[2.0, np.inf]]), np.array([2**62 + 1])]
    before, after = (
        [StoredTensor.from_array(str(at), side) for at, side in enumerate(arrays)] for arrays in (old, new)
    )
    found = compare_stored(before, after, BANDS)
    cell = CellResult(cell="m", environment="e", variant="", verdict="changed", findings=found)
    text = cell.model_dump_json()
    json.loads(text, parse_constant=pytest.fail)
    again = CellResult.model_validate_json(text).findings
    worst = [finding.numbers.comparison.worst for finding in again if isinstance(finding, OutputFinding)]
    assert [(place.baseline, place.candidate) for place in worst] == [
        ((1.0, 2.0), (1.0, 3.0)),
        ("a", "b"),
        (1.0, 2.0),
        (2**62, 2**62 + 1),
    ]


def test_the_tolerance_of_the_model_decides(tmp_path: Path) -> None:
    loose = subject(tolerance={"rtol": 0, "atol": 1e-3})
    both = sides(tmp_path, {}, {})
    left, right = (Evidence(loose.cell, side) for side in both)
    result = CHECK.examine(loose, left, right, BANDS, Earlier())
    assert [finding.rule for finding in result.findings if isinstance(finding, OutputFinding)] == [
        "tolerance"
    ]
