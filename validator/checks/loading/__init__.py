"""Is what runs what the file holds?

In come the responses of both sides; out go findings on artifacts that do not load, notes of the workers, and
tasks that were lost. `BaselineFailed` and `CellFailed` are for a side without a capture.
"""

from __future__ import annotations

from collections.abc import Iterator

from validator.checks.bands import Bands
from validator.checks.loading.types import (
    ArtifactFinding,
    BaselineFailed,
    BuilderSetting,
    CellFailed,
    LoadedSide,
    LoadingComparison,
    NoteFinding,
    SettingFinding,
    Side,
)
from validator.checks.protocol import Check, Earlier, Evidence, Finding, Subject
from validator.matrix.variants import own_setting

__all__ = ["CHECK", "BaselineFailed", "CellFailed"]

_LOST = "tasks"  # the worker's kind of note for tasks that were lost with it


class Loading(Check[LoadedSide, LoadingComparison]):
    """The check `loading`."""

    name = "loading"
    comparison = LoadingComparison
    findings = (ArtifactFinding, SettingFinding, NoteFinding, BaselineFailed, CellFailed)

    def read(self, evidence: Evidence) -> LoadedSide:
        """How one side's model came to be."""
        response = evidence.capture.response
        failure = response.artifact_failure.failure() if response.artifact_failure else None
        return LoadedSide(loaded_from=response.loaded_from, artifact_failure=failure, notes=response.notes)

    def compare(
        self, subject: Subject, baseline: LoadedSide, candidate: LoadedSide, earlier: Earlier
    ) -> LoadingComparison:
        """Both sides, and the setting that had the model built."""
        model, variant = subject.model, subject.cell.variant
        arguments = own_setting(model, variant).builder_arguments
        setting = None
        if arguments and model.artifact is not None:
            builder = model.builder or ""
            setting = BuilderSetting(setting=variant.setting, builder=builder, arguments=arguments)
        return LoadingComparison(baseline=baseline, candidate=candidate, setting=setting)

    def find(self, comparison: LoadingComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """What is worth knowing; of the baseline's notes only lost tasks, since the others recur."""
        setting = (SettingFinding(setting=comparison.setting),) if comparison.setting else ()
        candidate, baseline = _of("candidate", comparison.candidate), _of("baseline", comparison.baseline)
        return (*setting, *candidate, *(finding for finding in baseline if finding.kind != "worker-note"))


def _of(side: Side, loaded: LoadedSide) -> Iterator[Finding]:
    if loaded.artifact_failure is not None:
        yield ArtifactFinding(side=side, failure=loaded.artifact_failure)
    for note in loaded.notes:
        yield NoteFinding(
            kind="tasks-lost" if note.kind == _LOST else "worker-note",
            side=side,
            note=note.kind,
            text=note.message,
        )


CHECK = Loading()
