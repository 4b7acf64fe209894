"""Whether a report that somebody else may have written agrees with itself.

Every number in it can be invented. What is refused: a verdict that its own cells do not give, counts that do
not add up, a command that runs something else, texts longer than any that a run writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

from validator.checks.accuracy.types import AccuracyComparison, MetricResult
from validator.checks.outputs.types import OutputsComparison
from validator.numbers.distance import TensorComparison
from validator.report.reproduce import further_search, rebuilt
from validator.text import plain
from validator.upgrade import ModelReason, refreshes
from validator.upgrade.types import StaleLockReason
from validator.verdict.bands import GREEN
from validator.verdict.gate import broken_rules, judge_run, with_restored
from validator.verdict.judge import verdict_of
from validator.verdict.results import CellResult, Reason, Report

#: Characters of a name (a model, a cell, a package, a version) and of any other text, such as a log.
NAME_LIMIT, TEXT_LIMIT = 400, 200_000
_SAME = 1e-6  # of a difference against its two sides
#: What a run without a cell can come to, by the kind of its reason.
_EMPTY = {
    "irrelevant": "pass",
    "model-added": "warn",
    "model-removed": "warn",
    "undecided": "inconclusive",
    "nothing-compared": "inconclusive",
    "error": "inconclusive",
}


def too_long(document: JsonValue) -> str:
    """Where a text or key of a document is longer than any that a run writes; empty where none is."""
    level: list[tuple[str, JsonValue]] = [("its top", document)]
    while level:
        name, node = level.pop()
        if isinstance(node, str) and len(node) > TEXT_LIMIT:
            return name
        if isinstance(node, dict):
            if any(len(key) > NAME_LIMIT for key in node):
                return f"a key of {name}"
            level += node.items()
        elif isinstance(node, list):
            level += [(name, each) for each in node]
    return ""


def contradiction(report: Report) -> str:
    """The first thing in which a report disagrees with itself, as the end of a sentence; empty for none."""
    return next(_contradictions(report), "")


def with_own_commands(report: Report) -> Report:
    """The report with every command put together anew from its checked parts.

    Raises:
        ValueError: one does something else than its place says. The text says which.
    """
    for reason in report.upgrade.reasons if report.upgrade else ():
        if isinstance(reason, StaleLockReason) and not refreshes(reason):
            raise ValueError(f"the command for the lock {_quoted(reason.lock)} is none that refreshes it")
    models = []
    for model in report.models:
        cells = tuple(_commanded(cell, report.configuration) for cell in model.cells)
        models.append(model.model_copy(update={"cells": cells}))
    return report.model_copy(update={"models": tuple(models)})


def _commanded(cell: CellResult, configuration: str) -> CellResult:
    search = cell.origin.command if cell.origin else ""
    if not (cell.reproduce or search):
        return cell
    try:
        command = rebuilt(cell.reproduce, cell.cell, configuration)
    except ValueError:
        raise ValueError(f"the command of {_quoted(cell.cell)} is not a run of that cell") from None
    if search and search != further_search(command, cell.cell):
        raise ValueError(f"the search for the origin of {_quoted(cell.cell)} is another command")
    return cell.model_copy(update={"reproduce": command})


def _contradictions(report: Report) -> Iterator[str]:
    yield from _long_names(report)
    yield from _identities(report)
    for model in report.models:
        for cell in model.cells:
            yield from (f"{_quoted(cell.cell)} {wrong}" for wrong in _of_cell(cell))
    yield from _verdict(report)


def _long_names(report: Report) -> Iterator[str]:
    cells = [cell for model in report.models for cell in model.cells]
    names = [report.baseline, report.tool, report.configuration, report.started]
    names += [model.name for model in report.models]
    names += [name for cell in cells for name in (cell.cell, cell.environment, cell.variant)]
    for each in report.environments:
        names += [each.name, each.python, each.cpu, each.keras, each.backend, *each.packages.values()]
    for change in report.upgrade.changes if report.upgrade else ():
        names += [change.name, change.old or "", change.new or "", change.manifest]
    for name in names:
        if len(name) > NAME_LIMIT:
            yield f"a name has {len(name):,} characters ({_quoted(name)})"


def _identities(report: Report) -> Iterator[str]:
    """Ids that are not what they are made of, or stand twice; lists that do not hold the same cells."""
    cells = [(model.name, cell) for model in report.models for cell in model.cells]
    environments = [each.name for each in report.environments]
    ids = [cell.cell for _, cell in cells]
    for kind, names in (
        ("cell", ids),
        ("model", [model.name for model in report.models]),
        ("environment", environments),
    ):
        yield from (f"the {kind} {_quoted(name)} stands in it twice" for name in _twice(names))
    for model, cell in cells:
        variant = f"+{cell.variant}" if cell.variant not in ("", "as-saved") else ""
        if cell.cell != f"{model}@{cell.environment}{variant}":
            yield f"{_quoted(cell.cell)} is not the id of its model, environment and variant"
    for name in dict.fromkeys(cell.environment for _, cell in cells):
        if name not in environments:
            yield f"it has cells of {_quoted(name)}, which is none of its environments"
    if cells and report.baseline not in environments:
        yield f"its baseline {_quoted(report.baseline)} is none of its environments"
    if sorted(report.not_compared) != sorted(
        cell.cell for _, cell in cells if cell.verdict == "not-compared"
    ):
        yield "its list of cells that were not compared is not that of its cells"


def _of_cell(cell: CellResult) -> Iterator[str]:
    findings = verdict_of(cell.findings)
    if cell.verdict != findings:
        yield f"is called {cell.verdict}, and its findings say {findings}"
    stray = set(cell.gated) - set(broken_rules(cell))
    if stray:
        yield f"is stopped by {', '.join(sorted(stray))}, a rule that it does not break"
    outputs = cell.comparison(OutputsComparison)
    for each in outputs.outputs if outputs else ():
        pair = each.comparison
        if pair is not None and not _adds_up(pair):
            yield f"has numbers of output {_quoted(each.name)} that do not add up"
        elif pair is not None and cell.verdict == "identical" and (pair.max_abs or pair.flips):
            yield f"is called identical, and its output {_quoted(each.name)} differs"
    accuracy = cell.comparison(AccuracyComparison)
    for metric in accuracy.metrics if accuracy else ():
        if not _metric_adds_up(metric):
            yield f"has numbers of metric {_quoted(metric.metric)} that do not add up"
        elif metric.worse and cell.verdict in GREEN and "accuracy" not in broken_rules(cell):
            yield f"has a worse {_quoted(metric.metric)}, and holds"


def _adds_up(pair: TensorComparison) -> bool:
    counts = (pair.mismatched, pair.flips or 0, pair.rows or 0, pair.nonfinite_mismatched)
    within = pair.mismatched <= pair.size and (pair.flips or 0) <= (pair.rows or 0)
    moved = pair.mismatched or pair.flips or pair.max_abs
    return min(counts) >= 0 and within and not (pair.identical and moved)


def _metric_adds_up(metric: MetricResult) -> bool:
    flips = (metric.negative_flips or 0, metric.positive_flips or 0)
    if min(*flips, metric.units, metric.samples) < 0 or sum(flips) > max(metric.units, metric.samples):
        return False
    sides = (metric.baseline, metric.candidate)
    if metric.delta is None or sides[0] is None or sides[1] is None:
        return True
    scale = max(abs(sides[0]), abs(sides[1]), abs(metric.delta), _SAME)
    return abs(sides[1] - sides[0] - metric.delta) <= _SAME * scale


def _verdict(report: Report) -> Iterator[str]:
    """The verdict and its reasons are those that the cells give."""
    changes = tuple(
        each for each in (report.upgrade.reasons if report.upgrade else ()) if isinstance(each, ModelReason)
    )
    if not report.models:
        kinds = [each.kind for each in report.reasons]
        allowed = {"inconclusive"} if "step-files" in kinds else {_EMPTY.get(kind) for kind in kinds}
        if allowed != {report.verdict}:
            yield f"its verdict is {report.verdict}, and it has no cell and no reason for that"
        return
    verdict, reasons = judge_run(report.models, changes)
    written = tuple(file for each in report.reasons for file in each.files)
    judged = with_restored(report.model_copy(update={"verdict": verdict, "reasons": reasons}), written)
    verdict, reasons = judged.verdict, judged.reasons
    if report.verdict != verdict:
        yield f"its verdict is {report.verdict}, and its cells give {verdict}"
    elif _keys(report.reasons) != _keys(reasons):
        yield "its reasons are not those of its cells"


def _keys(reasons: Sequence[Reason]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(each.kind, each.cell, each.model, each.rules) for each in reasons]


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _quoted(name: str) -> str:
    return repr(plain(name, 80))
