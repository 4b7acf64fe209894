"""What the framework's own `evaluate` reports on both sides, beside what the predictions say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

from validator.checks.accuracy.types import (
    LabelsFed,
    MaskIgnoredFinding,
    MetricOnlyFinding,
    ReportedChange,
    ReportedMetric,
)
from validator.checks.bands import ReportedBands
from validator.checks.loading.types import SIDES
from validator.checks.outputs.types import OutputNumbers
from validator.numbers.metrics import MetricResult

Reports = Mapping[str, float | None]
_ORDER: tuple[ReportedChange, ...] = get_args(ReportedChange)  # the most telling first


def compare_reports(baseline: Reports | None, candidate: Reports | None) -> tuple[ReportedMetric, ...]:
    """Every metric of either side; none where neither was evaluated."""
    old, new = baseline or {}, candidate or {}
    return tuple(
        ReportedMetric(
            name=name,
            baseline=old.get(name),
            candidate=new.get(name),
            absent="baseline" if name not in old else "candidate" if name not in new else None,
        )
        for name in dict.fromkeys((*old, *new))
    )


def reported_changes(
    reported: Sequence[ReportedMetric],
    explained: Callable[[ReportedMetric], bool],
    *,
    numbers: bool = True,
) -> list[tuple[ReportedChange, ReportedMetric, str]]:
    """What is not the same, the most telling first, with the new name of a metric that got one.

    `explained`: whether the predictions explain the difference of two numbers. Without `numbers` these are
    not compared.
    """
    new = [metric for metric in reported if metric.absent == "baseline"]
    changes: list[tuple[ReportedChange, ReportedMetric, str]] = []
    for metric in reported:
        if metric.absent == "candidate":
            successor = next((each for each in new if _renamed(metric, each, explained)), None)
            new = [each for each in new if each is not successor]
            changes.append(
                ("renamed" if successor else "missing", metric, successor.name if successor else "")
            )
        elif metric.absent is None and (change := _change(metric, explained)):
            changes += [(change, metric, "")] if numbers or change != "moved" else []
    changes += [("new", metric, "") for metric in new]
    # Accuracies tell a reader more than the loss.
    return sorted(changes, key=lambda each: (_ORDER.index(each[0]), each[1].name == "loss"))


def _change(
    metric: ReportedMetric, explained: Callable[[ReportedMetric], bool]
) -> Literal["lost", "gained", "moved"] | None:
    if metric.baseline is None or metric.candidate is None:
        same = metric.baseline is metric.candidate
        return None if same else "lost" if metric.candidate is None else "gained"
    return None if explained(metric) else "moved"


def _renamed(old: ReportedMetric, new: ReportedMetric, explained: Callable[[ReportedMetric], bool]) -> bool:
    both = ReportedMetric(name=old.name, baseline=old.baseline, candidate=new.candidate)
    return old.baseline is not None and new.candidate is not None and explained(both)


def differs(metric: ReportedMetric, outputs: Sequence[OutputNumbers], bands: ReportedBands) -> bool:
    """Whether predictions do not explain the difference of two numbers.

    Each top-1 change may move a mean by its share. Where no prediction moves by more than d, a mean of
    distances moves by d at most, and a mean L of their squares by about 2 d sqrt(L).
    """
    if metric.baseline is None or metric.candidate is None:
        return False
    compared = [output.comparison for output in outputs if output.comparison is not None]
    flips = max((part.flips / part.rows for part in compared if part.flips and part.rows), default=0.0)
    distance = max((part.max_abs for part in compared if part.max_abs is not None), default=0.0)
    size = max(abs(metric.baseline), abs(metric.candidate))
    relative = bands.exact if all(part.identical for part in compared) else bands.rtol
    room = bands.atol + relative * size + flips + 2 * distance * max(1.0, math.sqrt(size))
    return abs(metric.baseline - metric.candidate) > room


def metric_only(
    changes: Sequence[tuple[ReportedChange, ReportedMetric, str]], metrics: Sequence[MetricResult]
) -> MetricOnlyFinding:
    """The finding for what is not the same, by the first of it."""
    (change, metric, renamed_to), *others = changes
    own = next((result for result in metrics if result.candidate is not None), None)
    return MetricOnlyFinding(
        verdict="metric-only",
        reported=metric,
        change=change,
        renamed_to=renamed_to,
        others=tuple(each.name for _, each, _ in others),
        metric=own.metric if own else "",
        value=own.candidate if own else None,
    )


def labels_fed(
    as_dict: Reports | None, as_list: Reports | None, bands: ReportedBands
) -> tuple[LabelsFed, ...]:
    """Metrics of one environment that are others where the labels are a list."""
    if as_dict is None or as_list is None:
        return ()
    pairs = compare_reports(as_dict, as_list)
    return tuple(
        LabelsFed(metric=pair.name, as_dict=pair.baseline, as_list=pair.candidate)
        for pair in pairs
        if differs(pair, (), bands)
    )


def mask_ignored(
    reported: ReportedMetric,
    metrics: Sequence[MetricResult],
    outputs: Sequence[OutputNumbers],
    bands: ReportedBands,
) -> MaskIgnoredFinding | None:
    """Which side leaves the mask out, by arithmetic; None where that explains nothing.

    A metric that ignores the mask counts masked positions, which are never right, as wrong: it reports the
    true accuracy times the share of positions that count. Keras 3.0 to 3.11.3 do that in compiled metrics
    without a sample weight (https://github.com/keras-team/keras/issues/21569).
    """
    rows = {output.name: output.comparison.rows for output in outputs if output.comparison is not None}
    values = dict(zip(SIDES, (reported.baseline, reported.candidate), strict=True))
    for metric in metrics:
        total, true = rows.get(metric.output), metric.baseline
        if metric.metric != "accuracy" or true is None or not total or metric.samples >= total:
            continue
        share = metric.samples / total
        wrong = [side for side, value in values.items() if _equal(value, true * share, bands)]
        right = [side for side, value in values.items() if _equal(value, true, bands)]
        if len(wrong) == len(right) == 1:
            return MaskIgnoredFinding(
                side=wrong[0], reported=reported.name, value=true, share=share, product=true * share
            )
    return None


def _equal(value: float | None, expected: float, bands: ReportedBands) -> bool:
    return value is not None and abs(value - expected) <= bands.mask
