"""A metric's result in one sentence."""

from __future__ import annotations

from validator.compare.metrics.request import PairedMetric


def describe(metric: PairedMetric) -> str:
    """What happened, how sure it is, and what would help; numbers as in a report."""
    parts = [_values(metric)]
    details = [part for part in (_interval(metric), _flips(metric), _p(metric)) if part]
    if details:
        parts.append(f" ({'; '.join(details)})")
    return f"{''.join(parts)}: {_decision(metric)}"


def _values(metric: PairedMetric) -> str:
    if metric.baseline is None:
        return metric.metric
    if metric.candidate is None:
        return f"{metric.metric} {metric.baseline:.4g} → not a finite number"
    if metric.delta == 0:
        return f"{metric.metric} {metric.baseline:.4g} on both sides"
    return f"{metric.metric} {metric.baseline:.4g} → {metric.candidate:.4g}"


def _interval(metric: PairedMetric) -> str:
    interval = metric.interval
    if interval is None or metric.delta is None or interval.method == "identical":
        return ""
    percent = f"{100 * interval.confidence:.3g} %"
    return f"Δ {metric.delta:+.3g}, {percent} interval {interval.low:+.3g} … {interval.high:+.3g}"


def _flips(metric: PairedMetric) -> str:
    if metric.negative is None or metric.positive is None:
        return ""
    negative, positive = metric.negative.count, metric.positive.count
    text = f"{negative} negative and {positive} positive flips of {metric.samples}"
    ties = sum(side.count for side in (metric.tied_negative, metric.tied_positive) if side is not None)
    return f"{text}, {ties} more within the noise" if ties else text


def _p(metric: PairedMetric) -> str:
    if metric.p_worse is None or metric.delta == 0:
        return ""
    value = metric.p_worse if metric.p_adjusted is None else metric.p_adjusted
    return "p < .001" if value < 0.001 else f"p = {value:.3f}".replace("0.", ".")


def _decision(metric: PairedMetric) -> str:
    words = {
        "significant": f"worse, beyond the margin of {metric.margin:.3g}",
        "negative-flips": "worse, more negative flips than the gate allows",
        "lost": "worse, the candidate predicts NaN or infinity where the baseline does not",
        "within-margin": f"not worse within the margin of {metric.margin:.3g}",
        "none-worse": _none_worse(metric),
        "not-scored": "cannot tell",
    }
    if metric.reason != "too-few-samples":
        return words[metric.reason]
    if metric.needed is None:
        return f"cannot tell within the margin of {metric.margin:.3g} from {metric.units} samples"
    return (
        f"cannot tell within the margin of {metric.margin:.3g} from {metric.units} samples; "
        f"about {metric.needed:,} would decide"
    )


def _none_worse(metric: PairedMetric) -> str:
    interval = metric.interval
    hidden = -interval.low if interval is not None and metric.higher_is_better else 0.0
    if hidden <= metric.margin:
        return "not worse"
    return f"not one got worse, though {metric.units} could hide a loss of {hidden:.2g}"
