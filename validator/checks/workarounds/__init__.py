"""Which setting restores parity? Cells that moved are run under other settings, on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from validator.checks.accuracy import CHECK as ACCURACY
from validator.checks.accuracy.types import AccuracyComparison, MetricResult
from validator.checks.bands import Bands, CellVerdict
from validator.checks.outputs import CHECK as OUTPUTS
from validator.checks.outputs.matching import match_outputs
from validator.checks.protocol import Check, Earlier, Evidence, Finding, FollowUp, Subject
from validator.checks.workarounds.candidates import Candidate, candidates
from validator.checks.workarounds.types import (
    Effect,
    Score,
    Trial,
    Workaround,
    WorkaroundFailed,
    WorkaroundNotRun,
    WorkaroundsComparison,
)
from validator.failure import Failure
from validator.matrix import Cell
from validator.numbers.distance import compare_tensors

#: Verdicts of a trial that restore parity. With `metric-only` the predictions agree.
_AGREE: frozenset[CellVerdict] = frozenset({"identical", "rounding", "metric-only"})
_ASKS: frozenset[CellVerdict] = frozenset({"suspicious", "changed"})

Pair = tuple[Evidence | Failure, Evidence | Failure]


@dataclass(frozen=True)
class _Recording:
    """What both sides have of the search: how the model was loaded, and further cells that were captured."""

    evidence: Evidence
    policy: str | None
    jit: bool | None
    further: Mapping[Cell, Pair]


class Workarounds(Check[_Recording, WorkaroundsComparison]):
    """Settings under which a cell that moved agrees with its baseline again, each verified by running it."""

    name = "workarounds"
    comparison = WorkaroundsComparison
    findings = (Workaround, WorkaroundFailed, WorkaroundNotRun)

    def read(self, evidence: Evidence) -> _Recording:
        """The loaded model's policy and compilation, and the cells run in its place."""
        response = evidence.capture.response
        jit = response.jit if isinstance(response.jit, bool) else None
        return _Recording(evidence, response.policy, jit, evidence.further)

    def compare(
        self, subject: Subject, baseline: _Recording, candidate: _Recording, earlier: Earlier
    ) -> WorkaroundsComparison | None:
        """Every setting that has been run; None for a cell that did not move, or without a search.

        None, too, where the model itself is another: no setting is meant to undo that.
        """
        searched = subject.settings.parity.search and subject.is_about_packages
        if not searched or not _moved(subject.bands, earlier):
            return None
        trials = tuple(
            _trial(subject, setting, candidate.further[setting.cell], baseline.evidence, earlier)
            for setting in candidates(subject, baseline.policy, baseline.jit)
            if setting.cell in candidate.further
        )
        return WorkaroundsComparison(trials=trials, policy=baseline.policy, jit=baseline.jit)

    def find(self, comparison: WorkaroundsComparison, bands: Bands, earlier: Earlier) -> tuple[Finding, ...]:
        """One finding a trial; those that restore parity first."""
        restored = [Workaround(trial=trial) for trial in comparison.trials if trial.verdict in _AGREE]
        failed = [
            WorkaroundFailed(trial=trial)
            for trial in comparison.trials
            if trial.verdict is not None and trial.verdict not in _AGREE
        ]
        unrun = [WorkaroundNotRun(trial=trial) for trial in comparison.trials if trial.verdict is None]
        return (*restored, *failed, *unrun)

    def follow_up(
        self,
        subject: Subject,
        comparison: WorkaroundsComparison,
        findings: Sequence[Finding],
        earlier: Earlier,
    ) -> FollowUp | None:
        """The settings that the matrix does not hold, but on axes where one of its cells restores parity."""
        solved = {trial.axis for trial in comparison.trials if trial.verdict in _AGREE} - {"setting"}
        cells = tuple(
            setting.cell
            for setting in candidates(subject, comparison.policy, comparison.jit)
            if setting.cell not in subject.plan.cells and setting.axis not in solved
        )
        return FollowUp(cells=cells, seconds=subject.settings.parity.seconds) if cells else None


def _moved(bands: Bands, earlier: Earlier) -> bool:
    findings = (*earlier.findings("outputs"), *earlier.findings("accuracy"))
    return bands.worst(finding.verdict for finding in findings) in _ASKS


def _trial(subject: Subject, setting: Candidate, pair: Pair, unchanged: Evidence, earlier: Earlier) -> Trial:
    """What a setting came to, from the captures of both sides under it."""
    trial = Trial(axis=setting.axis, value=setting.value, setting=setting.setting, cell=setting.cell.id)
    baseline, candidate = pair
    if isinstance(baseline, Failure):
        return trial.model_copy(update={"failure": baseline, "failed_side": "baseline"})
    if isinstance(candidate, Failure):
        return trial.model_copy(update={"failure": candidate, "failed_side": "candidate"})
    under = replace(subject, cell=setting.cell, baseline=subject.plan.baseline_of(setting.cell))
    outputs = OUTPUTS.examine(under, baseline, candidate, subject.bands, Earlier())
    accuracy = ACCURACY.examine(under, baseline, candidate, subject.bands, Earlier((outputs,)))
    verdicts = [finding.verdict for finding in (*outputs.findings, *accuracy.findings)]
    return trial.model_copy(
        update={
            "verdict": subject.bands.worst(verdicts),
            "effect": _effect(unchanged, baseline),
            "score": _score(earlier, Earlier((accuracy,))),
        }
    )


def _score(before: Earlier, after: Earlier) -> Score | None:
    saved, changed = _metric(before), _metric(after)
    if saved is None or changed is None:
        return None
    return Score(metric=changed.metric, before=saved.baseline, after=changed.baseline)


def _metric(earlier: Earlier) -> MetricResult | None:
    accuracy = earlier.comparison(AccuracyComparison)
    return accuracy.metrics[0] if accuracy and accuracy.metrics else None


def _effect(unchanged: Evidence, changed: Evidence) -> Effect:
    """What the setting does to the baseline's own predictions."""
    match = match_outputs(unchanged.capture.outputs, changed.capture.outputs)
    every = (compare_tensors(pair.baseline, pair.candidate) for pair in match.pairs)
    compared = [numbers for numbers in every if numbers.compared]
    counted = [numbers for numbers in compared if numbers.flips is not None and numbers.rows is not None]
    return Effect(
        max_abs=max((numbers.max_abs for numbers in compared if numbers.max_abs is not None), default=None),
        top1_changes=sum(numbers.flips or 0 for numbers in counted) if counted else None,
        rows=sum(numbers.rows or 0 for numbers in counted) if counted else None,
    )


CHECK = Workarounds()
