"""Titles: a cell or a run in a few words, where nothing else is shown (annotations, statuses, issues)."""

from __future__ import annotations

from validator.checks.accuracy.types import MetricOnlyFinding
from validator.checks.layers.types import FirstDifference
from validator.report.content import Content, Row
from validator.report.figures import number, scores
from validator.report.words.cell import VERDICTS, aside
from validator.report.words.failures import STAGES
from validator.report.words.run import headline
from validator.text import plain
from validator.verdict.bands import GREEN

_MOST = 60  # characters of a name


def cell_title(row: Row) -> str:
    """`llama changed: accuracy 0.723 → 0.592, max abs diff 19, first in attention_0 (keras-3.5.0)`."""
    facts = ", ".join(_facts(row))
    where = f" ({plain(row.where, _MOST)})"
    return f"{plain(row.model, _MOST)}{_what(row)}{f': {facts}' if facts else ''}{where}"


def run_title(content: Content, longest: int) -> str:
    """The worst cell that decides and how many more there are; the headline of a run without one."""
    reasons = content.report.reasons
    rows = {row.cell.cell: row for row in content.rows}
    decisive = [rows[each.cell] for each in reasons if each.cell in rows]
    if content.report.verdict in ("pass", "inconclusive") or not decisive:
        message = reasons[0].message if reasons and content.report.verdict != "pass" else ""
        return plain(f"{headline(content)}: {message}" if message else headline(content), longest)
    worst = next(row for row in content.rows if row in decisive)
    more = f" and {len(decisive) - 1:,} more" if len(decisive) > 1 else ""
    return plain(cell_title(worst), longest - len(more)) + more


def _what(row: Row) -> str:
    verdict = row.cell.verdict
    if row.failure is not None and verdict == "failed":
        return f" {STAGES[row.failure.stage]}"
    if verdict == "metric-only":
        return " holds"
    also = [aside(*each) for each in row.asides.items()]
    if verdict in GREEN and also:
        return f": {', '.join(also)}"
    return f" {'is ' if verdict in GREEN else ''}{VERDICTS[verdict]}"


def _facts(row: Row) -> list[str]:
    if row.failure is not None and not row.compared:
        return [plain(row.failure.error, _MOST)]
    facts = []
    reported = next(
        (each.reported for each in row.cell.findings if isinstance(each, MetricOnlyFinding)), None
    )
    if reported is not None and None not in (reported.baseline, reported.candidate):
        before, after = scores(reported.baseline, reported.candidate)
        return [f"reported {plain(reported.name, _MOST)} {before} → {after}"]
    metric = row.metric
    if metric is not None and metric.delta:
        before, after = scores(metric.baseline, metric.candidate)
        facts.append(f"{plain(metric.metric, _MOST)} {before} → {after}")
    if row.max_abs and row.cell.verdict not in GREEN:
        facts.append(f"max abs diff {number(row.max_abs)}")
    first = next((each for each in row.cell.findings if isinstance(each, FirstDifference)), None)
    if first is not None and first.cause.layer:
        facts.append(f"first in {plain(first.cause.layer, _MOST)}")
    return facts
