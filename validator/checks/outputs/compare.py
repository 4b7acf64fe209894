"""Both sides of every output → numbers, with those of the noise and of float64 once they were measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from validator.checks.bands import OutputBands
from validator.checks.loading.types import SIDES, Side
from validator.checks.outputs.matching import OutputPair, match_outputs, moved_names
from validator.checks.outputs.recording import MeasuredSide, OutputsRecording, ReferenceAnswer, StoredNoise
from validator.checks.outputs.types import (
    DrawnOutput,
    Measurement,
    Obstacle,
    OutputNumbers,
    OutputsComparison,
    ReferenceComparison,
)
from validator.config.settings import ModelSettings, Tolerance
from validator.failure import Failure
from validator.numbers.distance import TensorComparison, compare_tensors
from validator.numbers.drift import measure_drift
from validator.numbers.ensembles import Ensemble, Rows, read_codes, read_patterns
from validator.numbers.moved import chosen_batches, most_moved
from validator.numbers.pictured import histogram, moved_points, top1_pairs, worst_row
from validator.numbers.places import compare_places
from validator.numbers.reference import ReferenceDistance, measure_reference
from validator.numbers.tolerances import TOLERANCES, unit_of
from validator.numbers.values import Decoder, kind_of
from validator.runner.captures import SelfDifference
from validator.storage.tensors import StoredTensor

#: Dtypes, and policies, whose noise hides other functions: they run in float64 though no byte differs.
HALF = frozenset({"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"})
#: Noise is measured on so many samples, and numbers of a member, at most; a batch at least.
_SAMPLES, _NUMBERS = 512, 8_000_000
_LAYERS = 16  # samples kept for the check `layers`
#: Metrics of the largest score of a row, and the rows that show whether they are probabilities.
_RANKING = re.compile(r"accuracy|f1|auc|iou|perplexity|top[-_]")
_ROWS, _SUM = 64, 0.02


def compare_outputs(
    baseline: OutputsRecording, candidate: OutputsRecording, model: ModelSettings, bands: OutputBands
) -> OutputsComparison:
    """Everything that the outputs of both sides show, or what stands against comparing them."""
    sides = dict(zip(SIDES, (baseline, candidate), strict=True))
    comparison = OutputsComparison(
        obstacles=tuple(_obstacles(baseline, candidate)),
        samples=(baseline.response.samples, candidate.response.samples),
        nondeterministic={
            side: recording.response.self_difference
            for side, recording in sides.items()
            if recording.response.deterministic is False
        },
    )
    if comparison.obstacles:
        return comparison
    own = {side: recording.response.self_difference for side, recording in sides.items()}
    outputs = tuple(
        numbers.model_copy(
            update={
                "unsteady": _unsteady(own, numbers, bands),
                "classes": _classes(numbers, model),
                "ranked": numbers.ranked or _ranked(numbers, model),
            }
        )
        for numbers in output_numbers(baseline.outputs, candidate.outputs, model.tolerance)
    )
    apart = {numbers.name for numbers in outputs if numbers.comparison is None or _apart(numbers.comparison)}
    names = moved_names(baseline.outputs, candidate.outputs, apart)
    compared = comparison.model_copy(update={"outputs": outputs, "names": names})
    if baseline.measured:
        return _measured(compared, baseline, candidate, bands)
    return compared.model_copy(update=_to_measure(compared, baseline, candidate))


def output_numbers(
    baseline: Sequence[StoredTensor], candidate: Sequence[StoredTensor], tolerance: Tolerance | None
) -> Iterator[OutputNumbers]:
    """Every output of both sides: those of both first, then what only a side has."""
    match = match_outputs(baseline, candidate)
    for pair in match.pairs:
        comparison = compare_tensors(*pair, tolerance)
        ranked = comparison.flips is not None and _are_probabilities(pair.baseline)
        yield OutputNumbers(
            name=pair.baseline.name, comparison=comparison, tolerance=tolerance, ranked=ranked
        )
    for tensor in match.missing:
        yield OutputNumbers(name=tensor.name, only_in="baseline")
    for tensor in match.extra:
        yield OutputNumbers(name=tensor.name, only_in="candidate")
    for pair in match.renamed:
        yield OutputNumbers(name=pair.baseline.name, only_in="baseline", renamed_to=pair.candidate.name)


def with_noise(
    numbers: OutputNumbers, pair: OutputPair, measured: MeasuredSide, bands: OutputBands
) -> OutputNumbers:
    """One output with its drift over a noise that was measured around the first side of the pair."""
    unsteady = _unsteady({"baseline": measured.self_difference}, numbers, bands)
    steady = numbers.model_copy(update={"unsteady": unsteady})
    if unsteady or not _apart(numbers.comparison):
        return steady
    return steady.model_copy(update=_over_noise(pair, numbers, measured.noise, bands))


def _classes(numbers: OutputNumbers, model: ModelSettings) -> tuple[str, ...]:
    """The user's names along the last axis of an output, where it has as many."""
    shape = numbers.comparison.baseline_shape if numbers.comparison else ()
    return model.classes if shape[1:] and shape[-1] == len(model.classes) else ()


def _ranked(numbers: OutputNumbers, model: ModelSettings) -> bool:
    """Whether the largest value of a row is asked to be a prediction, though rows are no probabilities."""
    if numbers.comparison is None or numbers.comparison.flips is None:
        return False
    return model.decode is not None or any(_RANKING.match(metric) for metric in model.metrics)


def _are_probabilities(tensor: StoredTensor) -> bool:
    """Whether the first rows of an output are probabilities."""
    width, count = tensor.shape[-1], min(tensor.size, _ROWS * tensor.shape[-1])
    first = Decoder(tensor.dtype, kind_of(tensor), count)(tensor.open().values[:count])
    rows = np.asarray(first, np.float64).reshape(-1, width)
    return bool((rows >= 0).all() and (np.abs(rows.sum(axis=1) - 1) < _SUM).all())


def _unsteady(
    sides: Mapping[Side, Sequence[SelfDifference]], numbers: OutputNumbers, bands: OutputBands
) -> dict[Side, SelfDifference]:
    """How far each side of an output is from itself; a few units are rounding, and left out."""
    comparison = numbers.comparison
    own = {
        side: difference
        for side, differences in sides.items()
        for difference in differences
        if difference.output == numbers.name
    }
    if comparison is None or comparison.rms_baseline is None or comparison.baseline_dtype not in TOLERANCES:
        return own
    least = bands.units * unit_of(comparison.baseline_dtype)[0] * comparison.rms_baseline
    return {
        side: difference
        for side, difference in own.items()
        if difference.max_abs is None or difference.max_abs > least
    }


def _apart(comparison: TensorComparison | None) -> bool:
    """Whether two tensors can be held against noise, and have to be."""
    return (
        comparison is not None and comparison.compared and not (comparison.identical or comparison.problems)
    )


def _to_measure(
    comparison: OutputsComparison, baseline: OutputsRecording, candidate: OutputsRecording
) -> dict[str, object]:
    """What moved most, and what a further round could tell of it. Of a random baseline nothing can."""
    pairs = {pair.baseline.name: pair for pair in match_outputs(baseline.outputs, candidate.outputs).pairs}
    steady = [numbers for numbers in comparison.outputs if "baseline" not in numbers.unsteady]
    apart = [pairs[numbers.name] for numbers in steady if _apart(numbers.comparison)]
    samples, size = comparison.samples[0] or 0, baseline.response.batch_size or 1
    if not apart:
        half = {baseline.response.policy, candidate.response.policy, *(out.dtype for out in baseline.outputs)}
        hidden = Measurement(noise=False, batches=(0,)) if steady and samples and half & HALF else None
        return {"measurement": hidden}
    moved = most_moved(apart, samples)
    numbers = sum(output.size for output in baseline.outputs) * size // max(1, samples)
    most = max(1, min(_SAMPLES // size, _NUMBERS // max(1, numbers)))
    return {
        "moved": moved[:_LAYERS],
        "measurement": Measurement(
            noise=True,
            batches=chosen_batches(moved, samples, size, most),
            candidate=not any("candidate" in each.unsteady for each in comparison.outputs),
        ),
    }


def _measured(
    comparison: OutputsComparison, baseline: OutputsRecording, candidate: OutputsRecording, bands: OutputBands
) -> OutputsComparison:
    """The same with drift over noise, and what both sides come to in float64."""
    pairs = {pair.baseline.name: pair for pair in match_outputs(baseline.outputs, candidate.outputs).pairs}
    apart = [pairs[numbers.name] for numbers in comparison.outputs if _apart(numbers.comparison)]
    reference = _reference(baseline, candidate)
    distances = _distances(baseline, candidate, pairs) if reference and _clean(reference) else {}
    outputs = []
    for numbers in comparison.outputs:
        update: dict[str, object] = {"reference": distances.get(numbers.name)}
        if _apart(numbers.comparison) and "baseline" not in numbers.unsteady:
            update |= _over_noise(pairs[numbers.name], numbers, baseline.stored_noise, bands)
        outputs.append(numbers.model_copy(update=update))
    moved = most_moved(apart, comparison.samples[0] or 0)[:_LAYERS]
    drawn = tuple(
        _drawn(pairs[numbers.name], numbers, baseline) for numbers in outputs if _apart(numbers.comparison)
    )
    more = {"outputs": tuple(outputs), "reference": reference, "moved": moved, "drawn": drawn}
    return comparison.model_copy(update=more)


def _over_noise(
    pair: OutputPair, numbers: OutputNumbers, noise: StoredNoise, bands: OutputBands
) -> dict[str, object]:
    """The fields of an output's drift over noise, and of why the noise is less than an ensemble."""
    ensemble = noise.ensemble(pair.baseline)
    update: dict[str, object] = {"noise_reason": noise.reason}
    if isinstance(ensemble, Failure):
        update |= {"gap": "failed", "gap_failure": ensemble}
    elif ensemble is None:
        update["gap"] = "no-members"
    known = ensemble if isinstance(ensemble, Ensemble) else Ensemble.nothing(pair.baseline)
    if pair.baseline.dtype not in TOLERANCES:
        return update | ({"places": compare_places(*pair, known, read_codes)} if known.members else {})
    if known.members and numbers.comparison is not None and numbers.comparison.nonfinite_mismatched:
        update["places"] = compare_places(*pair, known, read_patterns)
    measured = measure_drift(*pair, known, bands.units)
    return update | {"drift": measured.drift, "noise_max_abs": measured.noise_max_abs or None}


def _drawn(pair: OutputPair, numbers: OutputNumbers, baseline: OutputsRecording) -> DrawnOutput:
    """What is drawn of an output that differs."""
    ensemble = baseline.stored_noise.ensemble(pair.baseline)
    known = ensemble if isinstance(ensemble, Ensemble) else Ensemble.nothing(pair.baseline)
    comparison, floats = numbers.comparison, kind_of(pair.baseline) in ("single", "double")
    worst = comparison.worst if comparison else None
    return DrawnOutput(
        output=numbers.name,
        histogram=histogram(*pair, known),
        worst_row=worst_row(*pair, worst.index, ranked=numbers.ranked) if worst else None,
        top1=top1_pairs(*pair) if numbers.ranked and floats and comparison and comparison.flips else (),
        points=() if numbers.ranked else moved_points(*pair),
    )


def _obstacles(baseline: OutputsRecording, candidate: OutputsRecording) -> Iterator[Obstacle]:
    left, right = baseline.response, candidate.response
    if left.inputs_digest != right.inputs_digest:
        yield Obstacle(kind="inputs")
    if left.samples != right.samples:
        yield Obstacle(kind="samples", baseline=left.samples, candidate=right.samples)
    if left.batch_size != right.batch_size:
        yield Obstacle(kind="batch-size", baseline=left.batch_size, candidate=right.batch_size)
    for recording in (baseline, candidate):
        if recording.failure is not None:
            yield Obstacle(kind="unreadable", failure=recording.failure)
    if not (left.outputs or right.outputs):
        yield Obstacle(kind="no-outputs")


def _reference(baseline: OutputsRecording, candidate: OutputsRecording) -> ReferenceComparison | None:
    """Both float64 runs; None where they were not asked for on both sides."""
    answers = baseline.reference, candidate.reference
    if None in answers:
        return None
    policies = (recording.response.policy for recording in (candidate, baseline))
    half = next((policy for policy in policies if policy in HALF), baseline.response.policy)
    comparison = ReferenceComparison(policy=half)
    for side, recording in zip(SIDES, (baseline, candidate), strict=True):
        exact = recording.exact()
        if isinstance(exact, Failure):
            return comparison.model_copy(update={"failure": exact, "failed_side": side})
    known = [answer for answer in answers if isinstance(answer, ReferenceAnswer)]
    comparison = comparison.model_copy(update={"how": known[0].how})
    alike = {(answer.how, answer.samples) for answer in known}
    names = {tuple(sorted((each.name, *each.shape) for each in answer.outputs)) for answer in known}
    return comparison.model_copy(update={"unmatched": len(alike) + len(names) > 2})


def _clean(reference: ReferenceComparison) -> bool:
    return reference.failure is None and not reference.unmatched


def _distances(
    baseline: OutputsRecording, candidate: OutputsRecording, pairs: dict[str, OutputPair]
) -> dict[str, ReferenceDistance]:
    """What every output comes to in float64, by name."""
    before, after, answer = baseline.exact(), candidate.exact(), baseline.reference
    if not (isinstance(before, tuple) and isinstance(after, tuple) and isinstance(answer, ReferenceAnswer)):
        return {}
    distances = {}
    for exact in match_outputs(before, after).pairs:
        pair = pairs.get(exact.baseline.name)
        if pair is None or pair.baseline.shape != pair.candidate.shape:
            continue
        rows = answer.rows(pair.baseline)
        wide = "float64" if pair.baseline.dtype in TOLERANCES else pair.baseline.dtype
        dtype = "complex128" if pair.baseline.dtype.startswith("complex") else wide
        alike = all(side.dtype == dtype for side in exact)
        if rows.size and alike and exact.baseline.shape == (len(rows), *pair.baseline.shape[1:]):
            distances[exact.baseline.name] = _distance(pair, exact, rows)
    return distances


def _distance(pair: OutputPair, exact: OutputPair, rows: Rows) -> ReferenceDistance:
    if pair.baseline.dtype in TOLERANCES:
        return measure_reference(pair, exact, rows)
    apart = read_codes(exact.baseline) != read_codes(exact.candidate)
    return ReferenceDistance(output=pair.baseline.name, discrete=True, delta=float(apart.mean()))
