"""What a report says about predictions: how far apart they are, compared with what, and by which rule."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from validator.checks.outputs.types import (
    NamesFinding,
    NondeterministicFinding,
    Obstacle,
    ObstacleFinding,
    OutputFinding,
    OutputNumbers,
    OutputsComparison,
    ReferenceFinding,
)
from validator.checks.protocol import Finding
from validator.numbers.distance import PairProblem, TensorComparison, Worst
from validator.numbers.drift import Drift, GrainDrift
from validator.numbers.places import Places
from validator.numbers.reference import ReferenceDistance
from validator.report import figures
from validator.report.document import Block, Entry, Heading, Table
from validator.report.phrases import Words, joined, name, words
from validator.report.words import CheckWords, Column, Place
from validator.report.words.failures import error_line
from validator.runner.captures import SelfDifference
from validator.verdict.bands import BANDS, GREEN

#: Why there is no ensemble, or one of moved weights alone.
_REASONS: dict[str, str] = {
    "savedmodel": "a SavedModel's operations are frozen",
    "unsupported-backend": "rounding cannot be moved on this backend",
    "unsupported-version": "rounding cannot be moved in this version of the framework",
    "not-traceable": "the model cannot be traced",
    "another-function": "the traced model predicts other values",
    "no-weights": "the model cannot be traced, and has no floating-point weights to move",
    "failed": "measuring it failed",
}
_PROBLEMS = {
    "dtype": "dtype changed from {sides.baseline_dtype} to {sides.candidate_dtype}",
    "kind": "the dtypes have no common values",
    "shape": "shape changed from {sides.baseline_shape} to {sides.candidate_shape}",
    "samples": "the number of samples changed from {this.baseline} to {this.candidate}",
    "empty": "both sides are empty",
    "ragged": "{subject} changed from {this.baseline} to {this.candidate}",
}
_OBSTACLES = {
    "inputs": "both sides received different inputs",
    "samples": "the baseline predicted {this.baseline} samples, the candidate {this.candidate}",
    "no-outputs": "the model returned no output that could be compared",
    "batch-size": "the batch size is {this.baseline} in the baseline and {this.candidate} in the candidate",
}
_PLACES: dict[str, Place] = {
    "not-comparable": "lead",
    "output-names": "first",
    "reference-convicts": "lead",
    "reference-confirms": "why",
    "reference-precision": "why",
}
_ABSENT = {
    "missing": "missing in the candidate",
    "extra": "new: the baseline does not have it",
    "renamed": "missing in the candidate; an output with its shape and dtype has a new name: ",
}


def _sentence(finding: Finding) -> Words:
    match finding:
        case OutputFinding():
            return words("output ", name(finding.output), ": ", _rule(finding))
        case ReferenceFinding():
            return words("float64 reference run: ", _reference(finding))
        case NondeterministicFinding():
            parts = [part for own in finding.outputs for part in ("; ", name(own.output), f" {_self(own)}")]
            return words(f"two consecutive predictions of the {finding.side} differ: ", *parts[1:])
        case NamesFinding():
            return _renamed(finding)
        case ObstacleFinding():
            return words("; ".join(map(_obstacle, finding.obstacles)))
    return words(finding.kind)


def _renamed(finding: NamesFinding) -> Words:
    pairs = [part for each in finding.names.items() for part in (", ", name(each[0]), " as ", name(each[1]))]
    parts = [words("the candidate returns the baseline's output ", *pairs[1:])]
    for outputs, what in ((finding.missing, "is missing"), (finding.extra, "is new")):
        parts += [words("output ", name(output), f" {what}") for output in outputs]
    return joined(parts, "; ")


def _place(finding: Finding) -> Place:
    if isinstance(finding, OutputFinding):
        failed = finding.rule == "units" and finding.numbers.gap_failure is not None
        return ("note" if failed else "hidden") if finding.verdict in GREEN else "lead"
    return _PLACES.get(finding.kind, "note")


_CERTAIN = {
    "bytes": "bit-identical",
    "processor": "the same bytes, but on different processors, whose bits are not comparable",
    "not-a-number": "every value is NaN on both sides, so nothing was compared",
}


def _rule(finding: OutputFinding) -> Words:
    """Which rule decided, with its numbers."""
    comparison = finding.numbers.comparison
    if comparison is None:
        other = finding.numbers.renamed_to
        return words(_ABSENT[finding.rule], name(other) if other else "")
    return joined(_decided(finding, comparison), "; ")


def _decided(finding: OutputFinding, comparison: TensorComparison) -> list[Words]:
    size, numbers = comparison.max_abs, finding.numbers
    largest = [] if size is None else [words(f"max abs diff {figures.number(size)}")]
    match finding.rule:
        case "bytes" | "processor" | "not-a-number":
            return [words(_CERTAIN[finding.rule])]
        case "structure" | "empty":
            return [words(_problem(problem, comparison)) for problem in comparison.problems]
        case "nonfinite":
            return [words(_nonfinite(comparison)), *_flipped(numbers.places)]
        case "unsteady":
            much = f"differ as much, {_self(numbers.unsteady['baseline'])}"
            why = f"nondeterministic: two runs of the baseline {much}, so nothing can be compared"
            return [words(why), *largest]
    return [*largest, *_why(finding, comparison), *map(words, _changed(finding, comparison))]


def _why(finding: OutputFinding, comparison: TensorComparison) -> Iterator[Words]:
    """The rule of an output whose numbers differ."""
    numbers, drift = finding.numbers, finding.numbers.drift
    if finding.rule == "places":
        yield words(f"{figures.share(comparison.mismatched, comparison.size)} values differ")
        yield from _flipped(numbers.places)
    elif finding.rule == "mostly-nan":
        share = figures.share(comparison.nan_baseline, comparison.size)
        yield words(f"{share} values of the baseline are NaN; the others show little")
    elif finding.rule == "chaos" and drift is not None:
        yield _chaos(numbers, drift)
    elif drift is not None and finding.grain is not None:
        yield from _noise(finding, drift, finding.grain)
    else:
        yield from map(words, _tolerance(finding, comparison))
    if finding.acquitted:
        yield words("both sides compute the same function in float64, so this is rounding")


def _changed(finding: OutputFinding, comparison: TensorComparison) -> Iterator[str]:
    """Where the largest difference is, and predictions that changed."""
    if comparison.flips and finding.numbers.ranked:
        yield f"top-1 prediction changed in {figures.share(comparison.flips, comparison.rows)} rows"
    if comparison.worst is not None and finding.verdict not in GREEN:
        rank = "first" if comparison.max_abs is None else "largest"
        yield f"{rank} difference at {_at(comparison.worst)}"


def _at(worst: Worst) -> str:
    before, after = worst.baseline, worst.candidate
    change = f"{before!r} → {after!r}"
    if isinstance(before, float | None) and isinstance(after, float | None):
        change = figures.moved_value(before, after)
    return f"{list(worst.index)}: {change}"


def _problem(problem: PairProblem, comparison: TensorComparison) -> str:
    if problem.kind == "batched":
        return f"one value per {'sample' if problem.baseline else 'batch'} in the baseline only"
    subject = "the number of ragged dimensions"
    if problem.dimension is not None:
        subject = "the number of rows" if problem.row is None else f"the length of row {problem.row}"
        subject += f" in ragged dimension {problem.dimension}"
    return _PROBLEMS[problem.kind].format(sides=comparison, this=problem, subject=subject)


def _nonfinite(comparison: TensorComparison) -> str:
    before = f"{comparison.nan_baseline:,} NaN and {comparison.inf_baseline:,} infinite values"
    after = f"{comparison.nan_candidate:,} and {comparison.inf_candidate:,}"
    first = f", first at {_at(comparison.first_nonfinite)}" if comparison.first_nonfinite else ""
    return f"{before} became {after}{first}"


def _self(own: SelfDifference) -> str:
    largest = "" if own.max_abs is None else f"by up to {figures.number(own.max_abs)} "
    return f"{largest}in {own.elements:,} values"


def _noise(finding: OutputFinding, drift: Drift, grain: GrainDrift) -> Iterator[Words]:
    """The grain that decided, as a multiple of what the ensemble comes to there."""
    low, high = finding.band or (0, 0)
    band = f"(rounding below {low:g}, changed above {high:g})"
    place, off = _grain(finding.numbers, grain), figures.number(grain.size)
    times = figures.ratio(grain.ratio)
    if drift.method == "none":
        last = f"{times} what rounding to {grain.reach:.0f} units in the last place comes to"
        yield words(place, f"drift of {off} is {last} {band}")
        yield words("no noise to compare with: ", _without_noise(finding.numbers))
        return
    yield words(place, f"drift of {off} is {times} the noise {band}")
    if drift.method == "weights":
        yield words(f"noise of moved weights alone: {_reason(finding.numbers)}")
    rows = finding.numbers.comparison.baseline_shape[:1] if finding.numbers.comparison else ()
    if finding.verdict not in GREEN and rows and drift.rows < rows[0]:
        yield words(f"noise measured on {drift.rows:,} of {rows[0]:,} rows")


def _grain(numbers: OutputNumbers, grain: GrainDrift) -> Words:
    """What a grain is of, in front of its drift."""
    if grain.grain == "all":
        return ()
    if grain.grain == "row":
        return words(f"sample {grain.index[0]}: ")
    if grain.grain == "column":
        return words(*_column(numbers, grain.index), ": ")
    return words("at ", f"{list(grain.index)}", *_class(numbers, grain.index), ": ")


def _column(numbers: OutputNumbers, index: tuple[int, ...]) -> Words:
    if not index:
        return words("the values")
    place = f"{index[0]}" if len(index) == 1 else f"{list(index)}"
    return words(f"column {place}", *_class(numbers, index))


def _class(numbers: OutputNumbers, index: tuple[int, ...]) -> Words:
    """The user's name of a place along the last axis."""
    return words(", ", name(numbers.classes[index[-1]])) if index and numbers.classes else ()


def _chaos(numbers: OutputNumbers, drift: Drift) -> Words:
    whole = "they cannot show a change; layers replayed on the baseline's inputs can"
    if drift.chaos >= drift.column_chaos:
        return words(
            f"rounding alone moves these outputs by {figures.number(drift.chaos)} of their spread; {whole}"
        )
    share = figures.number(drift.column_chaos)
    column = _column(numbers, drift.chaos_index)
    return words("rounding alone moves ", *column, f" by {share} of its spread; it cannot show a change")


def _flipped(places: Places | None) -> Iterator[Words]:
    """Discrete values that differ, against those that rounding flips."""
    if places is None:
        return
    if places.moved > BANDS.outputs.places.rounding * places.flips and places.flips:
        yield words(f"rounding alone flips {places.flips:,} at most")
    elif not places.novel:
        yield words("rounding alone flips each of them to the same value: they are ties")
    if not places.novel:
        return
    are = "is" if places.novel == 1 else "are"
    unseen = f" (by chance, up to {places.reach:,} can be)" if places.reach else ""
    yield words(f"{places.novel:,} of them {are} not what rounding alone gives{unseen}")


def _reason(numbers: OutputNumbers) -> str:
    return noise_reason(numbers.noise_reason)


def noise_reason(reason: str) -> str:
    """Why there is no ensemble, or one of moved weights alone: the worker's word as a clause."""
    return _REASONS.get(reason, reason)


def _without_noise(numbers: OutputNumbers) -> str:
    if numbers.gap_failure is not None:
        return f"measuring it failed ({error_line(numbers.gap_failure)})"
    return _reason(numbers) or "this output's shape varies"


def _tolerance(finding: OutputFinding, comparison: TensorComparison) -> Iterator[str]:
    """Exactness, the configured tolerance, or that of the dtype, which needs a reason."""
    share = figures.share(comparison.mismatched, comparison.size)
    if finding.rule == "exact":
        yield f"{share} values differ; integers, booleans and strings must be equal"
        return
    used, numbers = comparison.tolerance, finding.numbers
    where = f"{share} values outside" if comparison.mismatched else "all values within"
    which = "configured" if finding.rule == "tolerance" else comparison.baseline_dtype
    yield f"{where} the {which} tolerance (rtol {used.rtol:g}, atol {used.atol:g})"
    if finding.by_noise is not None and numbers.drift is not None:
        ratio = figures.ratio(numbers.drift.ratio)
        looser = "looser" if finding.verdict == "rounding" else "stricter"
        than = "" if finding.by_noise == finding.verdict else f"the tolerance is {looser} than the noise: "
        yield f"{than}drift is {ratio} the noise, which alone means {finding.by_noise}"
    if finding.rule == "dtype-tolerance" and numbers.drift is not None:
        yield f"no noise to compare with: {_without_noise(numbers)}"


def _reference(finding: ReferenceFinding) -> Words:
    distance, policy = finding.distance, finding.policy
    if distance is None:
        reason = "its outputs are not the same on both sides"
        if finding.failure is not None:
            reason = f"it failed in the {finding.failed_side}: {error_line(finding.failure)}"
        return words(f"none to compare ({reason}); the cell's own noise decides, with less certainty")
    apart = words("output ", name(distance.output), f" differs {_relative(distance)}")
    computes = "computes with other weights" if finding.weights_differ else "computes another function"
    if finding.kind == "reference-convicts" and not distance.discrete:
        hides = policy if policy and "float16" in policy else "rounding"
        return words(f"the candidate {computes}, which {hides} hides: ", apart)
    if finding.kind in ("reference-convicts", "reference-confirms"):
        return words(f"the candidate {computes}: ", apart)
    same = f"both sides compute the same function ({_agreement(distance)})"
    if finding.kind == "reference-acquits":
        return words(f"{same}, so the difference is rounding")
    return words(f"{same}; {_accuracy(distance)}")


def _relative(distance: ReferenceDistance) -> str:
    """The part that differs most: everything, a sample or a column."""
    if not math.isfinite(distance.delta):
        return "by where it is not finite"
    if distance.discrete:
        return f"in {figures.number(100 * distance.delta)} % of its values in float64 as well"
    parts = {"in all": distance.delta, "in a sample": distance.row_delta}
    parts[f"in column {list(distance.index)}"] = distance.column_delta
    where = max(parts, key=lambda part: parts[part])
    times = "×" if parts[where] >= 1 else " of"
    return f"by {figures.number(parts[where])}{times} its size {where}"


def _agreement(distance: ReferenceDistance) -> str:
    if distance.delta == 0:
        return "bit-identical outputs" if not distance.row_delta else "equal outputs"
    return f"relative difference {figures.number(distance.delta)}"


def _accuracy(distance: ReferenceDistance) -> str:
    """Which side is nearer to the baseline's float64 run."""
    if distance.discrete:
        return "the difference is one of precision"
    before, after = distance.bits
    quality = "as accurate as" if abs(after - before) <= 1 else "more accurate than"
    quality = "less accurate than" if after < before - 1 else quality
    bits = f"{before:.1f} effective bits became {after:.1f}"
    return f"the precision changed: the candidate is {quality} the baseline ({bits})"


def _obstacle(obstacle: Obstacle) -> str:
    if obstacle.failure is not None:
        return f"the outputs cannot be read: {error_line(obstacle.failure)}"
    return _OBSTACLES[obstacle.kind].format(this=obstacle)


def _max_abs(comparison: OutputsComparison) -> str:
    return figures.number(comparison.max_abs)


def _times_noise(comparison: OutputsComparison) -> str:
    return figures.ratio(comparison.noise_ratio)


def _top1(comparison: OutputsComparison) -> str:
    parts = (output.comparison for output in comparison.outputs if output.ranked)
    known = [(part.flips, part.rows) for part in parts if part and part.flips is not None]
    worst = max(known, key=lambda pair: pair[0] / (pair[1] or 1), default=(None, None))
    return figures.share(*worst)


_COLUMNS = (
    Column("max abs diff", _max_abs),
    Column("drift ÷ noise", _times_noise),
    Column("top-1 changed", _top1),
)


def _details(comparison: OutputsComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    """Every output with its numbers; nothing where all are identical, as the main table shows."""
    outputs = [finding for finding in findings if isinstance(finding, OutputFinding)]
    if all(output.verdict == "identical" for output in outputs):
        return ()
    numeric = (Heading(column.heading, numeric=True) for column in _COLUMNS)
    headings = (Heading("output"), *numeric, Heading("float64 difference", numeric=True), Heading("result"))
    return (Table(headings, tuple(_row(output) for output in outputs)),)


def _row(finding: OutputFinding) -> tuple[Entry, ...]:
    alone = OutputsComparison(outputs=(finding.numbers,))
    sides = finding.numbers.comparison
    layout = f"{figures.shape(sides.candidate_shape)} {sides.candidate_dtype}" if sides else ""
    numbers = (Entry(words(column.show(alone))) for column in _COLUMNS)
    distance = finding.numbers.reference
    exact = Entry(words(figures.number(distance.delta) if distance else figures.NONE))
    result = Entry(words(str(finding.verdict)), _rule(finding))
    return (Entry(words(name(finding.output)), words(layout)), *numbers, exact, result)


WORDS = CheckWords(sentence=_sentence, place=_place, columns=_COLUMNS, details=_details)
