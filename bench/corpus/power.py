"""What the noise floor can see: changes of known size, planted in recorded outputs.

A change of size k adds ± k h to some numbers of a candidate that differs from its baseline by rounding. h is
0.45 of the root mean square by which the ensemble moves a number (at least one unit roundoff of it): about
what another order of the sums does to it. Planted changes are in the outputs alone: float64 cannot see them.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from validator.checks.bands import CellVerdict
from validator.checks.outputs.find import judge_output
from validator.checks.outputs.recording import read_outputs
from validator.checks.outputs.types import OutputNumbers
from validator.checks.protocol import Evidence
from validator.matrix import Cell, Variant
from validator.numbers.distance import compare_tensors
from validator.numbers.drift import measure_drift
from validator.numbers.ensembles import Ensemble, read_rows
from validator.numbers.tolerances import unit_of
from validator.pipeline.project import open_project
from validator.runner import Capture, read_capture
from validator.storage.tensors import StoredTensor, TensorEntry, open_tensors
from validator.verdict.bands import BANDS, GREEN

SIZES = (1, 2, 4, 8, 16, 32, 100)
DRAWS = 2
_UNIT = 0.45
_CLASSES = 100_000
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Recorded:
    """A floating output of both sides with the baseline's ensemble."""

    model: str
    baseline: StoredTensor
    candidate: StoredTensor
    ensemble: Ensemble


def recorded_outputs(model: str, baseline: Path, candidate: Path) -> Iterator[Recorded]:
    """The outputs of two captures that differ by rounding, whose noise was measured on every row."""
    sides = read_capture(baseline), read_capture(candidate)
    measured = [read_capture(folder) for folder in sorted(baseline.glob("+outputs*"))]
    noise = next((each for each in measured if isinstance(each, Capture)), None)
    if noise is None or not all(isinstance(side, Capture) for side in sides):
        return
    before, after = (each for each in sides if isinstance(each, Capture))
    cell = Cell(model, "", Variant("as-saved"))
    recording = read_outputs(Evidence(cell, before, own={"outputs": noise}))
    others = {tensor.name: tensor for tensor in after.outputs}
    for tensor in recording.outputs:
        ensemble, other = recording.stored_noise.ensemble(tensor), others.get(tensor.name)
        if not isinstance(ensemble, Ensemble) or other is None or tensor.dtype != "float32":
            continue
        if other.shape == tensor.shape and len(ensemble.rows) == tensor.shape[0]:
            yield Recorded(model, tensor, other, ensemble)


def recorded_project(configuration: Path) -> Iterator[Recorded]:
    """The outputs of the last run of a project."""
    project = open_project(configuration)
    folder = project.run_folder(None)
    for cell in project.plan.cells:
        baseline = project.plan.baseline_of(cell)
        if cell != baseline:
            yield from recorded_outputs(cell.model, folder.capture(baseline), folder.capture(cell))


def _column(shape: tuple[int, ...], random: np.random.Generator) -> Mask:
    mask = np.zeros((shape[0], int(np.prod(shape[1:]))), np.bool_)
    mask[:, random.integers(mask.shape[1])] = True
    return mask.reshape(shape)


def _sample(shape: tuple[int, ...], random: np.random.Generator) -> Mask:
    mask = np.zeros(shape, np.bool_)
    mask[random.integers(shape[0])] = True
    return mask


def _half_a_sample(shape: tuple[int, ...], random: np.random.Generator) -> Mask:
    mask = _sample(shape, random).reshape(shape[0], -1)
    mask[:, max(1, mask.shape[1] // 2) :] = False
    return mask.reshape(shape)


def _element(shape: tuple[int, ...], random: np.random.Generator) -> Mask:
    mask = np.zeros(shape, np.bool_)
    mask.flat[random.integers(mask.size)] = True
    return mask


def _last_step(shape: tuple[int, ...], random: np.random.Generator) -> Mask:
    mask = np.zeros(shape, np.bool_)
    mask[:, -1] = True
    return mask


#: Place → which shapes have it, and a mask of it.
PLACES: dict[str, tuple[Callable[[tuple[int, ...]], bool], Callable[..., Mask]]] = {
    "all": (lambda shape: True, lambda shape, random: np.ones(shape, np.bool_)),
    "one column": (lambda shape: 1 < math.prod(shape[1:]) < _CLASSES, _column),
    "one sample": (lambda shape: True, _sample),
    "half a sample": (lambda shape: math.prod(shape[1:]) > 1, _half_a_sample),
    "one element": (lambda shape: True, _element),
    "last step": (lambda shape: len(shape) > 2, _last_step),
    f"one class of {_CLASSES:,}": (lambda shape: shape[-1] >= _CLASSES, _column),
}


@dataclass(frozen=True)
class Seen:
    """How often a change of one size in one place is at least suspicious, and how often changed."""

    place: str
    size: int
    planted: int
    suspicious: int
    changed: int

    def __str__(self) -> str:
        return f"{self.suspicious / self.planted:.2f} ({self.changed / self.planted:.2f})"


def measure_power(outputs: Sequence[Recorded]) -> list[Seen]:
    """Plant every size in every place of every output, `DRAWS` times."""
    seen = []
    for place, (has, mask) in PLACES.items():
        used = [output for output in outputs if has(output.baseline.shape)]
        for size in SIZES if used else ():
            verdicts = [
                _verdict(output, mask(output.baseline.shape, random) * np.float64(size), random)
                for number, output in enumerate(used)
                for random in (np.random.default_rng([number, draw]) for draw in range(DRAWS))
            ]
            noticed = sum(verdict not in GREEN for verdict in verdicts)
            seen.append(Seen(place, size, len(verdicts), noticed, verdicts.count("changed")))
    return seen


def false_alarms(outputs: Sequence[Recorded]) -> int:
    """How many of the outputs alarm with nothing planted."""
    return sum(_judged(output, output.candidate) not in GREEN for output in outputs)


def _verdict(output: Recorded, times: NDArray[np.float64], random: np.random.Generator) -> CellVerdict | None:
    """The verdict of an output whose candidate is moved by so many h in every place."""
    tensor = output.candidate
    values = read_rows(tensor).reshape(tensor.shape)
    signs = random.choice((-1.0, 1.0), tensor.shape)
    planted = (values + signs * times * _unit_change(output)).astype(np.float32)
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch, "planted.npy"), planted)
        entry = TensorEntry(name=tensor.name, path="planted.npy", dtype="float32", shape=tensor.shape)
        return _judged(output, open_tensors([entry], Path(scratch))[0])


def _unit_change(output: Recorded) -> NDArray[np.float64]:
    """h of every number."""
    order = np.argsort(output.ensemble.rows)
    baseline = read_rows(output.baseline)
    squares = [(read_rows(member)[order] - baseline) ** 2 for member in output.ensemble.members]
    least = unit_of("float32")[0] * np.abs(baseline)
    moved = np.maximum(np.sqrt(np.mean(squares, axis=0)), least)
    return np.asarray(_UNIT * moved.reshape(output.baseline.shape))


def _judged(output: Recorded, candidate: StoredTensor) -> CellVerdict | None:
    comparison = compare_tensors(output.baseline, candidate)
    if comparison.identical:
        return "identical"
    drift = measure_drift(output.baseline, candidate, output.ensemble, BANDS.outputs.units).drift
    numbers = OutputNumbers(name=output.baseline.name, comparison=comparison, drift=drift)
    return judge_output(numbers, BANDS).verdict


def power_table(seen: Sequence[Seen]) -> Iterator[str]:
    """A Markdown table: a row a place, a column a size."""
    yield "| place \\ k | " + " | ".join(map(str, SIZES)) + " | planted |"
    yield "|---" * (len(SIZES) + 2) + "|"
    for place in dict.fromkeys(each.place for each in seen):
        row = [each for each in seen if each.place == place]
        yield f"| {place} | " + " | ".join(map(str, row)) + f" | {row[0].planted} |"
