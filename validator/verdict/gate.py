"""The verdict of a run: what the gate fails on, what only warns, and when nothing can be said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from validator.config.settings import Gate
from validator.errors import Exit
from validator.results import SEVERITY, CellResult, ModelResult, Verdict

#: Verdicts that need no look.
GREEN = frozenset({"identical", "rounding"})
#: Verdicts of a training that break the gate's rule `training`.
TRAINS_OTHERWISE = frozenset({"changed", "failed"})
#: Kind of the finding that says a cell was not compared because its baseline is unusable.
BASELINE = "baseline"
#: Kind of the finding that says the metrics a model asks for were not scored. Accuracy is then not known.
UNSCORED = "unscored"
#: Kind of the finding that says noise, layers or a twin were lost with the worker that measured them.
LOST = "tasks"

EXIT_CODES: dict[Verdict, Exit] = {
    "pass": Exit.OK,
    "warn": Exit.OK,
    "fail": Exit.GATE,
    "inconclusive": Exit.CANNOT_JUDGE,
}


def apply_gate(cell: CellResult, gate: Gate) -> CellResult:
    """The cell with the rules of the gate that it breaks."""
    return cell.model_copy(update={"gated": tuple(rule for rule in _broken(cell) if rule in gate.fail_on)})


def judge_run(models: Sequence[ModelResult]) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict of all gated cells, and why: one sentence a cell, worst first.

    A broken gate is a fail. Otherwise, where a baseline is unusable or nothing was compared, the run is
    inconclusive: it says nothing about the upgrade. Otherwise anything that is not green warns.
    """
    cells = [cell for model in models for cell in model.cells]
    ordered = sorted(cells, key=lambda cell: -SEVERITY.index(cell.verdict))
    gated = [_why(cell, cell.gated) for cell in ordered if cell.gated]
    if gated:
        return "fail", tuple(gated)
    compared = [cell for cell in cells if cell.verdict != "not-compared"]
    baseless = [
        f"{cell.cell}: {cell.message}"
        for cell in ordered
        if any(finding.kind == BASELINE for finding in cell.findings)
    ]
    if baseless:
        return "inconclusive", tuple(baseless)
    if not compared:
        return "inconclusive", ("nothing was compared",)
    notable = [_why(cell, tuple(_broken(cell))) for cell in ordered if _broken_or_odd(cell)]
    notable += [reason for cell in ordered for reason in _unscored(cell)]
    return ("warn", tuple(notable)) if notable else ("pass", ())


def worst_first(cells: Sequence[CellResult]) -> tuple[CellResult, ...]:
    """Cells ordered by severity, and by name within one."""
    return tuple(
        sorted(cells, key=lambda cell: (-bool(cell.gated), -SEVERITY.index(cell.verdict), cell.cell))
    )


def _why(cell: CellResult, rules: Sequence[str]) -> str:
    """The cell's sentence, or that of its decode or training where the predictions have nothing to say."""
    if rules == ("decode",) and cell.decode is not None:
        return f"{cell.cell}: {cell.decode.message}"
    if rules == ("training",) and cell.training is not None:
        return f"{cell.cell}: {cell.training.message}"
    return f"{cell.cell}: {cell.message}"


def _unscored(cell: CellResult) -> Iterator[str]:
    """What was asked for and says nothing, metrics and lost tasks: a run with one is no plain pass."""
    for finding in cell.findings:
        if finding.kind == LOST:
            yield f"{cell.cell}: {finding.message}"
    for metric in cell.accuracy.metrics if cell.accuracy else ():
        if metric.baseline is None or metric.candidate is None:
            yield f"{cell.cell}: `{metric.metric}` was not scored: {metric.message}"


def _broken_or_odd(cell: CellResult) -> bool:
    return cell.verdict not in GREEN or any(True for _ in _broken(cell))


def _broken(cell: CellResult) -> Iterator[str]:
    """Every rule that a cell would break, were it in the gate."""
    baseless = any(finding.kind == BASELINE for finding in cell.findings)
    if cell.verdict not in GREEN and not baseless:
        yield cell.verdict
    worse = cell.accuracy is not None and any(metric.worse for metric in cell.accuracy.metrics)
    if worse or any(finding.kind == UNSCORED for finding in cell.findings):
        yield "accuracy"
    if cell.decode is not None and cell.decode.verdict in {"changed", "failed"}:
        yield "decode"
    if any(finding.kind == "nondeterministic" for finding in cell.findings):
        yield "nondeterministic"
    if cell.training is not None and cell.training.verdict in TRAINS_OTHERWISE:
        yield "training"
