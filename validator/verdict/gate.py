"""The verdict of a run: what the gate fails on, what only warns, and when nothing can be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, cast, get_args

from validator.checks.accuracy.types import AccuracyComparison, EvaluateFailedFinding, UnscoredFinding
from validator.checks.bands import CellVerdict
from validator.checks.decode.types import DecodeVerdict
from validator.checks.loading.types import BaselineFailed, ShardMissing
from validator.checks.outputs.types import NondeterministicFinding
from validator.checks.training.types import TrainingVerdict
from validator.config.settings import Gate, GateRule
from validator.errors import Exit
from validator.failure import UNJUDGED
from validator.matrix import by_version
from validator.upgrade import ModelReason
from validator.verdict.bands import ASIDE, BANDS, BREAKS, GREEN, SEVERITY, Aside
from validator.verdict.results import CellResult, ModelResult, Reason, Report, Verdict

#: Models without a counterpart: a run with one is no plain pass.
_UNCOMPARED: dict[str, Literal["model-added", "model-removed"]] = {
    "added": "model-added",
    "removed": "model-removed",
}
#: Findings that leave open whether all that was asked for is known.
_OPEN = frozenset({"tasks-lost", "own-predict", "unscored", "evaluate-failed", "tensors-not-used"})
EXIT_CODES: dict[Verdict, Exit] = {
    "pass": Exit.OK,
    "warn": Exit.OK,
    "fail": Exit.GATE,
    "inconclusive": Exit.CANNOT_JUDGE,
}


def apply_gate(cell: CellResult, gate: Gate) -> CellResult:
    """The cell with the rules of the gate that it breaks; none where somebody has accepted its result."""
    if cell.accepted is not None:
        return cell.model_copy(update={"gated": ()})
    if cell.effect == "model" and gate.model_changes == "warn":
        return cell
    return cell.model_copy(
        update={"gated": tuple(rule for rule in broken_rules(cell) if rule in gate.fail_on)}
    )


def judge_run(
    models: Sequence[ModelResult], changes: Sequence[ModelReason] = ()
) -> tuple[Verdict, tuple[Reason, ...]]:
    """The verdict of all gated cells, and why: one reason a cell, worst first.

    `changes`: what the pull request changes about models. One that comes or goes is compared with nothing.

    A broken gate is a fail. Otherwise, where a baseline is unusable, a cell was not reached or its results
    are not its own, or nothing was compared, the run is inconclusive: it says nothing about the upgrade; so
    it is where a shard is missing, of which a failed run tells too. Otherwise what is not green warns.
    """
    cells = sorted(
        (cell for model in models for cell in model.cells), key=lambda cell: -SEVERITY.index(cell.verdict)
    )
    gated = [Reason(kind="cell", cell=cell.cell, rules=cell.gated) for cell in cells if cell.gated]
    missing = tuple(Reason(kind="shard-missing", shard=shard) for shard in missing_shards(cells))
    if gated:
        return "fail", (*gated, *missing)
    if missing:
        return "inconclusive", missing
    baseless = [
        Reason(kind="cell", cell=cell.cell) for cell in cells if _says_nothing(cell) or _cut_short(cell)
    ]
    if baseless:
        return "inconclusive", tuple(baseless)
    uncompared = tuple(
        Reason(kind=_UNCOMPARED[each.state], model=each.model)
        for each in changes
        if each.state in _UNCOMPARED
    )
    if all(cell.verdict == "not-compared" for cell in cells) and (cells or not uncompared):
        return "inconclusive", (Reason(kind="nothing-compared"),)
    notable = tuple(
        Reason(kind="cell", cell=cell.cell, rules=rules)
        for cell in cells
        if (rules := broken_rules(cell)) or _incomplete(cell)
    )
    return ("warn", (*notable, *uncompared)) if notable or uncompared else ("pass", ())


def with_restored(report: Report, files: Sequence[str]) -> Report:
    """The report of a run in which something wrote to the job's own files: nothing of it is green."""
    if not files:
        return report
    verdict: Verdict = "fail" if report.verdict == "fail" else "inconclusive"
    reason = Reason(kind="step-files", files=tuple(files))
    reasons = (*report.reasons, reason) if report.verdict == verdict else (reason, *report.reasons)
    return report.model_copy(update={"verdict": verdict, "reasons": reasons})


def worst_first(cells: Sequence[CellResult]) -> tuple[CellResult, ...]:
    """Cells ordered by severity, and by name within a verdict."""
    return tuple(
        sorted(
            cells,
            key=lambda cell: (
                -bool(cell.gated),
                -SEVERITY.index(cell.verdict),
                -SEVERITY.index(overall(cell)),
                by_version(cell.cell),
            ),
        )
    )


def baseline_failed(cell: CellResult) -> bool:
    """Whether the cell was not compared because its baseline is unusable."""
    return any(isinstance(finding, BaselineFailed) for finding in cell.findings)


def _says_nothing(cell: CellResult) -> bool:
    """Whether a cell was not compared for a reason that is neither the model's nor the upgrade's."""
    return baseline_failed(cell) or (cell.failure is not None and cell.failure.stage in UNJUDGED)


def _cut_short(cell: CellResult) -> bool:
    """Whether decoding or training was not reached in time, or what it left is not its own."""
    asides = (each for each in cell.findings if isinstance(each, DecodeVerdict | TrainingVerdict))
    return any(each.failure is not None and each.failure.stage in UNJUDGED for each in asides)


def missing_shards(cells: Sequence[CellResult]) -> tuple[str, ...]:
    """The shards whose cells were not compared because they left no result, such as `2/3`."""
    findings = (finding for cell in cells for finding in cell.findings)
    shards = {finding.shard for finding in findings if isinstance(finding, ShardMissing)}
    return tuple(sorted(shards, key=lambda shard: int(shard.partition("/")[0])))


def overall(cell: CellResult) -> CellVerdict:
    """The worst of everything that was asked of a cell: predictions, decoding and training."""
    return BANDS.worst((cell.verdict, *(check_verdict(cell, check) for check in ASIDE)))


def check_verdict(cell: CellResult, check: str) -> CellVerdict:
    """The worst verdict of one check's findings; identical where it has none."""
    return BANDS.worst(finding.verdict for finding in cell.findings if finding.check == check)


def broken_rules(cell: CellResult) -> tuple[GateRule, ...]:
    """Every rule that a cell would break, were it in the gate."""
    return tuple(dict.fromkeys(_broken(cell)))


def _broken(cell: CellResult) -> Iterator[GateRule]:
    if cell.verdict in get_args(GateRule) and not (_says_nothing(cell) or missing_shards((cell,))):
        yield cast(GateRule, cell.verdict)  # every verdict but the green ones is a rule of its own
    if evaluate_broken(cell):
        yield "failed"
    accuracy = cell.comparison(AccuracyComparison)
    worse = accuracy is not None and any(metric.worse for metric in accuracy.metrics)
    if worse or any(isinstance(finding, UnscoredFinding) and not finding.metric for finding in cell.findings):
        yield "accuracy"
    if any(isinstance(finding, NondeterministicFinding) for finding in cell.findings):
        yield "nondeterministic"
    for check in ASIDE:
        yield from _aside(cell, check)


def _aside(cell: CellResult, check: Aside) -> Iterator[GateRule]:
    """The rules that decoding or training breaks: its own, or that of a verdict that is neither."""
    verdict = check_verdict(cell, check)
    if verdict in BREAKS:
        yield check
    elif verdict not in GREEN and not _of_baseline(cell, check):
        yield cast(GateRule, verdict)


def _of_baseline(cell: CellResult, check: Aside) -> bool:
    """Whether decoding or training failed in the baseline: that says nothing about the upgrade."""
    kinds = DecodeVerdict | TrainingVerdict
    verdicts = (each for each in cell.findings if each.check == check and isinstance(each, kinds))
    return any(each.verdict == "not-compared" and each.failure is not None for each in verdicts)


def evaluate_broken(cell: CellResult) -> bool:
    """Whether the framework's `evaluate` fails in the candidate alone."""
    sides = {finding.side for finding in cell.findings if isinstance(finding, EvaluateFailedFinding)}
    return sides == {"candidate"}


def _incomplete(cell: CellResult) -> bool:
    """Whether something that was asked for is not known: such a run is no plain pass."""
    return any(finding.kind in _OPEN or finding.verdict == "not-compared" for finding in cell.findings)
