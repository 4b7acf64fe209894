"""What stands above each picture of the HTML report, and what it shows in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from validator.catalogue.entries import change
from validator.checks.decode.types import DecodeStep
from validator.checks.known.types import Exposure
from validator.checks.layers.types import LayersComparison, LayerTable
from validator.checks.outputs.types import DrawnOutput, OutputNumbers, SampleInput
from validator.checks.training.types import TrainingStep
from validator.numbers.metrics import MetricResult
from validator.report import figures
from validator.report.document import Bullets, Entry, Heading, Table
from validator.report.phrases import Words, name, plural, words
from validator.report.words.advice import when
from validator.report.words.known import link


@dataclass(frozen=True)
class Caption:
    """Above a picture, and in its place."""

    title: Words
    label: Words


def graph(comparison: LayersComparison, table: LayerTable | None, first: str) -> Caption:
    """The model's layers with their drift."""
    samples = plural(len(comparison.samples), "sample")
    title = words(f"Layers in the order of the model, with drift ÷ noise on the {samples} that moved most")
    start = f"the first divergent layer is {first}" if first else "no layer diverges on identical input"
    count = f"{table.diverging} of {table.layers} diverge, " if table else ""
    passed = f"{table.propagating} propagate; " if table else ""
    return Caption(title, words(f"{plural(len(comparison.nodes), 'layer')}: {count}{passed}{start}."))


def histogram(drawn: DrawnOutput, numbers: OutputNumbers) -> Caption:
    """Sizes of the differences beside those of the noise."""
    assert drawn.histogram is not None  # noqa: S101  # there is one to draw
    bins = drawn.histogram
    equal = f"; {100 * bins.drift_equal / max(1, bins.elements):.0f} % are equal and not drawn"
    title = words(
        "|difference| of each element of ",
        name(drawn.output),
        ", share per bin",
        equal if bins.drift_equal else "",
    )
    rms = figures.number(numbers.comparison.rms if numbers.comparison else None)
    against = f", against {plural(bins.members, 'member')} of the noise ensemble" if bins.members else ""
    ratio = figures.ratio(numbers.drift.ratio if numbers.drift else None)
    times = f"; drift is {ratio} the noise" if ratio != figures.NONE else ""
    return Caption(title, words(f"{plural(bins.elements, 'element')}{against}: rms {rms}{times}."))


def row(drawn: DrawnOutput) -> Caption:
    """The worst row."""
    assert drawn.worst_row is not None  # noqa: S101  # there is one to draw
    place = list(drawn.worst_row.index)
    columns, width = len(drawn.worst_row.columns), drawn.worst_row.width
    part = "" if columns == width else f"; {columns} of {width} columns"
    title = words("Row ", f"{place}", " of ", name(drawn.output), f", where the largest difference is{part}")
    pairs = zip(drawn.worst_row.columns, drawn.worst_row.baseline, drawn.worst_row.candidate, strict=True)
    texts = [f"column {at}: {figures.moved_value(before, after)}" for at, before, after in pairs]
    return Caption(title, words("; ".join(texts), "."))


def confusion(drawn: DrawnOutput, numbers: OutputNumbers) -> Caption:
    """Top-1 changes by class."""
    pair = numbers.comparison
    total, rows = (pair.flips, pair.rows) if pair else (None, None)
    title = words("Top-1 predictions that changed, baseline (rows) and candidate (columns)")
    most = drawn.top1[0]
    often = f"most often from column {most.baseline} to {most.candidate} ({most.count:,} times)"
    return Caption(title, words(f"{figures.share(total, rows)} predictions changed, {often}."))


def scatter(drawn: DrawnOutput) -> Caption:
    """Values of both sides."""
    title = words("Candidate against baseline, values of ", name(drawn.output))
    return Caption(
        title, words(f"{plural(len(drawn.points), 'value')}: those that moved most, and an even spread.")
    )


def interval(metric: MetricResult) -> Caption:
    """The difference of a metric with its interval."""
    sure = f"{100 * (metric.confidence or 0):.3g} % interval {metric.low:+.3g} … {metric.high:+.3g}"
    title = words(f"{metric.metric}, candidate − baseline, with the accepted loss")
    return Caption(title, words(f"{metric.delta:+.3g}, {sure}; the gate accepts {metric.margin:.3g}."))


def flips(metric: MetricResult, classes: Sequence[str]) -> Table:
    """The first predictions that became wrong."""

    def named(number: int) -> str:
        return classes[number] if 0 <= number < len(classes) else "NaN" if number < 0 else f"{number}"

    headings = (
        Heading("sample"),
        *(
            (Heading("position", numeric=True),)
            if any(each.position is not None for each in metric.flips)
            else ()
        ),
        *(Heading(text) for text in ("label", "baseline", "candidate")),
    )
    several = len(headings) == 5
    rows = tuple(
        tuple(
            Entry(words(text))
            for text in (
                f"{each.sample}",
                *((f"{each.position}",) if several else ()),
                *(named(value) for value in (each.label, each.baseline, each.candidate)),
            )
        )
        for each in metric.flips
    )
    return Table(headings, rows)


def flips_title(metric: MetricResult) -> Words:
    """Above the first predictions that became wrong."""
    listed, total = len(metric.flips), metric.negative_flips or len(metric.flips)
    return words(f"Predictions that became wrong: {listed} of {total:,}")


def divergence(steps: Sequence[DecodeStep]) -> Caption:
    """KL by step."""
    known = [step.statistics.mean_kl for step in steps if step.statistics.mean_kl is not None]
    title = words("KL(baseline ‖ candidate) by step, in nats, along the baseline's tokens")
    spread = (
        f"from {figures.number(known[0])} at the first step to at most {figures.number(max(known))}"
        if known
        else ""
    )
    return Caption(title, words(f"{plural(len(steps), 'step')}: {spread}."))


def agreement(steps: Sequence[DecodeStep]) -> Caption:
    """Top-1 agreement by step."""
    shares = [step.statistics.same_top.mean for step in steps if step.statistics.same_top]
    least = f"{min(shares):.0%}" if shares else figures.NONE
    return Caption(
        words("Positions with the same top-1 token, by step"), words(f"At least {least} at every step.")
    )


def losses(steps: Sequence[TrainingStep]) -> Caption:
    """Loss of both sides."""
    first, last = steps[0], steps[-1]
    start = figures.moved_value(first.loss_baseline, first.loss_candidate)
    end = figures.moved_value(last.loss_baseline, last.loss_candidate)
    title = words("Training loss by step; the band is the noise of the baseline's own step")
    return Caption(title, words(f"Step {first.step}: {start}; step {last.step}: {end}."))


def links(steps: Sequence[TrainingStep]) -> Caption:
    """Loss, gradients, weights and statistics in units of the noise."""
    largest = figures.ratio(max((each.weights_ratio or 0.0 for each in steps), default=None))
    title = words("Drift ÷ noise of each part of a step")
    return Caption(title, words(f"Weights drift by up to {largest} the noise."))


def sample_title(index: int, part: SampleInput) -> Words:
    """Above an input of the worst sample."""
    step = f", every {part.step}th along an axis" if part.step > 1 else ""
    shape = figures.shape(part.shape)
    return words(f"Sample {index}, input ", name(part.name), f" ({shape} {part.dtype}{step})")


def values(part: SampleInput) -> str:
    """An input as text: its words, or its numbers."""
    if part.texts:
        return "\n".join(part.texts)
    return " ".join("NaN" if value is None else f"{value:g}" for value in part.values)


_STATES = (
    ("seen", "seen"),
    ("unclear", "may have taken part"),
    ("not_exercised", "not exercised"),
    ("without_effect", "exercised, no effect"),
)


def known(exposure: Exposure) -> tuple[Table | Bullets, ...]:
    """Every known change that can reach the model, and what came of it."""
    rows = []
    for field, state in _STATES:
        for number in getattr(exposure, field):
            entry = change(number)
            if entry is None:
                rows.append((Entry(words(number)), Entry(()), Entry(words(state)), Entry(())))
                continue
            needs = ", ".join(entry.inputs)
            look = f"shows with: {needs}" if needs and field == "not_exercised" else entry.seen
            title = Entry(words(entry.title, " (", link(entry), ")"))
            rows.append((title, Entry(words(when(entry))), Entry(words(state)), Entry(words(look))))
    heads = tuple(Heading(text) for text in ("change", "releases", "in this run", "what it does"))
    return (Table(heads, tuple(rows)),) if rows else ()
