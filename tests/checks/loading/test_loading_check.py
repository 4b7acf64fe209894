"""The check `loading`: what ran, where it came from, and what was lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.checks.outputs.output_cases import OLD, capture, failed, subject
from validator.checks.loading import CHECK, BaselineFailed, CellFailed
from validator.checks.loading.types import (
    ArtifactFinding,
    LeftoverFinding,
    LoadingComparison,
    NoteFinding,
    SettingFinding,
    SurroundingsFinding,
    WarningFinding,
    are_other_processors,
)
from validator.checks.protocol import Earlier, Evidence, Examined, Subject
from validator.matrix.variants import Variant
from validator.verdict.bands import BANDS
from validator.verdict.results import CellResult

BROKEN = {"stage": "load", "error": "ValueError", "message": "Unknown layer"}
NOTES = [
    {"kind": "compile", "message": "no loss"},
    {"kind": "tasks", "message": "noise was lost"},
    {"kind": "predict", "message": "not called"},
]


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


def test_notes_of_the_candidate_and_open_questions_of_both(tmp_path: Path) -> None:
    result = examined(tmp_path, candidate={"notes": NOTES}, baseline={"notes": NOTES})
    notes = [found for found in result.findings if isinstance(found, NoteFinding)]
    assert [(note.kind, note.side, note.note) for note in notes] == [
        ("worker-note", "candidate", "compile"),
        ("tasks-lost", "candidate", "tasks"),
        ("own-predict", "candidate", "predict"),
        ("tasks-lost", "baseline", "tasks"),
        ("own-predict", "baseline", "predict"),
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


def account(**fields: Any) -> dict[str, Any]:
    return {"weights": {"file": "m.h5", "variables": 4, **fields}}


def test_what_loads_on_one_side_only_is_never_green(tmp_path: Path) -> None:
    built = {"artifact_failure": BROKEN, "loaded_from": "builder"}
    (artifact,) = examined(tmp_path / "a", candidate=built).findings
    assert (artifact.kind, artifact.verdict) == ("artifact-not-loaded", "suspicious")
    (artifact,) = examined(tmp_path / "b", baseline=built).findings
    assert (artifact.kind, artifact.verdict) == ("artifact-not-loaded", "suspicious")
    lost = {"compile_failure": {**BROKEN, "stage": "compile", "hint": "compilation"}}
    (compilation,) = examined(tmp_path / "c", candidate=lost).findings
    assert (compilation.kind, compilation.verdict) == ("compilation-not-loaded", "metric-only")
    both = examined(tmp_path / "d", candidate=lost, baseline=lost)
    assert [finding.verdict for finding in both.findings] == [None, None]


def test_what_a_file_holds_and_nothing_took(tmp_path: Path) -> None:
    left = account(unused=["layers/x/vars/0"], unused_count=1)
    (found,) = examined(tmp_path / "a", candidate=left, baseline=left).findings
    assert isinstance(found, LeftoverFinding)
    assert (found.kind, found.side) == ("tensors-not-used", "both")
    state = account(optimizer_saved=10, optimizer_restored=2)
    whole = account(optimizer_saved=10, optimizer_restored=10)
    (found,) = examined(tmp_path / "b", candidate=state, baseline=whole).findings
    assert isinstance(found, LeftoverFinding)
    assert (found.kind, found.side) == ("optimizer-not-restored", "candidate")


def warning(key: str) -> dict[str, str]:
    return {"phase": "load", "category": "UserWarning", "message": f"{key} at 0x7f", "key": key}


def test_warnings_of_the_candidate_alone_the_first_in_full(tmp_path: Path) -> None:
    result = examined(
        tmp_path,
        baseline={"warnings": [warning("known"), warning("gone")]},
        candidate={"warnings": [warning(key) for key in ("known", "a", "b", "c", "d", "e")]},
    )
    shown = [found for found in result.findings if isinstance(found, WarningFinding)]
    assert [(found.warning.key, found.more) for found in shown] == [("a", 0), ("b", 0), ("c", 2)]


def test_what_the_processes_ran_under(tmp_path: Path) -> None:
    result = examined(
        tmp_path,
        baseline={"surroundings": {"floatx": "float32", "OMP_NUM_THREADS": "1", "threads": "0 and 0"}},
        candidate={"surroundings": {"floatx": "float64", "TF_X": "1", "x64": "False"}},
    )
    shown = [found for found in result.findings if isinstance(found, SurroundingsFinding)]
    assert [(found.name, found.baseline, found.candidate) for found in shown] == [
        ("OMP_NUM_THREADS", "1", None),
        ("TF_X", None, "1"),
        ("floatx", "float32", "float64"),
    ]


def test_a_variable_of_the_setting_under_test_is_no_surprise(tmp_path: Path) -> None:
    about = subject(variant=Variant(setting="quiet"), settings={"quiet": {"variables": {"TF_X": "1"}}})
    result = examined(
        tmp_path, about, baseline={"surroundings": {"a": "b"}}, candidate={"surroundings": {"TF_X": "1"}}
    )
    assert result.findings == ()


def test_other_processors_are_named_and_bits_are_then_not_comparable(tmp_path: Path) -> None:
    milan = {"processor": "AMD EPYC 7763", "instruction sets": "avx avx2 fma"}
    icelake = {"processor": "Intel Xeon 8370C", "instruction sets": "avx avx2 avx512f fma"}
    result = examined(tmp_path, baseline={"surroundings": milan}, candidate={"surroundings": icelake})
    shown = [found for found in result.findings if isinstance(found, SurroundingsFinding)]
    assert [(found.name, found.baseline, found.candidate) for found in shown] == [
        ("instruction sets", "avx avx2 fma", "avx avx2 avx512f fma"),
        ("processor", "AMD EPYC 7763", "Intel Xeon 8370C"),
    ]
    assert isinstance(result.comparison, LoadingComparison)
    assert result.comparison.other_processor


@pytest.mark.parametrize(
    ("after", "other"),
    [
        ({"processor": "A", "instruction sets": "avx"}, False),
        ({"processor": "B", "instruction sets": "avx"}, True),
        ({"processor": "A", "instruction sets": "avx avx2"}, True),
        ({"cores": "4"}, False),
        ({}, False),
    ],
)
def test_what_makes_another_processor(after: dict[str, str], other: bool) -> None:
    before = {"processor": "A", "instruction sets": "avx", "cores": "2"}
    assert are_other_processors(before, after) is other
