"""The check `outputs` on real captures: what it asks for, reads, compares and asks again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checks.outputs.output_cases import OLD, capture, entries, failed, of_reference, subject
from validator.checks.loading.types import LoadedSide, LoadingComparison
from validator.checks.outputs import CHECK, compare_stored
from validator.checks.outputs.types import (
    NondeterministicFinding,
    ObstacleFinding,
    OutputFinding,
    OutputsComparison,
)
from validator.checks.protocol import Earlier, Evidence, Examined
from validator.matrix.variants import Variant
from validator.runner.captures import Capture
from validator.storage.tensors import StoredTensor
from validator.verdict.bands import BANDS
from validator.verdict.results import CellResult

MOVED = OLD + np.float32(1e-5)
SELF = [{"output": "output", "max_abs": 0.5, "elements": 40}]


EVERY = {"failure": None, "batches": [0, 1, 2], "samples": [[0, 4], [4, 8], [8, 10]]}


def noise(folder: Path, rms: float, rows: slice = slice(None), **fields: Any) -> dict[str, Any]:
    """Eight members that are so far from the baseline, as a worker leaves them in a folder."""
    rng = np.random.default_rng(0)
    members = {
        f"member{k}": OLD[rows] + np.float32(rms) * signs for k, signs in enumerate(_signs(rng, OLD[rows]))
    }
    described = [{**entry, "name": "output"} for entry in entries(folder, members)]
    answer = {**EVERY, "method": "operations", "reason": "", "members": 8}
    return {**answer, "outputs": [{"name": "output", "members": described}], **fields}


def _signs(rng: np.random.Generator, like: np.ndarray) -> np.ndarray:
    return rng.choice([-1.0, 1.0], (8, *like.shape)).astype(np.float32)


def exact(folder: Path, recorded: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A float64 run, as a worker leaves it in a folder."""
    return {**EVERY, "how": "graph", "outputs": entries(folder, recorded)} | fields


def tasks(noise: object = None, reference: object = None) -> dict[str, Any]:
    return {"outputs": {"failure": None, "noise": noise, "reference": reference}}


def measured(folder: Path, noise: object = None, reference: object = None) -> dict[str, Any]:
    """The capture of the later round, as evidence."""
    return {"own": {"outputs": capture(folder, {}, tasks=tasks(noise, reference))}}


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


ENSEMBLE = {"members": 8, "seconds": 60.0, "batches": None}


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_the_first_round_asks_for_nothing_but_predictions(side: str) -> None:
    assert CHECK.ask(subject(side)) is None


@pytest.mark.parametrize(
    ("side", "precision", "options"),
    [
        ("baseline", "as-saved", {"noise": ENSEMBLE, "reference": None}),
        ("candidate", "as-saved", {"noise": None, "reference": None}),
        ("candidate", "bfloat16", {"noise": None, "reference": {"batches": [0], "baseline": None}}),
    ],
)
def test_a_further_cell_is_measured_beside_its_predictions(
    side: str, precision: Any, options: dict[str, Any]
) -> None:
    about = subject(side)
    further = replace(about.cell, variant=Variant(precision=precision, jit="on"))
    baseline = further if side == "baseline" else about.baseline
    task = CHECK.ask(replace(about, cell=further, baseline=baseline))
    assert task is not None
    assert (task.options, task.own) == (options, None)


@pytest.mark.parametrize(("rms", "verdict"), [(1e-5, "rounding"), (5e-6, "suspicious"), (1e-7, "changed")])
def test_drift_is_held_against_the_baselines_ensemble(tmp_path: Path, rms: float, verdict: str) -> None:
    both = sides(tmp_path, {}, {})
    result = examined(*both, baseline=measured(tmp_path / "own", noise(tmp_path / "own", rms)))
    assert worst(result) == verdict
    (output,) = numbers(result).outputs
    assert output.drift is not None
    assert (output.drift.method, output.drift.members, output.drift.rows) == ("operations", 8, 10)
    assert output.noise_max_abs == pytest.approx(rms, rel=0.2)
    assert numbers(result).measurement is None
    assert CHECK.more(subject(), result, Earlier()) is None


def test_samples_without_members_are_held_against_the_noisiest(tmp_path: Path) -> None:
    new = OLD.copy()
    new[9] += np.float32(1e-3)
    both = sides(tmp_path, {}, {"outputs": {"output": new}})
    part = {"batches": [0], "samples": [[0, 4]]}
    own = noise(tmp_path / "own", 1e-7, slice(0, 4), **part)
    result = examined(*both, baseline=measured(tmp_path / "own", own))
    assert worst(result) == "changed"
    (output,) = numbers(result).outputs
    assert output.drift is not None
    assert output.drift.rows == 4
    assert {grain.grain: grain.index for grain in output.drift.grains}["row"] == (9,)


@pytest.mark.parametrize(
    ("answer", "gap"),
    [
        ({"failure": {"stage": "predict", "error": "MemoryError", "message": ""}}, "failed"),
        ({"method": "none", "reason": "no-weights", "outputs": []}, "no-members"),
        (
            {
                "outputs": [
                    {
                        "name": "output",
                        "members": [{"name": "output", "path": "gone", "dtype": "float32", "shape": [10, 4]}],
                    }
                ]
            },
            "failed",
        ),
        ({"samples": [[0, 4]]}, "no-members"),
        ({"samples": [[0, 4], [4, 8], [18, 20]]}, "no-members"),
        ({"samples": [[-4, 6]]}, "no-members"),
        ({"outputs": "many"}, "failed"),
    ],
)
def test_without_an_ensemble_units_decide_and_it_is_known_why(
    tmp_path: Path, answer: dict[str, Any], gap: str
) -> None:
    both = sides(tmp_path, {}, {})
    own = noise(tmp_path / "own", 1e-5, **answer)
    result = examined(*both, baseline=measured(tmp_path / "own", own))
    (output,) = numbers(result).outputs
    assert output.drift is not None
    assert (output.gap, output.drift.method) == (gap, "none")
    assert (output.gap_failure is not None) == (gap == "failed")
    assert worst(result) != "rounding"


def test_a_lost_job_is_a_gap(tmp_path: Path) -> None:
    both = sides(tmp_path, {}, {})
    lost = {"own": {"outputs": failed("killed")}}
    result = examined(*both, baseline=lost, candidate=lost)
    assert numbers(result).outputs[0].gap == "failed"
    assert of_reference(result.findings).failed_side == "baseline"
    assert CHECK.more(subject(), result, Earlier()) is None


def test_a_random_baseline_is_not_compared_and_not_measured(tmp_path: Path) -> None:
    old = {"deterministic": False, "self_difference": SELF}
    result = examined(*sides(tmp_path, old, {}))
    assert worst(result) == "not-compared"
    wavering = [finding for finding in result.findings if isinstance(finding, NondeterministicFinding)]
    assert [(finding.side, finding.outputs[0].max_abs) for finding in wavering] == [("baseline", 0.5)]
    assert CHECK.more(subject(), result, Earlier()) is None


def test_a_baseline_that_wavers_by_rounding_is_measured(tmp_path: Path) -> None:
    old = {"deterministic": False, "self_difference": [{**SELF[0], "max_abs": 1e-7}]}
    both = sides(tmp_path, old, {})
    assert CHECK.more(subject(), examined(*both), Earlier()) is not None
    result = examined(*both, baseline=measured(tmp_path / "own", noise(tmp_path / "own", 1e-5)))
    assert worst(result) == "rounding"


def test_labels_that_rounding_flips_are_ties(tmp_path: Path) -> None:
    old = np.zeros((10, 4), np.int64)
    new = old.copy()
    new[3, 1] = 1
    both = sides(tmp_path, {"outputs": {"output": old}}, {"outputs": {"output": new}})
    for flipped, verdict in ((new, "rounding"), (old, "suspicious")):
        folder = tmp_path / verdict
        described = [{**entry, "name": "output"} for entry in entries(folder, {"a": flipped, "b": old})]
        answer = {**EVERY, "method": "operations", "outputs": [{"name": "output", "members": described}]}
        result = examined(*both, baseline=measured(folder, answer))
        assert worst(result) == verdict


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


def in_float64(tmp_path: Path, delta: float, **fields: Any) -> Any:
    """Evidence of both sides, whose float64 runs are so far apart."""
    wide = OLD.astype(np.float64)
    old = exact(tmp_path / "own-old", {"output": wide})
    new = exact(tmp_path / "own-new", {"output": wide * (1 + delta)}, **fields)
    return {
        "baseline": measured(tmp_path / "own-old", noise(tmp_path / "own-old", 5e-6), old),
        "candidate": measured(tmp_path / "own-new", None, new),
    }


@pytest.mark.parametrize(
    ("delta", "verdict", "kind"),
    [
        (0.0, "rounding", "reference-acquits"),
        (1e-4, "changed", "reference-convicts"),
        (3e-7, "suspicious", None),
    ],
)
def test_float64_decides_between_the_bands(
    tmp_path: Path, delta: float, verdict: str, kind: str | None
) -> None:
    result = examined(*sides(tmp_path, {}, {}), **in_float64(tmp_path, delta))
    assert worst(result) == verdict
    assert [each.kind for each in result.findings if each.kind != "output"] == ([kind] if kind else [])
    distance = numbers(result).outputs[0].reference
    assert distance is not None
    assert distance.delta == pytest.approx(delta)


@pytest.mark.parametrize("fields", [{"how": "reload"}, {"samples": [[0, 4]]}, {"outputs": []}])
def test_other_float64_runs_are_no_reference(tmp_path: Path, fields: dict[str, Any]) -> None:
    result = examined(*sides(tmp_path, {}, {}), **in_float64(tmp_path, 0.0, **fields))
    assert of_reference(result.findings).kind == "reference-missing"
    assert worst(result) == "suspicious"


def test_a_round_of_measuring_is_asked_for_where_bytes_differ(tmp_path: Path) -> None:
    more = CHECK.more(subject(), examined(*sides(tmp_path, {}, {})), Earlier())
    assert more is not None
    assert more.baseline is not None
    assert more.candidate is not None
    reference = {"batches": None, "baseline": None}
    assert more.baseline.options == {"noise": ENSEMBLE, "reference": reference}
    assert more.candidate.options == {"noise": None, "reference": reference}
    assert more.candidate.baseline_folder == "reference.baseline"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({}, {"outputs": {"output": OLD}}),
        ({}, {"outputs": {"output": OLD[:, :2]}}),
        ({"deterministic": False, "self_difference": SELF}, {}),
    ],
)
def test_nothing_is_measured_where_nothing_can_be_told(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert CHECK.more(subject(), examined(*sides(tmp_path, old, new)), Earlier()) is None


@pytest.mark.parametrize("policy", ["bfloat16", "mixed_float16"])
def test_identical_half_precision_runs_in_float64_on_a_batch(tmp_path: Path, policy: str) -> None:
    both = sides(tmp_path, {"policy": policy}, {"policy": policy, "outputs": {"output": OLD}})
    more = CHECK.more(subject(), examined(*both), Earlier())
    assert more is not None
    assert more.baseline is not None
    assert more.baseline.options == {"noise": None, "reference": {"batches": [0], "baseline": None}}


def test_a_random_candidate_does_not_run_in_float64(tmp_path: Path) -> None:
    new = {"deterministic": False, "self_difference": SELF}
    more = CHECK.more(subject(), examined(*sides(tmp_path, {}, new)), Earlier())
    assert more is not None
    assert more.candidate is None


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


def _on(before: str, after: str) -> Earlier:
    """What the check `loading` saw of the processors of both sides."""
    sides = [LoadedSide(surroundings={"processor": name}) for name in (before, after)]
    return Earlier((Examined("loading", LoadingComparison(baseline=sides[0], candidate=sides[1])),))


@pytest.mark.parametrize(
    ("after", "verdict", "rule"), [("A", "identical", "bytes"), ("B", "rounding", "processor")]
)
def test_equal_bytes_of_other_processors_are_no_proof_of_identity(
    tmp_path: Path, after: str, verdict: str, rule: str
) -> None:
    left, right = sides(tmp_path, {}, {"outputs": {"output": OLD}})
    about = subject()
    evidence = Evidence(about.baseline, left), Evidence(about.cell, right)
    result = CHECK.examine(about, *evidence, BANDS, _on("A", after))
    (finding,) = result.findings
    assert isinstance(finding, OutputFinding)
    assert (finding.verdict, finding.rule) == (verdict, rule)


def test_what_differs_on_other_processors_is_judged_by_the_noise(tmp_path: Path) -> None:
    left, right = sides(tmp_path, {}, {})
    about = subject()
    for rms, verdict in ((1e-5, "rounding"), (1e-7, "changed")):
        own = measured(tmp_path / f"own-{rms}", noise(tmp_path / f"own-{rms}", rms))
        evidence = Evidence(about.baseline, left, **own), Evidence(about.cell, right)
        result = CHECK.examine(about, *evidence, BANDS, _on("A", "B"))
        assert worst(result) == verdict
