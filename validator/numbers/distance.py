"""Two tensors → how far they are apart: one pass in chunks, in memory that does not grow with the tensors."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_serializer

from validator.base import Finite, Frozen, finite
from validator.config.settings import Tolerance
from validator.errors import ConfigurationError
from validator.numbers.accumulate import ElementLimits, Places, Sums
from validator.numbers.flips import Flips
from validator.numbers.single import SingleKernel
from validator.numbers.stream import CHUNK, PairStream
from validator.numbers.tolerances import relative_floor, tolerance_of
from validator.numbers.values import Element, kind_of, scalar
from validator.storage.tensors import Raw, StoredTensor

_STRINGS = 1024  # strings read together
_TOGETHER = 4  # pieces of float32 values looked at together: with the scratch 4 MiB, for a core's caches
_PROBE = 256  # elements compared before all bytes of a chunk are

#: Why tensors cannot be compared, or are not the same although their values can be.
ProblemKind = Literal["kind", "dtype", "shape", "samples", "batched", "ragged", "empty"]


class PairProblem(Frozen):
    """What is not the same. Dtypes and shapes stand in the comparison.

    `baseline`, `candidate`: samples of both sides (`samples`), 1 for a value per sample and 0 for a value per
    batch (`batched`); for `ragged` the number of ragged dimensions, of rows in `dimension`, or of values in
    its `row`.
    """

    kind: ProblemKind
    baseline: int | None = None
    candidate: int | None = None
    dimension: int | None = None
    row: int | None = None


class Worst(Frozen):
    """One element on both sides, as it is: integers exact, strings as text, complex as (real, imaginary).

    NaN and infinity are kept in memory, and null in JSON.
    """

    model_config = ConfigDict(allow_inf_nan=True)

    index: tuple[int, ...]
    baseline: Element
    candidate: Element

    @field_serializer("baseline", "candidate", when_used="json")
    def _in_json(self, value: Element) -> Element:
        if isinstance(value, tuple):
            return finite(value[0]), finite(value[1])
        return finite(value) if isinstance(value, float) else value


class TensorComparison(Frozen):
    """The numbers of one pair of tensors; no judgement.

    `compared` is False when no element was paired (`problems` says why): then nothing below `tolerance` has a
    meaning but `size` and `mismatched` (every element). `identical`: every byte, the dtype and the shape are
    the same; -0.0 against 0.0 is not identical, and not mismatched.

    `max_abs` … `mean_difference` are over the elements finite on both sides, None where there are none or
    float64 does not reach (squares beyond 1e308; below 1e-308 they are 0). `max_rel` divides by
    max(|baseline|, relative_floor).

    `nonfinite_mismatched` counts where NaN or an infinity stands on one side only (or infinities of other
    sign): part of `mismatched`. `flips` of `rows`: see flips.py, None for what has no arg max. For complex
    numbers distances are those of the plane, and `mean_difference` is of the real parts.
    """

    name: str
    baseline_dtype: str
    candidate_dtype: str
    baseline_shape: tuple[int, ...]
    candidate_shape: tuple[int, ...]
    compared: bool = False
    identical: bool = False
    problems: tuple[PairProblem, ...] = ()
    size: int
    mismatched: int
    tolerance: Tolerance = Field(description="What `mismatched` counts by.")
    relative_floor: float = 1.0
    max_abs: Finite | None = None
    max_rel: Finite | None = None
    rms: Finite | None = None
    rms_baseline: Finite | None = None
    mean_difference: Finite | None = None
    flips: int | None = Field(default=None, description="Rows whose arg max is another: top-1 changes.")
    rows: int | None = None
    nan_baseline: int = 0
    nan_candidate: int = 0
    inf_baseline: int = 0
    inf_candidate: int = 0
    nonfinite_mismatched: int = 0
    first_nonfinite: Worst | None = None
    worst: Worst | None = None


def compare_tensors(
    baseline: StoredTensor,
    candidate: StoredTensor,
    tolerance: Tolerance | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> TensorComparison:
    """Compare two tensors element by element; shapes never broadcast.

    `tolerance` replaces that of the dtypes. `mask` has the tensors' shape or its leading part: True elements
    count. Raises ConfigurationError when the mask does not fit, or a file vanishes.
    """
    used = tolerance or tolerance_of(baseline.dtype, candidate.dtype)
    problems, fatal = _problems(baseline, candidate)
    if fatal:
        return _not_compared(baseline, candidate, used, problems)
    if mask is not None and (mask.shape != baseline.shape[: mask.ndim] or mask.dtype != np.bool_):
        raise ConfigurationError(
            f"output {baseline.name!r}: a mask of {mask.dtype} {mask.shape} does not fit values of "
            f"{baseline.shape}; give booleans of its leading dimensions"
        )
    passed = _Pass(baseline, candidate, used, mask)
    passed.run()
    if passed.sums.elements == 0:
        empty = PairProblem(kind="empty")
        return _not_compared(baseline, candidate, used, (*problems, empty))
    return _result((baseline, candidate), used, problems, passed)


def _problems(a: StoredTensor, b: StoredTensor) -> tuple[tuple[PairProblem, ...], bool]:
    """What stands against comparing, and whether no element can be paired."""
    problems: list[PairProblem] = []
    if a.dtype != b.dtype:
        problems.append(PairProblem(kind="dtype"))
    if a.batched != b.batched:
        problems.append(PairProblem(kind="batched", baseline=a.batched, candidate=b.batched))
    kinds = kind_of(a), kind_of(b)
    fatal = kinds == ("opaque", "opaque") and a.dtype != b.dtype
    if kinds[0] != kinds[1] and {"string", "opaque"} & set(kinds):
        problems.append(PairProblem(kind="kind"))
        fatal = True
    layout = _ragged_problem(a, b) or _shape_problem(a, b)
    if layout is not None:
        problems.append(layout)
    return tuple(problems), fatal or layout is not None


def _shape_problem(a: StoredTensor, b: StoredTensor) -> PairProblem | None:
    if a.shape == b.shape:
        return PairProblem(kind="empty") if a.size == 0 else None
    if a.batched and b.batched and a.shape[1:] == b.shape[1:] and len(a.shape) == len(b.shape) > 0:
        return PairProblem(kind="samples", baseline=a.shape[0], candidate=b.shape[0])
    return PairProblem(kind="shape")


def _ragged_problem(a: StoredTensor, b: StoredTensor) -> PairProblem | None:
    if len(a.ragged) != len(b.ragged):
        return PairProblem(kind="ragged", baseline=len(a.ragged), candidate=len(b.ragged))
    for level, (x, y) in enumerate(zip(a.open().splits, b.open().splits, strict=True)):
        if x.size != y.size:
            return PairProblem(kind="ragged", baseline=x.size - 1, candidate=y.size - 1, dimension=level)
        for start in range(0, x.size - 1, CHUNK):
            ends = slice(start, start + CHUNK + 1)
            lengths = np.diff(x[ends]), np.diff(y[ends])
            other = np.flatnonzero(lengths[0] != lengths[1])
            if other.size:
                before, after = (int(side[other[0]]) for side in lengths)
                row = start + int(other[0])
                return PairProblem(kind="ragged", baseline=before, candidate=after, dimension=level, row=row)
    return None


def _not_compared(
    a: StoredTensor, b: StoredTensor, used: Tolerance, problems: tuple[PairProblem, ...]
) -> TensorComparison:
    size = max(a.size, b.size)
    return TensorComparison(
        name=a.name,
        baseline_dtype=a.dtype,
        candidate_dtype=b.dtype,
        baseline_shape=a.shape,
        candidate_shape=b.shape,
        problems=problems,
        size=size,
        mismatched=size,
        tolerance=used,
    )


class _Pass:
    """One look at all elements: open maps, buffers and sums."""

    def __init__(
        self, a: StoredTensor, b: StoredTensor, used: Tolerance, mask: NDArray[np.bool_] | None
    ) -> None:
        self._kinds = kind_of(a), kind_of(b)
        self._same_dtype = (a.dtype, a.storage, a.raw[:1]) == (b.dtype, b.storage, b.raw[:1])
        self._mask = None if mask is None else mask.reshape(-1)
        self._unit = 1 if mask is None else a.size // mask.size  # elements per entry of the mask
        self._classes = a.shape[-1] if len(a.shape) >= 2 else 0
        floats = all(kind in ("single", "double") for kind in self._kinds)
        if not floats or self._classes < 2 or (mask is not None and self._unit % self._classes):
            self._classes = 0  # no arg max to count, or the mask cuts rows
        single = self._kinds == ("single", "single")
        self._step = CHUNK if single else CHUNK // 4  # wide kinds need wider scratch
        if self._kinds[0] == "string":
            self._step = _STRINGS
        if 0 < self._classes <= self._step:
            self._step -= self._step % self._classes
        self.sums = Sums(ElementLimits(used.rtol, used.atol, relative_floor(a.dtype, b.dtype)))
        together = _TOGETHER if single and mask is None else 1
        self.flips = Flips(self._classes, self._step * together) if self._classes else None
        self._stream = PairStream(a, b, self._step, together)
        self._kernel = SingleKernel(self._step, together, self.sums) if single else None
        self._row = self._classes if self._classes > self._step else a.size

    def run(self) -> None:
        """Compare all elements."""
        add = self._add_strings if self._kinds[0] == "string" else self._add_chunk
        with np.errstate(all="ignore"):  # what overflows or divides by zero is calculated again, exactly
            for low, high in self._stream.pieces(self._row):
                places: Places = range(low, high)
                if self._mask is not None:
                    places = low + np.flatnonzero(self._mask[np.arange(low, high) // self._unit])
                self.sums.elements += len(places)
                if len(places):
                    add(low, high, places)

    def _add_strings(self, low: int, high: int, places: Places) -> None:
        """Strings are equal or not, byte for byte; `worst` is the first that differs."""
        before, after = (data.strings(low, high) for data in self._stream.data)
        apart = [int(place) for place in places if before[place - low] != after[place - low]]
        self.sums.mismatched += len(apart)
        self.sums.bytes_equal &= not apart
        if apart and self.sums.worst is None:
            self.sums.worst = apart[0]

    def _add_chunk(self, low: int, high: int, places: Places) -> None:
        raw_a, raw_b = self._stream.raw(low, high)
        if not isinstance(places, range):
            raw_a, raw_b = raw_a[places - low], raw_b[places - low]
        same = self._same_dtype and _same_bytes(raw_a, raw_b)
        several = self._same_dtype and not same and raw_a.size > self._step
        if several and _same_bytes(raw_a[:_PROBE], raw_b[:_PROBE]):  # some of the pieces may be the same
            for part in range(low, high, self._step):
                self._add_chunk(part, part + self._step, range(part, part + self._step))
            return
        a = self._stream.decode[0](raw_a)
        b = a if same else self._stream.decode[1](raw_b)
        top = 0.0
        if same:
            (self._kernel or self.sums).add_equal(a)
        else:
            self.sums.bytes_equal = False
            top = self._add(a, b, places)
        if self.flips is not None and self._classes > self._step:
            self.flips.add_piece(a, b, low % self._classes)
        elif self.flips is not None:
            self.flips.add(a, b, top)

    def _add(self, a: NDArray[Any], b: NDArray[Any], places: Places) -> float:
        if self._kernel is not None:
            return self._kernel.add(a, b, places)
        if all(kind in ("integer", "opaque") for kind in self._kinds):
            common = np.result_type(a, b)
            if common.kind in "ui":
                return self.sums.add_integers(a.astype(common), b.astype(common), places)
        if "complex" not in self._kinds:
            a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
        return self.sums.add_numbers(a, b, places)


def _same_bytes(a: Raw, b: Raw) -> bool:
    """Whether all bytes agree; most chunks that differ do so at once."""
    if a[:_PROBE].tobytes() != b[:_PROBE].tobytes():
        return False
    # Wide words compare faster; they are at least itemsize-aligned, which NumPy copes with.
    width = f"u{a.itemsize if a.nbytes % 8 else 8}"
    return bool((a.view(width) == b.view(width)).all())


def _result(
    pair: tuple[StoredTensor, StoredTensor], used: Tolerance, problems: tuple[PairProblem, ...], passed: _Pass
) -> TensorComparison:
    a, b = pair
    sums, flips = passed.sums, passed.flips
    numbers = kind_of(a) not in ("string", "opaque") and sums.finite > 0
    return TensorComparison(
        name=a.name,
        baseline_dtype=a.dtype,
        candidate_dtype=b.dtype,
        baseline_shape=a.shape,
        candidate_shape=b.shape,
        compared=True,
        identical=sums.bytes_equal and not problems,
        problems=problems,
        size=sums.elements,
        mismatched=sums.mismatched,
        tolerance=used,
        relative_floor=sums.limits.floor,
        max_abs=sums.max_abs if numbers else None,
        max_rel=sums.max_rel if numbers else None,
        rms=finite(math.sqrt(sums.difference_squared / sums.finite)) if numbers else None,
        rms_baseline=finite(math.sqrt(sums.baseline_squared / sums.finite)) if numbers else None,
        mean_difference=finite(sums.difference / sums.finite) if numbers else None,
        flips=flips.flips if flips else None,
        rows=flips.rows if flips else None,
        nan_baseline=sums.nan[0],
        nan_candidate=sums.nan[1],
        inf_baseline=sums.inf[0],
        inf_candidate=sums.inf[1],
        nonfinite_mismatched=sums.nonfinite_mismatched,
        first_nonfinite=_element(a, b, sums.first_nonfinite),
        worst=_element(a, b, sums.worst),
    )


def _element(a: StoredTensor, b: StoredTensor, flat: int | None) -> Worst | None:
    if flat is None:
        return None
    index = tuple(int(axis) for axis in np.unravel_index(flat, a.shape))
    return Worst(index=index, baseline=scalar(a, flat), candidate=scalar(b, flat))
