"""What is drawn of each check: data for the script, each with its result in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from pydantic import JsonValue

from validator.base import finite
from validator.checks.accuracy.types import AccuracyComparison
from validator.checks.decode.types import Continuations, DecodeComparison, DecodeStep
from validator.checks.known.types import KnownComparison
from validator.checks.outputs.types import DrawnOutput, OutputNumbers, OutputsComparison, SampleInput
from validator.checks.training.types import TrainingComparison, TrainingStep
from validator.numbers.pictured import Histogram
from validator.report.content import Row
from validator.report.document import Code, Fold
from validator.report.pages.graph import graph
from validator.report.pages.types import Continuation, Part, Picture, Release, ReleaseRow, clean
from validator.report.phrases import Words
from validator.report.words import drawn as wording
from validator.report.words.page import LIKE
from validator.text import plain
from validator.verdict.bands import BANDS

_CLASSES = 12  # of a matrix of top-1 changes; the others are one
_LEAST = 5e-4  # share of the elements that a bin at the end must have to be drawn
_TEXT = 400
_SERIES = 8  # numbers from which on a series is drawn as a curve

Number = float | None


def pictures(check: str, row: Row) -> tuple[Part, ...]:
    """The pictures of a check on the page of a cell."""
    return tuple(_DRAWN[check](row)) if check in _DRAWN else ()


def _layers(row: Row) -> Iterator[Part]:
    picture = graph(row)
    if picture is not None:
        yield picture


def _outputs(row: Row) -> Iterator[Part]:
    comparison = row.cell.comparison(OutputsComparison)
    if comparison is None:
        return
    numbers = {each.name: each for each in comparison.outputs}
    for drawn in comparison.drawn:
        own = numbers.get(drawn.output)
        if own is not None:
            yield from _output(drawn, own)
    if comparison.sample is not None:
        for part in comparison.sample.inputs:
            yield from _sample(comparison.sample.index, part)


def _output(drawn: DrawnOutput, numbers: OutputNumbers) -> Iterator[Part]:
    if drawn.histogram is not None:
        caption = wording.histogram(drawn, numbers)
        yield Picture("histogram", caption.title, caption.label, _histogram(drawn.histogram))
    if drawn.worst_row is not None:
        caption = wording.row(drawn)
        classes = numbers.classes
        names: list[JsonValue] = [
            clean(classes[at], 24) if at < len(classes) else f"{at}" for at in drawn.worst_row.columns
        ]
        values = (drawn.worst_row.baseline, drawn.worst_row.candidate)
        sides: list[JsonValue] = [_list(side) for side in values]
        yield Picture("row", caption.title, caption.label, {"names": names, "sides": sides})
    if drawn.top1:
        caption = wording.confusion(drawn, numbers)
        yield Picture("confusion", caption.title, caption.label, _confusion(drawn, numbers))
    if len(drawn.points) > _SERIES:
        caption = wording.scatter(drawn)
        points: list[JsonValue] = [_list(point) for point in drawn.points if None not in map(finite, point)]
        yield Picture("scatter", caption.title, caption.label, {"points": points})


def _list(values: Sequence[Number]) -> list[JsonValue]:
    return [finite(value) for value in values]


def _histogram(bins: Histogram) -> dict[str, JsonValue]:
    """Shares of both, without the bins at either end that hold next to nothing."""
    drift = [count / max(1, sum(bins.drift)) for count in bins.drift]
    noise = [count / max(1, sum(bins.noise)) for count in bins.noise] or [0.0] * len(drift)
    kept = [at for at, pair in enumerate(zip(drift, noise, strict=True)) if max(pair) >= _LEAST]
    low, high = (kept[0], kept[-1] + 1) if kept else (0, len(drift))
    return {
        "first": bins.first + low,
        "per_decade": bins.per_decade,
        "drift": [round(each, 5) for each in drift[low:high]],
        "noise": [round(each, 5) for each in noise[low:high]] if bins.members else [],
    }


def _confusion(drawn: DrawnOutput, numbers: OutputNumbers) -> dict[str, JsonValue]:
    """Counts by pair of classes: the most frequent classes, and all others together."""
    weight: dict[int, int] = {}
    for pair in drawn.top1:
        for column in (pair.baseline, pair.candidate):
            weight[column] = weight.get(column, 0) + pair.count
    kept = sorted(sorted(weight, key=lambda each: -weight[each])[:_CLASSES])
    names = {at: clean(numbers.classes[at], 24) if at < len(numbers.classes) else f"{at}" for at in kept}
    counts: dict[tuple[str, str], int] = {}
    for pair in drawn.top1:
        place = names.get(pair.baseline, "other"), names.get(pair.candidate, "other")
        counts[place] = counts.get(place, 0) + pair.count
    order: list[JsonValue] = [names[at] for at in kept]
    order += ["other"] if any("other" in place for place in counts) else []
    return {"order": order, "counts": [[*place, count] for place, count in counts.items()]}


def _sample(index: int, part: SampleInput) -> Iterator[Part]:
    """An input of the worst sample: a picture of numbers, else its text."""
    title = wording.sample_title(index, part)
    shape = [-(-axis // part.step) if axis > 4 and part.step > 1 else axis for axis in part.shape]
    image = len(shape) == 2 or (len(shape) == 3 and shape[-1] <= 4)
    floats = part.dtype.startswith(("float", "bfloat")) or part.dtype == "uint8"
    if image and floats and min(shape[:2]) > 3:
        data: dict[str, JsonValue] = {"shape": [*shape], "values": _list(part.values)}
        yield Picture("image", title, (), data)
    elif len(shape) == 1 and floats and shape[0] >= _SERIES:
        points: list[JsonValue] = [[at * part.step, value] for at, value in enumerate(part.values)]
        yield _lines(title, (), [("input", "noise", points)], {"x": "position"})
    else:
        yield Fold(title, (Code(wording.values(part)),))


def _accuracy(row: Row) -> Iterator[Part]:
    comparison = row.cell.comparison(AccuracyComparison)
    outputs = {output.name: output.classes for output in row.outputs}
    for metric in comparison.metrics if comparison else ():
        if None not in (metric.low, metric.high, metric.delta, metric.confidence):
            caption = wording.interval(metric)
            data: dict[str, JsonValue] = {
                "low": metric.low,
                "high": metric.high,
                "delta": metric.delta,
                "margin": -metric.margin if metric.higher_is_better else metric.margin,
            }
            yield Picture("interval", caption.title, caption.label, data)
    for metric in comparison.metrics if comparison else ():
        if metric.flips:
            table = wording.flips(metric, outputs.get(metric.output, ()))
            yield Fold(wording.flips_title(metric), (table,))


def _decode(row: Row) -> Iterator[Part]:
    comparison = row.cell.comparison(DecodeComparison)
    if comparison is None or comparison.identical or not comparison.steps:
        return
    caption = wording.divergence(comparison.steps)
    noise = [(step.step, step.noise_kl.mean) for step in comparison.steps if step.noise_kl]
    series = [
        (
            "candidate",
            "candidate",
            _points([(step.step, step.statistics.mean_kl) for step in comparison.steps]),
        ),
        ("noise", "noise", _points(noise)),
    ]
    yield _lines(caption.title, caption.label, series, {"x": "step", "log": True})
    caption = wording.agreement(comparison.steps)
    yield _lines(
        caption.title,
        caption.label,
        [("candidate", "candidate", _tops(comparison.steps))],
        {"x": "step", "share": True},
    )
    if comparison.continuations is not None:
        yield _continuation(comparison.continuations)


def _tops(steps: Sequence[DecodeStep]) -> list[JsonValue]:
    return _points([(step.step, step.statistics.same_top.mean) for step in steps if step.statistics.same_top])


def _points(pairs: Sequence[tuple[int, Number]]) -> list[JsonValue]:
    return [[at, finite(value)] for at, value in pairs if finite(value) is not None]


def _lines(
    title: Words,
    label: Words,
    series: Sequence[tuple[str, str, list[JsonValue]]],
    axes: dict[str, JsonValue],
) -> Picture:
    lines: list[JsonValue] = [
        {"name": name, "color": color, "points": points} for name, color, points in series if points
    ]
    return Picture("lines", title, label, {"series": lines, **axes})


def _continuation(both: Continuations) -> Continuation:
    """Both texts, cut where they diverge; ids where there is no text."""
    if both.baseline_text or both.candidate_text:
        sides = [text.split(" ") for text in (both.baseline_text, both.candidate_text)]
    else:
        sides = [[str(token) for token in side] for side in (both.baseline_tokens, both.candidate_tokens)]
    same = 0
    while same < min(map(len, sides)) and sides[0][same] == sides[1][same]:
        same += 1
    common = " ".join(sides[0][:same]) + (" " if same else "")
    before, after = (plain(" ".join(side[same:]), _TEXT) for side in sides)
    return Continuation(
        plain(both.prompt_text, _TEXT), plain(common, _TEXT) + " " * bool(same), before, after
    )


def _training(row: Row) -> Iterator[Part]:
    comparison = row.cell.comparison(TrainingComparison)
    if comparison is None or len(comparison.steps) < 2 or row.green:
        return
    steps = comparison.steps
    caption = wording.losses(steps)
    series = [
        ("baseline", "baseline", _points([(step.step, step.loss_baseline) for step in steps])),
        ("candidate", "candidate", _points([(step.step, step.loss_candidate) for step in steps])),
    ]
    band: list[JsonValue] = [[step.step, *edges] for step in steps if (edges := _noise_of_loss(step))]
    yield _lines(caption.title, caption.label, series, {"x": "step", "band": band})
    caption = wording.links(steps)
    ratios = [
        ("loss", "text", _points([(step.step, step.loss_ratio) for step in steps])),
        ("gradient", "noise", _points([(step.step, step.gradient_ratio) for step in steps])),
        ("weights", "candidate", _points([(step.step, step.weights_ratio) for step in steps])),
        ("statistics", "look", _points([(step.step, step.state_ratio) for step in steps])),
    ]
    limit = BANDS.training.link.rounding
    yield _lines(caption.title, caption.label, ratios, {"x": "step", "log": True, "limit": limit})


def _noise_of_loss(step: TrainingStep) -> list[JsonValue]:
    """The baseline's loss ± its noise, where drift and ratio say how large that is."""
    before, after, ratio = step.loss_baseline, step.loss_candidate, finite(step.loss_ratio)
    if before is None or after is None or not ratio:
        return []
    noise = abs(after - before) / ratio
    return [before - noise, before + noise]


def _origin(row: Row) -> Iterator[Part]:
    releases = row.cell.origin.releases if row.cell.origin else None
    if releases is not None and releases.ran:
        row_of = (
            Release(
                clean(each.version, 20),
                f"like-{each.like}",
                f"{clean(each.behaviour, 2)} · {LIKE[each.like]}",
            )
            for each in releases.ran
        )
        yield ReleaseRow(tuple(row_of))


def _known(row: Row) -> Iterator[Part]:
    comparison = row.cell.comparison(KnownComparison)
    if comparison is not None and comparison.exposure is not None:
        yield from wording.known(comparison.exposure)


_DRAWN: dict[str, Callable[[Row], Iterator[Part]]] = {
    "layers": _layers,
    "outputs": _outputs,
    "accuracy": _accuracy,
    "decode": _decode,
    "training": _training,
    "origin": _origin,
    "known": _known,
}
