"""The check `loading`: what ran, where it came from, and what was lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.checks.outputs.output_cases import OLD, capture, failed, subject
from validator.checks.loading import CHECK, BaselineFailed, CellFailed
from validator.checks.loading.types import ArtifactFinding, LoadingComparison, NoteFinding, SettingFinding
from validator.checks.protocol import Earlier, Evidence, Examined, Subject
from validator.matrix.variants import Variant
from validator.verdict.bands import BANDS
from validator.verdict.results import CellResult

BROKEN = {"stage": "load", "error": "ValueError", "message": "Unknown layer"}
NOTES = [{"kind": "compile", "message": "no loss"}, {"kind": "tasks", "message": "noise was lost"}]


def examined(folder: Path, about: Subject | None = None, **responses: dict[str, Any]) -> Examined:
    cell = about or subject()
    left, right = (
        Evidence(cell.cell, capture(folder / side, {"output": OLD}, **responses.get(side, {})))
        for side in ("baseline", "candidate")
    )
    return CHECK.examine(cell, left, right, BANDS, Earlier())


def test_a_clean_load_has_nothing_to_say(tmp_path: Path) -> None:
    result = examined(tmp_path, candidate={"loaded_from": "artifact"})
    assert result.findings == ()
    assert isinstance(result.comparison, LoadingComparison)
    assert result.comparison.candidate.loaded_from == "artifact"


def test_an_artifact_that_does_not_load_on_a_side(tmp_path: Path) -> None:
    built = {"artifact_failure": BROKEN, "loaded_from": "builder"}
    result = examined(tmp_path, candidate=built, baseline=built)
    assert [
        (found.side, found.failure.error) for found in result.findings if isinstance(found, ArtifactFinding)
    ] == [
        ("candidate", "ValueError"),
        ("baseline", "ValueError"),
    ]


def test_notes_of_the_candidate_and_lost_tasks_of_both(tmp_path: Path) -> None:
    result = examined(tmp_path, candidate={"notes": NOTES}, baseline={"notes": NOTES})
    notes = [found for found in result.findings if isinstance(found, NoteFinding)]
    assert [(note.kind, note.side, note.note) for note in notes] == [
        ("worker-note", "candidate", "compile"),
        ("tasks-lost", "candidate", "tasks"),
        ("tasks-lost", "baseline", "tasks"),
    ]
    assert notes[0].text == "no loss"


def test_a_setting_with_builder_arguments_builds_the_model(tmp_path: Path) -> None:
    model = {
        "artifact": "m.keras",
        "weights": "m.weights.h5",
        "settings": {"causal": {"builder_arguments": {"causal": True}}},
    }
    result = examined(tmp_path, subject(variant=Variant(setting="causal"), **model))
    (found,) = result.findings
    assert isinstance(found, SettingFinding)
    assert (found.setting.setting, found.setting.arguments) == ("causal", {"causal": True})


def test_sides_without_a_capture_survive_json() -> None:
    findings = (
        BaselineFailed(failure=failed(), verdict="not-compared"),
        CellFailed(failure=failed(), verdict="failed"),
    )
    cell = CellResult(cell="m", environment="e", variant="", verdict="failed", findings=findings)
    assert CellResult.model_validate_json(cell.model_dump_json()).findings == findings
