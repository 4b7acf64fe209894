"""The check `layers` from captures on disk: when it asks, for what, and what it makes of the answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.layers.subjects import MOVED, STEADY, subject

from validator.checks.layers import CHECK
from validator.checks.layers.types import (
    Cause,
    FirstDifference,
    LayersComparison,
    LayersNotRecorded,
    LayerTable,
    ReplayIncomplete,
)
from validator.checks.outputs.types import OutputsComparison
from validator.checks.protocol import Earlier, Evidence, Examined, Finding, OwnJob
from validator.checks.structure.types import CallPair, NotRecorded, StructureComparison
from validator.failure import Failure
from validator.runner.captures import Capture, read_capture
from validator.verdict.bands import BANDS

STRUCTURE = Examined(
    "structure", StructureComparison(pairs=(CallPair(candidate=1, baseline=1, path="dense"),))
)
EARLIER = Earlier((STRUCTURE, MOVED))


def capture(folder: Path, answer: dict[str, Any] | None = None) -> Capture:
    """A job that left this answer of its task `layers`."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {} if answer is None else {"layers": answer}
    response = {"schema": 1, "id": "model@environment", "failure": None, "tasks": tasks}
    (folder / "response.json").write_text(json.dumps(response))
    read = read_capture(folder)
    assert isinstance(read, Capture)
    return read


def recorded(
    folder: Path, shift: float, replay: dict[str, Any] | None = None, rows: tuple[int, ...] = (0, 3)
) -> Capture:
    """A model of one layer, `dense`, whose result is shifted; its last row is masked."""
    values = np.ones((2, 3), np.float32)
    values[0] += shift
    mask = np.array([True, False])
    (folder / "layers").mkdir(parents=True)
    np.save(folder / "layers" / "0.npy", values)
    np.save(folder / "layers" / "1.npy", mask)
    facts = {"count": 6, "hash": f"shifted by {shift}"}
    entry = {"name": "0", "storage": "npy", "path": "layers/0.npy", "dtype": "float32", "shape": [2, 3]}
    kept = {"name": "1", "storage": "npy", "path": "layers/1.npy", "dtype": "bool", "shape": [2]}
    given = {"name": "inputs", "positional": True, "value": {"t": 0}}
    tensors = [
        {"dtype": "float32", "shape": [2, 3], "summary": {"count": 6, "hash": "input"}},
        {
            "dtype": "float32",
            "shape": [2, 3],
            "producer": 1,
            "stored": entry,
            "summary": facts,
            "noise_rms": 1e-6,
        },
        {"dtype": "bool", "shape": [2], "stored": kept, "summary": {"count": 2, "hash": "mask"}},
    ]
    result = {"t": 1, "m": 2}
    calls = [
        {"layer": 0, "parent": None, "path": "", "occurrence": 0, "arguments": [given], "result": result},
        {"layer": 1, "parent": 0, "path": "dense", "occurrence": 0, "arguments": [given], "result": result},
    ]
    layers = [
        {"name": "model", "class_name": "Functional", "module": "keras.src.models", "container": True},
        {"name": "dense", "class_name": "Dense", "module": "keras.src.layers"},
    ]
    document = {
        "schema": 1,
        "mode": "traced",
        "rows": rows,
        "layers": layers,
        "calls": calls,
        "tensors": tensors,
    }
    (folder / "layers" / "layers.json").write_text(json.dumps(document))
    answer = {"failure": None, "path": "layers/layers.json", "rows": rows, "members": 2, "calls": 2}
    return capture(folder, {**answer, "replay": replay})


def replay(rms: float, left: int = 0) -> dict[str, Any]:
    output = {"path": "", "dtype": "float32", "same": False, "rms": rms, "max_abs": rms, "nonfinite": 0}
    calls = [{"call": 1, "failure": None, "outputs": [{**output, "rms_baseline": 1.0, "noise_rms": 1e-6}]}]
    return {"left": left, "calls": calls}


def examined(baseline: Capture | Failure, candidate: Capture | Failure, folder: Path) -> Examined:
    first = capture(folder / "predictions")
    cell = subject().cell
    sides = Evidence(cell, first, {"layers": baseline}), Evidence(cell, first, {"layers": candidate})
    return CHECK.examine(subject(), *sides, BANDS, EARLIER)


def first_round(folder: Path, *parts: Examined) -> Examined:
    evidence = Evidence(subject().cell, capture(folder))
    return CHECK.examine(subject(), evidence, evidence, BANDS, Earlier(parts))


def first_cause(examined: Examined) -> Cause:
    return next(item.cause for item in examined.findings if isinstance(item, FirstDifference))


def test_only_a_cell_that_moved_is_followed_up(tmp_path: Path) -> None:
    assert first_round(tmp_path, STRUCTURE, STEADY) == Examined("layers", None)
    metric = Examined("accuracy", None, (Finding(check="accuracy", kind="m", verdict="failed"),))
    assert first_round(tmp_path, STRUCTURE, MOVED, metric).comparison is None
    assert first_round(tmp_path, STRUCTURE, MOVED) == Examined("layers", LayersComparison())


def test_the_follow_up_replays_the_candidate_on_what_the_baseline_recorded(tmp_path: Path) -> None:
    asked = CHECK.more(subject(), first_round(tmp_path, STRUCTURE, MOVED), EARLIER)
    assert asked is not None
    assert asked.baseline is not None
    assert asked.candidate is not None
    assert (asked.baseline.options, asked.baseline.own) == ({"noise": 2, "rows": []}, OwnJob())
    assert asked.candidate.options == {"noise": 0, "rows": [], "pairs": [[1, 1, "dense"]]}
    assert asked.candidate.baseline_folder == "baseline"


def test_without_a_structure_there_is_no_follow_up_and_a_reason(tmp_path: Path) -> None:
    missing = NotRecorded(side="baseline", reason="savedmodel")
    structure = Examined("structure", StructureComparison(missing=(missing,)))
    result = first_round(tmp_path, structure, MOVED)
    assert result.findings == (LayersNotRecorded(missing=missing),)
    assert CHECK.more(subject(), result, Earlier((structure, MOVED))) is None


def test_a_layer_that_diverges_is_the_first_difference(tmp_path: Path) -> None:
    sides = recorded(tmp_path / "old", 0.0), recorded(tmp_path / "new", 1e-3, replay(4e-4, left=7))
    first, table, left = examined(*sides, tmp_path).findings
    assert isinstance(first, FirstDifference)
    assert (first.cause.layer, first.cause.differs, first.cause.ratio) == (
        "dense",
        "value",
        pytest.approx(400),
    )
    assert isinstance(table, LayerTable)
    (row,) = table.rows
    assert (row.kind, row.replayed) == ("value", pytest.approx(400))
    assert row.full_pass == pytest.approx(1e-3 / 2**0.5 / 1e-6, rel=1e-3)
    assert (row.valid, row.padded) == (pytest.approx(1000, rel=1e-3), 0.0)
    assert left == ReplayIncomplete(layers=7)


def test_the_cause_has_the_samples_that_moved_and_the_largest_difference(tmp_path: Path) -> None:
    sides = recorded(tmp_path / "old", 0.0), recorded(tmp_path / "new", 1e-3, replay(4e-4))
    cause = first_cause(examined(*sides, tmp_path))
    assert (cause.samples, cause.example) == ((0,), (1.0, pytest.approx(1.001)))
    assert (cause.nonfinite, cause.unequal) == (None, 0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_number_are_counted_on_both_sides(tmp_path: Path, value: float) -> None:
    sides = recorded(tmp_path / "old", value), recorded(tmp_path / "new", 0.0)
    cause = first_cause(examined(*sides, tmp_path))
    assert (cause.layer, cause.differs, cause.ratio) == ("dense", "value", 0.0)
    assert (cause.nonfinite, cause.size, cause.samples, cause.example) == ((3, 0), 6, (0,), None)


def test_numbers_of_every_call_stay_out_of_the_report(tmp_path: Path) -> None:
    comparison = examined(
        recorded(tmp_path / "old", 0.0), recorded(tmp_path / "new", 1e-3), tmp_path
    ).comparison
    assert isinstance(comparison, LayersComparison)
    assert len(comparison.calls) == 2
    (node,) = comparison.nodes
    assert (node.layer, node.feeds, node.dtype) == ("dense", (-1,), "float32")
    dumped = comparison.model_dump(exclude={"nodes"})
    assert dumped == {"samples": (0, 3), "missing": (), "replayed": False, "left": 0}


def test_other_samples_are_not_compared(tmp_path: Path) -> None:
    (finding,) = examined(
        recorded(tmp_path / "old", 0.0), recorded(tmp_path / "new", 0.0, rows=(1, 2)), tmp_path
    ).findings
    assert isinstance(finding, LayersNotRecorded)
    assert (finding.missing.side, finding.missing.reason) == ("candidate", "other-samples")


def test_what_is_lost_or_broken_is_a_finding(tmp_path: Path) -> None:
    old, new = recorded(tmp_path / "old", 0.0), recorded(tmp_path / "new", 1e-3)
    lost = Failure(stage="timeout", error="worker", message="it took too long")
    findings = [*examined(old, lost, tmp_path).findings]
    (tmp_path / "new" / "layers" / "0.npy").unlink()
    findings += examined(old, new, tmp_path).findings
    (tmp_path / "new" / "layers" / "layers.json").write_text("{}")
    findings += examined(old, new, tmp_path).findings
    findings += examined(capture(tmp_path / "none"), new, tmp_path).findings
    reasons = [
        (item.missing.side, item.missing.failure.error if item.missing.failure else item.missing.reason)
        for item in findings
        if isinstance(item, LayersNotRecorded)
    ]
    assert reasons == [
        ("candidate", "worker"),
        ("both", "capture"),
        ("candidate", "capture"),
        ("baseline", "no-answer"),
    ]


def test_the_worst_samples_are_recorded_on_both_sides(tmp_path: Path) -> None:
    outputs = OutputsComparison(samples=(9, 9), moved=(4, 6, 1, 0, 8))
    predictions = Examined("outputs", outputs, MOVED.findings)
    earlier = Earlier((STRUCTURE, predictions))
    asked = CHECK.more(subject(), first_round(tmp_path, STRUCTURE, MOVED), earlier)
    assert asked is not None
    assert asked.baseline is not None
    assert asked.candidate is not None
    assert asked.baseline.options["rows"] == asked.candidate.options["rows"] == [4, 6, 1, 0, 8]
