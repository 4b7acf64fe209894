"""The check `structure` from captures on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from checks.layers.subjects import subject

from validator.checks.protocol import Earlier, Evidence, Examined, Task
from validator.checks.structure import CHECK
from validator.checks.structure.types import (
    MoreStructure,
    StructureComparison,
    StructureFinding,
    StructureNotRecorded,
)
from validator.runner.captures import Capture, read_capture
from validator.verdict.bands import BANDS


def evidence(folder: Path, document: str | None, **answer: Any) -> Evidence:
    folder.mkdir()
    if document is not None:
        (folder / "layers.json").write_text(document)
        answer["path"] = "layers.json"
    tasks = {"structure": {"failure": None, **answer}}
    (folder / "response.json").write_text(
        json.dumps({"schema": 1, "id": "x", "failure": None, "tasks": tasks})
    )
    read = read_capture(folder)
    assert isinstance(read, Capture)
    return Evidence(subject().cell, read)


def norms(epsilon: float) -> str:
    """Five layers in a row, without values."""
    layers: list[dict[str, Any]] = [
        {"name": "model", "class_name": "Functional", "module": "keras.src.models", "container": True}
    ]
    calls: list[dict[str, Any]] = [{"layer": 0, "parent": None, "path": "", "occurrence": 0}]
    for at in range(1, 6):
        facts = {"class_name": "Norm", "module": "keras.src.layers", "config": {"epsilon": epsilon}}
        layers.append({"name": f"norm_{at}", **facts})
        calls.append({"layer": at, "parent": 0, "path": f"norm_{at}", "occurrence": 0})
    document = {"schema": 1, "mode": "traced", "rows": [0], "layers": layers, "calls": calls, "tensors": []}
    return json.dumps(document)


def examined(baseline: Evidence, candidate: Evidence) -> Examined:
    return CHECK.examine(subject(), baseline, candidate, BANDS, Earlier())


def test_every_cell_is_asked() -> None:
    assert CHECK.ask(subject()) == Task()


def test_three_differences_are_reported_and_the_others_counted(tmp_path: Path) -> None:
    result = examined(evidence(tmp_path / "a", norms(1e-3)), evidence(tmp_path / "b", norms(1e-5)))
    assert [item.kind for item in result.findings] == ["structural-difference"] * 3 + [
        "more-structural-differences"
    ]
    assert all(item.verdict is None for item in result.findings)
    first, *_, more = result.findings
    assert isinstance(first, StructureFinding)
    assert (first.difference.layer, first.difference.name, first.difference.after) == (
        "norm_1",
        "epsilon",
        1e-5,
    )
    assert isinstance(more, MoreStructure)
    assert more.count == 2
    assert isinstance(result.comparison, StructureComparison)
    assert [pair.baseline for pair in result.comparison.pairs] == [1, 2, 3, 4, 5]
    assert "pairs" not in result.comparison.model_dump()


def test_a_savedmodel_has_no_structure_and_a_broken_document_is_a_finding(tmp_path: Path) -> None:
    good = evidence(tmp_path / "good", norms(1e-3))
    frozen = examined(good, evidence(tmp_path / "frozen", None, path=None, reason="savedmodel"))
    assert frozen.findings == ()
    assert isinstance(frozen.comparison, StructureComparison)
    assert [(item.side, item.reason) for item in frozen.comparison.missing] == [("candidate", "savedmodel")]
    (finding,) = examined(evidence(tmp_path / "bad", "{"), good).findings
    assert isinstance(finding, StructureNotRecorded)
    assert finding.missing.side == "baseline"
    assert finding.missing.failure is not None
    assert "layers.json" in finding.missing.failure.message
