"""What the framework's own `evaluate` says on both sides, beside what the predictions say."""

from __future__ import annotations

from collections.abc import Sequence

from validator.results import MetricResult, OutputResult, ReportedMetric

#: A reported metric may move by this much with the predictions inside their rounding: float32 means.
_RTOL, _ATOL = 1e-3, 1e-4
#: How exactly a reported accuracy must be the true one times the share of unmasked positions.
_MASK_TOLERANCE = 2e-3


def judge_reported(
    name: str, old: float | None, new: float | None, outputs: Sequence[OutputResult]
) -> ReportedMetric:
    """A number of the framework on both sides. Each arg max that moved may move a mean by its share."""
    if old is None or new is None:
        return ReportedMetric(name=name, baseline=old, candidate=new, differs=False)
    moved = max((output.flips or 0) / (output.rows or 1) for output in outputs)
    room = _ATOL + _RTOL * max(abs(old), abs(new)) + moved
    return ReportedMetric(name=name, baseline=old, candidate=new, differs=abs(old - new) > room)


def told(reported: Sequence[ReportedMetric]) -> ReportedMetric:
    """The metric to tell of those that differ: accuracies say more to a reader than the loss does."""
    return sorted((one for one in reported if one.differs), key=lambda one: one.name == "loss")[0]


def metric_only(reported: Sequence[ReportedMetric], metrics: Sequence[MetricResult]) -> str:
    """The sentence of a cell with the same predictions and another reported number."""
    first = told(reported)
    sentence = (
        f"same predictions, but the framework reports `{first.name}` {first.candidate:.4g} here "
        f"and {first.baseline:.4g} in the baseline"
    )
    true = next((metric for metric in metrics if metric.candidate is not None), None)
    if true is not None:
        sentence += f"; from the predictions `{true.metric}` is {true.candidate:.4g}"
    return sentence


def mask_cause(
    reported: Sequence[ReportedMetric], metrics: Sequence[MetricResult], outputs: Sequence[OutputResult]
) -> str:
    """Which side left the mask out, found by arithmetic; empty where it explains nothing.

    A metric that ignores the mask counts masked positions, which are never right, as wrong: it reports the
    true accuracy times the share of positions that count. Keras 3.0 to 3.11.3 do that in compiled metrics
    without a sample weight (https://github.com/keras-team/keras/issues/21569).
    """
    first = told(reported)
    rows = {output.name: output.rows for output in outputs}
    for metric in metrics:
        total = rows.get(metric.output)
        if metric.metric != "accuracy" or metric.baseline is None or not total or metric.samples >= total:
            continue
        share = metric.samples / total
        sides = {"the baseline": first.baseline, "this side": first.candidate}
        wrong = [
            side
            for side, number in sides.items()
            if number is not None and abs(number - metric.baseline * share) <= _MASK_TOLERANCE
        ]
        right = [
            side
            for side, number in sides.items()
            if number is not None and abs(number - metric.baseline) <= _MASK_TOLERANCE
        ]
        if len(wrong) == len(right) == 1:
            product = f"{metric.baseline:.4g} × {share:.3f}, the share of positions that count"
            return (
                f"{wrong[0]} ignores the mask in its `{first.name}`: {product}, is what it reports; "
                f"{right[0]} is right. Compiled metrics ignore masks in Keras 3.0 to 3.11.3, and respect "
                "them from 3.12.0"
            )
    return ""
