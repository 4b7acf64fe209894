"""What a report says about task metrics, and about what the framework reports beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from validator.checks.accuracy.types import (
    AccuracyComparison,
    EvaluateFailedFinding,
    LabelsFedFinding,
    MaskIgnoredFinding,
    MetricOnlyFinding,
    MetricResult,
    ReportedMetric,
    UnscoredFinding,
)
from validator.checks.protocol import Finding
from validator.numbers.statistics import Reason
from validator.report import figures
from validator.report.document import Block, Bullets, Entry, Heading, Table
from validator.report.phrases import Piece, Words, keras_link, listed, name, plural, words
from validator.report.words import CheckWords, Column, Place
from validator.report.words.failures import error_line
from validator.text import first_line

_NOTES = {
    "logits-threshold": "scores outside 0…1 are taken as logits: a score above 0 is class 1",
    "logits": "scores are taken as logits, since their rows are not probabilities",
    "labels-cut": "labels beyond the end of a prediction are ignored",
    "one-sided-ties": "changes within the noise are counted, since most of them are losses",
    "not-finite": "{count:,} items are NaN or infinite on one side and are ignored",
    "lost": "all {count:,} items that the baseline predicts are NaN or infinite in the candidate",
    "one-kind": "{count:,} of {total:,} classes have only positive or only negative labels and are ignored",
}

_DECISIONS: dict[Reason, str] = {
    "significant": "worse by more than the accepted {margin:.3g}",
    "negative-flips": "worse: more predictions became wrong than the gate accepts ({share})",
    "lost": "worse: the candidate predicts NaN or infinity where the baseline does not",
    "within-margin": "not worse by more than {margin:.3g}",
}
#: The same where nobody said which way is better.
_UNDIRECTED: dict[Reason, str] = {
    "significant": "moved by more than the accepted {margin:.3g}; `directions` can say which way is better",
    "within-margin": "not moved by more than {margin:.3g}",
}
_HEADINGS = (
    Heading("metric"),
    Heading("before → after", numeric=True),
    Heading("samples", numeric=True),
    Heading("decision"),
)
_PLACES: dict[str, Place] = {
    "metric-only": "lead",
    "metric-worse": "lead",
    "mask-ignored": "why",
    "labels-fed": "why",
}


def _place(finding: Finding) -> Place:
    if isinstance(finding, EvaluateFailedFinding) and finding.verdict is not None:
        return "lead"
    return _PLACES.get(finding.kind, "note")


def _sentence(finding: Finding) -> Words:
    return _SENTENCES[finding.kind](finding)


def _unscored(finding: UnscoredFinding) -> Words:
    subject = words(name(finding.metric), " was") if finding.metric else words("the metrics were")
    return words(subject, f" not scored: {first_line(finding.reason)}")


def _evaluate_failed(finding: EvaluateFailedFinding) -> Words:
    where = f" failed in the {finding.side}: {error_line(finding.failure)}"
    return words("the framework's ", name("evaluate"), where)


def _metric_only(finding: MetricOnlyFinding) -> Words:
    reported = finding.reported
    before, after = figures.scores(reported.baseline, reported.candidate)
    metric = words("the framework reports ", name(reported.name))
    change = {
        "lost": words(metric, f" as NaN or infinity instead of {before}"),
        "gained": words(metric, f" {after} instead of NaN or infinity"),
        "missing": words("the framework no longer reports ", name(reported.name), f" ({before} before)"),
        "renamed": words(metric, " as ", name(finding.renamed_to), f" ({before})"),
        "new": words("the framework also reports ", name(reported.name), f" ({after})"),
    }.get(finding.change, words(metric, f" {after} instead of {before}"))
    if finding.others:
        change = words(
            change, "; other metrics that differ: ", listed([name(each) for each in finding.others], 4)
        )
    if finding.masked:
        change = words(
            change, "; an output carries a mask, which compiled metrics ignore in Keras 3.0 to 3.11.3"
        )
    if finding.value is None or finding.change != "moved":
        return change
    own = words("; computed from the predictions, ", name(finding.metric), f" is {finding.value:.4g}")
    return words(change, own)


def _labels_fed(finding: LabelsFedFinding) -> Words:
    fed = finding.fed
    as_list, as_dict = figures.scores(fed.as_list, fed.as_dict)
    values = f" {as_dict} for labels in a dict and {as_list} for the same labels in a list"
    return words(f"in the {finding.side} the framework reports ", name(fed.metric), values)


def _mask_ignored(finding: MaskIgnoredFinding) -> Words:
    other = "candidate" if finding.side == "baseline" else "baseline"
    return words(
        f"the {finding.side} ignores the mask in ",
        name(finding.reported),
        f": it reports {finding.product:.4g} = {finding.value:.4g} × {finding.share:.3f}, the share of "
        f"unmasked positions; the {other} reports {finding.value:.4g}. Compiled metrics ignore masks in "
        "Keras 3.0 to 3.11.3 and respect them from 3.12.0 (",
        keras_link(21569),
        ")",
    )


def _worse(result: MetricResult) -> Words:
    verb = "falls" if (result.delta or 0) < 0 else "rises"
    before, after = figures.scores(result.baseline, result.candidate)
    if result.candidate is None:
        return words(name(result.metric), f": {_decision(result)}")
    if not result.delta:
        change = f" stays at {before}"
    else:
        change = f" {verb} from {before} to {after}" if result.reason != "negative-flips" else ""
    facts = [plural(result.samples, "labelled item"), *_certainties(result)]
    plain = result.reason == "significant" and result.directed
    reason = "" if plain else f": {_decision(result)}"
    return words(name(result.metric), f"{change} ({', '.join(facts)}){reason}")


def _certainties(result: MetricResult) -> Iterator[str]:
    known = None not in (result.low, result.high) and result.method != "identical"
    if known and result.confidence:
        yield f"{100 * result.confidence:.3g} % interval {result.low:+.3g} … {result.high:+.3g}"
    if result.delta and result.p is not None and not _is_tied(result):
        yield figures.probability(result.p)


def _decision(result: MetricResult) -> str:
    match result.reason:
        case "none-worse":
            return _none_worse(result)
        case "not-scored":
            return first_line(result.message)
        case "raised":
            return f"worse: for the candidate's predictions it raises {first_line(result.message)}"
        case "too-few-samples":
            return _inconclusive(result)
    share = figures.share(result.negative_flips, result.samples)
    decisions = _DECISIONS if result.directed else {**_DECISIONS, **_UNDIRECTED}
    return decisions[result.reason].format(margin=result.margin, share=share)


def _none_worse(result: MetricResult) -> str:
    hidden = -(result.low or 0.0) if result.higher_is_better else 0.0
    if hidden < 0 and result.directed:
        return "better"
    if hidden <= result.margin:
        return "not worse" if result.directed else "not moved"
    return f"no sample got worse; n = {result.units:,} cannot rule out a drop of {hidden:.2g}"


def _inconclusive(result: MetricResult) -> str:
    more = (result.needed or 0) - result.units
    return f"inconclusive; about {more:,} more samples needed" if more > 0 else "inconclusive"


def _main(comparison: AccuracyComparison) -> MetricResult | None:
    """The metric to show where there is room for a single number."""
    metrics = comparison.metrics
    return max(metrics, key=lambda metric: (metric.worse, abs(metric.delta or 0)), default=None)


def _value(comparison: AccuracyComparison) -> str:
    metric = _main(comparison)
    change = figures.change(metric.baseline, metric.candidate) if metric else figures.NONE
    if metric is None or metric.metric == "accuracy" or change == figures.NONE:
        return change
    return f"{metric.metric} {change}"


def _below(comparison: AccuracyComparison) -> str:
    metric = _main(comparison)
    if metric is None or not metric.delta:
        return ""
    if metric.worse:
        return figures.probability(metric.p)
    return _inconclusive(metric) if metric.reason == "too-few-samples" else ""


def _details(comparison: AccuracyComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    """Every metric, and beside it what the framework reports."""
    rows = [_metric_row(result) for result in comparison.metrics]
    rows += [_reported_row(metric) for metric in comparison.reported if metric.baseline != metric.candidate]
    if not rows:
        return ()
    facts = tuple(fact for result in comparison.metrics for fact in _facts(result))
    return (Table(_HEADINGS, tuple(rows)), *([Bullets(facts)] if facts else []))


def _metric_row(result: MetricResult) -> tuple[Entry, ...]:
    units = f"{result.units:,} independent" if result.units != result.samples else ""
    return (
        Entry(words(name(result.metric)), words("of ", name(result.output))),
        Entry(words(figures.change(result.baseline, result.candidate))),
        Entry(words(f"{result.samples:,}"), words(units)),
        Entry(words(_decision(result)), words(", ".join((*_certainties(result), *_flips(result))))),
    )


def _is_tied(result: MetricResult) -> bool:
    """Whether every changed prediction stood as close to another as rounding moves a score."""
    return bool(result.tied_flips) and not (result.negative_flips or result.positive_flips)


def _flips(result: MetricResult) -> Iterator[str]:
    if _is_tied(result):
        yield f"{result.tied_flips:,} changed, each where rounding alone may decide"
        return
    if result.negative_flips is not None and result.positive_flips is not None:
        yield f"{result.negative_flips:,} became wrong, {result.positive_flips:,} became right"
    if result.tied_flips:
        yield f"{result.tied_flips:,} more within the noise"


def _reported_row(metric: ReportedMetric) -> tuple[Entry, ...]:
    change = words(figures.change(metric.baseline, metric.candidate))
    framework = Entry(words(name(metric.name)), words("reported by the framework"))
    return (framework, Entry(change), Entry(()), Entry(()))


def _facts(result: MetricResult) -> Iterator[Words]:
    """Samples and classes that got worse, and what to know about the values."""
    if result.flipped:
        total = max(len(result.flipped), result.negative_flips or 0)
        samples = listed([Piece(sample) for sample in result.flipped], 10, total)
        yield words(name(result.metric), ": samples that became wrong: ", samples)
    for row in result.classes:
        if row.worse:
            change = figures.change(row.baseline, row.candidate)
            yield words(name(result.metric), f": class {row.label} {change} ({row.samples:,} items)")
    for note in result.notes:
        text = _NOTES[note.kind].format(count=note.count, total=note.total)
        yield words(name(result.metric), f": {text}")


#: How each kind of finding is said.
_SENTENCES: dict[str, Callable[[Any], Words]] = {
    "metric-only": _metric_only,
    "mask-ignored": _mask_ignored,
    "metric-worse": lambda finding: _worse(finding.result),
    "unscored": _unscored,
    "labels-fed": _labels_fed,
    "evaluate-failed": _evaluate_failed,
}

WORDS = CheckWords(
    sentence=_sentence,
    place=_place,
    columns=(
        Column("accuracy", _value, _below, lambda numbers: any(metric.worse for metric in numbers.metrics)),
    ),
    details=_details,
)
