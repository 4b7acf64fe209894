"""What is said about several models to which the same happened for the same reason."""

from __future__ import annotations

from validator.checks.bands import CellVerdict
from validator.matrix import HEAD
from validator.report.causes import Alike, known
from validator.report.content import Content, Row
from validator.report.figures import scores
from validator.report.phrases import Words, listed, name, plural, strong, words
from validator.report.words.cell import VERDICTS
from validator.report.words.failures import failed
from validator.report.words.reasons import figures_of

DOES: dict[CellVerdict, tuple[str, str]] = {  # what a single model does, what several do
    "failed": ("fails", "fail"),
    "changed": ("predicts differently", "predict differently"),
    "not-compared": ("was not compared", "were not compared"),
    "metric-only": ("predicts the same", "predict the same, but report another metric"),
    "suspicious": ("drifts beyond noise", "drift beyond noise"),
    "rounding": ("predicts the same up to rounding", "predict the same up to rounding"),
    "identical": ("predicts the same", "predict the same"),
}


def common_reason(group: Alike, content: Content) -> list[Words]:
    """`12 of 14 models predict differently in keras-3.5.0 for one reason: …`, and which is the worst."""
    worst, count = group.worst, len(group.models)
    does = DOES[worst.cell.verdict][1]
    first = strong(f"{count:,} of {plural(len(content.report.models), 'model')} {does}")
    measured = ", ".join(each for each in (_moves(worst), figures_of(worst)) if each)
    example = words(" (in ", name(worst.model), f", the worst{f': {measured}' if measured else ''})")
    others = [name(model) for model in group.models if model != worst.model]
    return [
        words(
            first,
            *(words(" in ", name(worst.where)) if has_places(content) else ()),
            " for one reason: ",
            *_why(worst),
            *example,
            ".",
        ),
        words(
            "The other" if len(others) == 1 else "The others are ",
            " is " * (len(others) == 1),
            listed(others),
            ".",
        ),
    ]


def has_places(content: Content) -> bool:
    """Whether to say where something happens: not of a pull request alone, whose title says it."""
    return {row.cell.environment for row in content.rows} != {HEAD} or any(
        row.cell.variant for row in content.rows
    )


def _why(worst: Row) -> Words:
    """What several models have in common: a known change, a failure, or what happens in the worst of them."""
    change = known(worst)
    if change is not None:
        return words(change.known.title)
    if worst.failure is not None and not worst.compared:
        return words("each ", failed(worst.failure))
    return next((each for each in (*worst.origin, worst.lead) if each), words(VERDICTS[worst.cell.verdict]))


def _moves(row: Row) -> str:
    metric = row.metric
    if metric is None or not metric.delta:
        return ""
    return f"{metric.metric} {' → '.join(scores(metric.baseline, metric.candidate))}"
