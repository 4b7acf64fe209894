"""Is what runs what the file holds?

In come the responses of both sides; out go findings on artifacts that do not load, on what a file holds and
the model does not, on what the two processes ran under, notes of the workers, and tasks that were lost.
`BaselineFailed` and `CellFailed` are for a side without a capture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from validator.checks.bands import Bands
from validator.checks.loading.types import (
    SIDES,
    ArtifactFinding,
    BaselineFailed,
    BuilderSetting,
    CellFailed,
    CompilationFinding,
    InputsFedFinding,
    Leftover,
    LeftoverFinding,
    LoadedSide,
    LoadingComparison,
    NoteFinding,
    SettingFinding,
    ShardMissing,
    Side,
    StateFinding,
    SurroundingsFinding,
    WarningFinding,
)
from validator.checks.protocol import Check, Earlier, Evidence, Finding, Subject
from validator.failure import Failure, WeightsAccount
from validator.matrix.variants import own_setting
from validator.runner.captures import WorkerFailure

__all__ = ["CHECK", "BaselineFailed", "CellFailed"]

#: The worker's notes that leave a question open: tasks lost with it, a `predict` that is not called.
_NOTES: dict[str, Literal["tasks-lost", "own-predict"]] = {"tasks": "tasks-lost", "predict": "own-predict"}
_WARNINGS = 3  # in full; the others are counted
_LEFTOVERS: dict[Leftover, Callable[[WeightsAccount], bool]] = {
    "tensors-not-used": lambda weights: weights.unused_count > 0,
    "optimizer-not-restored": lambda weights: weights.optimizer_restored < weights.optimizer_saved,
}


class Loading(Check[LoadedSide, LoadingComparison]):
    """The check `loading`."""

    name = "loading"
    comparison = LoadingComparison
    findings = (
        ArtifactFinding,
        CompilationFinding,
        LeftoverFinding,
        SurroundingsFinding,
        WarningFinding,
        SettingFinding,
        InputsFedFinding,
        StateFinding,
        NoteFinding,
        BaselineFailed,
        CellFailed,
        ShardMissing,
    )

    def read(self, evidence: Evidence) -> LoadedSide:
        """How one side's model came to be."""
        response = evidence.capture.response
        return LoadedSide(
            loaded_from=response.loaded_from,
            artifact_failure=_failure(response.artifact_failure),
            compile_failure=_failure(response.compile_failure),
            weights=response.weights,
            notes=response.notes,
            warnings=response.warnings,
            surroundings=response.surroundings,
            listed=response.listed or (),
            state=response.state,
        )

    def compare(
        self, subject: Subject, baseline: LoadedSide, candidate: LoadedSide, earlier: Earlier
    ) -> LoadingComparison:
        """Both sides, and what the cell's own setting and place in the matrix brought about."""
        model, variant = subject.model, subject.cell.variant
        own = own_setting(model, variant)
        setting = None
        if own.builder_arguments and model.artifact is not None:
            builder = model.builder or ""
            setting = BuilderSetting(
                setting=variant.setting, builder=builder, arguments=own.builder_arguments
            )
        return LoadingComparison(
            baseline=baseline, candidate=candidate, setting=setting, expected=_expected(subject)
        )

    def find(self, comparison: LoadingComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """What is worth knowing; of the baseline's notes only what leaves a question open: others recur."""
        setting = (SettingFinding(setting=comparison.setting),) if comparison.setting else ()
        notes = [*_notes("candidate", comparison.candidate), *_notes("baseline", comparison.baseline)]
        return (
            *_not_loaded(comparison),
            *_left_over(comparison),
            *_surroundings(comparison),
            *_warnings(comparison),
            *setting,
            *_fed(comparison),
            *(note for note in notes if note.side == "candidate" or note.kind != "worker-note"),
        )


def _fed(comparison: LoadingComparison) -> Iterator[Finding]:
    """How the model was fed, where that makes a difference."""
    sides = dict(zip(SIDES, (comparison.baseline, comparison.candidate), strict=True))
    for side, loaded in sides.items():
        if loaded.listed:
            yield InputsFedFinding(side=side, outputs=loaded.listed)
    layers = tuple(dict.fromkeys((*comparison.baseline.state, *comparison.candidate.state)))
    if layers:
        yield StateFinding(layers=layers)


def _failure(failure: WorkerFailure | None) -> Failure | None:
    return failure.failure() if failure else None


def _expected(subject: Subject) -> tuple[str, ...]:
    """Variables that the matrix itself, or the setting that is under test, makes different."""
    environments = subject.plan.environments
    axes = {axis for each in environments if each.name == subject.cell.environment for axis, _ in each.axes}
    own = own_setting(subject.model, subject.cell.variant).variables
    return (*own, *(["TF_ENABLE_ONEDNN_OPTS"] if "onednn" in axes else []))


def _not_loaded(comparison: LoadingComparison) -> Iterator[Finding]:
    """Artifacts and compilations. Where one side alone has them, the two did not run the same file."""
    sides = {side: _of(comparison, side) for side in reversed(SIDES)}
    artifacts = {side: loaded.artifact_failure for side, loaded in sides.items() if loaded.artifact_failure}
    for side, failure in artifacts.items():
        yield ArtifactFinding(
            side=side, failure=failure, verdict="suspicious" if len(artifacts) == 1 else None
        )
    compilations = {side: loaded.compile_failure for side, loaded in sides.items() if loaded.compile_failure}
    for side, failure in compilations.items():
        yield CompilationFinding(
            side=side, failure=failure, verdict="metric-only" if len(compilations) == 1 else None
        )


def _left_over(comparison: LoadingComparison) -> Iterator[Finding]:
    for kind, is_left in _LEFTOVERS.items():
        accounts = {side: _of(comparison, side).weights for side in SIDES}
        left = [(side, account) for side, account in accounts.items() if account and is_left(account)]
        if left:
            yield LeftoverFinding(
                kind=kind, side="both" if len(left) == 2 else left[0][0], weights=left[-1][1]
            )


def _surroundings(comparison: LoadingComparison) -> Iterator[Finding]:
    """Settings that differ. What a backend says of itself is compared where both sides say it."""
    before, after = comparison.baseline.surroundings, comparison.candidate.surroundings
    for name in sorted(before.keys() | after.keys()) if before and after else ():
        values = before.get(name), after.get(name)
        is_variable = name.isupper()
        comparable = is_variable or None not in values
        if values[0] != values[1] and comparable and name not in comparison.expected:
            yield SurroundingsFinding(name=name, baseline=values[0], candidate=values[1])


def _warnings(comparison: LoadingComparison) -> Iterator[Finding]:
    known = {warning.key for warning in comparison.baseline.warnings}
    new = [warning for warning in comparison.candidate.warnings if warning.key not in known]
    for place, warning in enumerate(new[:_WARNINGS], 1):
        more = len(new) - _WARNINGS if place == _WARNINGS else 0
        yield WarningFinding(warning=warning, more=more)


def _notes(side: Side, loaded: LoadedSide) -> Iterator[NoteFinding]:
    for note in loaded.notes:
        yield NoteFinding(
            kind=_NOTES.get(note.kind, "worker-note"),
            side=side,
            note=note.kind,
            text=note.message,
        )


def _of(comparison: LoadingComparison, side: Side) -> LoadedSide:
    return comparison.baseline if side == "baseline" else comparison.candidate


CHECK = Loading()
