"""Two tensors → how far they are apart: one pass in chunks, in memory that does not grow with the tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from validator.compare import accumulate
from validator.compare.accumulate import Limits, Places, Sums
from validator.compare.flips import Flips
from validator.compare.single import SingleKernel
from validator.compare.strings import add_strings
from validator.compare.tolerances import relative_floor, tolerance_of
from validator.compare.values import Decoder, Kind, kind_of, scalar
from validator.config.settings import Tolerance
from validator.errors import ConfigurationError
from validator.tensors import Raw, StoredTensor, TensorData

#: Elements looked at together: what a core's cache holds of both sides and the scratch.
CHUNK = 64 * 1024
_PARALLEL = 1 << 22  # elements from which a second thread is worth starting
_RELEASE = 1 << 19  # bytes of a map that may pile up in memory
_PROBE = 256  # elements looked at before all bytes of a chunk are

ProblemKind = Literal["kind", "dtype", "shape", "samples", "batched", "ragged", "empty"]


@dataclass(frozen=True)
class Problem:
    """Why tensors cannot be compared, or are not the same thing although their values can be."""

    kind: ProblemKind
    message: str


@dataclass(frozen=True)
class Worst:
    """One element on both sides, as it is: NaN and infinity included, integers exact, strings as text."""

    index: tuple[int, ...]
    baseline: float | int | complex | str
    candidate: float | int | complex | str


@dataclass(frozen=True)
class TensorComparison:
    """The numbers of one pair of tensors; no judgement.

    `compared` is False when no element was paired (`problems` says why): then nothing below `tolerance` has a
    meaning but `size`, `mismatched` (every element) and `within` (0). `identical`: every byte, the dtype and
    the shape are the same; -0.0 against 0.0 is not identical, and not mismatched.

    `max_abs` … `cosine` are over the elements finite on both sides, None where there are none or float64 does
    not reach (squares beyond 1e308; below 1e-308 they are 0). `max_rel` divides by
    max(|baseline|, relative_floor). `cosine`, right to 1e-6, is None where a side is all zeros.

    `nonfinite_mismatched` counts where NaN or an infinity stands on one side only (or infinities of other
    sign): part of `mismatched`. `flips` of `rows`: see compare/flips.py, None for what has no arg max. For
    complex numbers distances are those of the plane, and `mean_difference` is of the real parts. `masked`
    elements were left out.
    """

    name: str
    baseline_dtype: str
    candidate_dtype: str
    baseline_shape: tuple[int, ...]
    candidate_shape: tuple[int, ...]
    compared: bool
    identical: bool
    problems: tuple[Problem, ...]
    size: int
    mismatched: int
    within: int
    tolerance: Tolerance
    relative_floor: float = 1.0
    masked: int = 0
    max_abs: float | None = None
    max_rel: float | None = None
    rms: float | None = None
    rms_baseline: float | None = None
    mean_difference: float | None = None
    cosine: float | None = None
    flips: int | None = None
    rows: int | None = None
    nan_baseline: int = 0
    nan_candidate: int = 0
    inf_baseline: int = 0
    inf_candidate: int = 0
    nonfinite_mismatched: int = 0
    first_nonfinite: Worst | None = None
    worst: Worst | None = None


@dataclass(frozen=True)
class _Plan:
    """What every thread needs to know of a pair. `unit`: elements per entry of the mask."""

    baseline: StoredTensor
    candidate: StoredTensor
    kinds: tuple[Kind, Kind]
    limits: Limits
    classes: int | None
    step: int
    mask: NDArray[np.bool_] | None
    unit: int

    @property
    def same_dtype(self) -> bool:
        a, b = self.baseline, self.candidate
        return (a.dtype, a.storage, a.raw[:1]) == (b.dtype, b.storage, b.raw[:1])


def compare_tensors(
    baseline: StoredTensor,
    candidate: StoredTensor,
    tolerance: Tolerance | None = None,
    mask: NDArray[np.bool_] | None = None,
    threads: int = 1,
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
    plan = _plan(baseline, candidate, used, mask)
    sums, flips = _run(plan, threads)
    if sums.elements == 0:
        empty = Problem("empty", "the mask leaves no element to compare")
        return _not_compared(baseline, candidate, used, (*problems, empty))
    return _result(plan, used, problems, (sums, flips))


def _problems(a: StoredTensor, b: StoredTensor) -> tuple[tuple[Problem, ...], bool]:
    """What stands against comparing, and whether no element can be paired."""
    found: list[Problem] = []
    if a.dtype != b.dtype:
        found.append(Problem("dtype", f"dtype {a.dtype} became {b.dtype}"))
    if a.batched != b.batched:
        words = {True: "one value per sample", False: "one value per batch"}
        found.append(Problem("batched", f"{words[a.batched]} became {words[b.batched]}"))
    fatal = False
    kinds = kind_of(a), kind_of(b)
    if kinds[0] != kinds[1] and {"string", "opaque"} & set(kinds):
        found.append(Problem("kind", f"{a.dtype} and {b.dtype} have no common values"))
        fatal = True
    elif kinds == ("opaque", "opaque") and a.dtype != b.dtype:
        fatal = True
    ragged = _ragged_problem(a, b)
    if ragged is not None:
        found.append(ragged)
        fatal = True
    elif a.shape != b.shape:
        samples = a.batched and b.batched and a.shape[1:] == b.shape[1:] and len(a.shape) == len(b.shape) > 0
        what = f"{a.shape[0]} samples became {b.shape[0]}" if samples else f"shape {a.shape} became {b.shape}"
        found.append(Problem("samples" if samples else "shape", what))
        fatal = True
    elif a.size == 0:
        found.append(Problem("empty", f"both sides are empty, of shape {a.shape}"))
        fatal = True
    return tuple(found), fatal


def _ragged_problem(a: StoredTensor, b: StoredTensor) -> Problem | None:
    if len(a.ragged) != len(b.ragged):
        return Problem("ragged", f"{len(a.ragged)} ragged dimensions became {len(b.ragged)}")
    for level, (x, y) in enumerate(zip(a.open().splits, b.open().splits, strict=True)):
        if x.size != y.size:
            return Problem("ragged", f"{x.size - 1} rows became {y.size - 1} in ragged dimension {level}")
        for start in range(0, x.size - 1, CHUNK):
            ends = slice(start, start + CHUNK + 1)
            other = np.flatnonzero(np.diff(x[ends]) != np.diff(y[ends]))
            if other.size:
                row = start + int(other[0])
                lengths = f"{int(x[row + 1] - x[row])} values, now {int(y[row + 1] - y[row])}"
                return Problem("ragged", f"row {row} of ragged dimension {level} had {lengths}")
    return None


def _not_compared(
    a: StoredTensor, b: StoredTensor, used: Tolerance, problems: tuple[Problem, ...]
) -> TensorComparison:
    size = max(a.size, b.size)
    return TensorComparison(
        a.name, a.dtype, b.dtype, a.shape, b.shape, False, False, problems, size, size, 0, used
    )


def _plan(a: StoredTensor, b: StoredTensor, used: Tolerance, mask: NDArray[np.bool_] | None) -> _Plan:
    kinds = kind_of(a), kind_of(b)
    unit = a.size // mask.size if mask is not None and mask.size else 1
    classes = None
    if len(a.shape) >= 2 and a.shape[-1] >= 2 and all(kind in ("single", "double") for kind in kinds):
        classes = a.shape[-1] if mask is None or unit % a.shape[-1] == 0 else None
    step = CHUNK if kinds == ("single", "single") else CHUNK // 4  # wide kinds need wider scratch
    if classes is not None and classes <= step:
        step -= step % classes
    limits = Limits(used.rtol, used.atol, relative_floor(a.dtype, b.dtype))
    flat = None if mask is None else np.ascontiguousarray(mask).reshape(-1)
    return _Plan(a, b, kinds, limits, classes, step, flat, unit)


def _run(plan: _Plan, threads: int) -> tuple[Sums, Flips | None]:
    """Look at all elements, in as many spans as there are threads, and put the spans together in order."""
    size, rows = plan.baseline.size, max(plan.step, plan.classes or 1)
    parts = threads if size >= _PARALLEL and plan.kinds[0] != "string" else 1
    share = -(-size // parts // rows) * rows
    bounds = [(start, min(start + share, size)) for start in range(0, size, share)]
    if len(bounds) == 1:
        return _Span(plan).run(*bounds[0])
    with ThreadPoolExecutor(len(bounds)) as pool:
        results = list(pool.map(lambda bound: _Span(plan).run(*bound), bounds))
    (sums, flips), rest = results[0], results[1:]
    for more, more_flips in rest:
        sums.merge(more)
        if flips is not None and more_flips is not None:
            flips.merge(more_flips)
    return sums, flips


class _Span:
    """The state of one thread: open maps, buffers and sums."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._sums = Sums()
        self._data = plan.baseline.open(), plan.candidate.open()
        self._decode = (
            Decoder(plan.baseline.dtype, plan.kinds[0], plan.step),
            Decoder(plan.candidate.dtype, plan.kinds[1], plan.step),
        )
        single = plan.kinds == ("single", "single")
        self._kernel = SingleKernel(plan.step, plan.limits) if single else None
        self._flips = None if plan.classes is None else Flips(plan.classes, plan.step)

    def run(self, start: int, stop: int) -> tuple[Sums, Flips | None]:
        """Look at the elements [start, stop)."""
        released = start
        widest = max((data.values.itemsize for data in self._data), default=1)
        with np.errstate(all="ignore"):  # what overflows or divides by zero is looked at again, exactly
            for low, high in self._chunks(start, stop):
                self._chunk(low, high)
                if (high - released) * widest >= _RELEASE and self._plan.kinds[0] != "string":
                    _release(self._data, released, high)
                    released = high
        return self._sums, self._flips

    def _chunks(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Bounds of at most `step` elements that never cross the end of a row longer than that."""
        step, row = self._plan.step, max(self._plan.classes or 0, self._plan.step)
        for first in range(start, stop, row):
            for low in range(first, min(first + row, stop), step):
                yield low, min(low + step, first + row, stop)

    def _chunk(self, low: int, high: int) -> None:
        places = Places(low)
        plan = self._plan
        if plan.mask is not None:
            kept = plan.mask[np.arange(low, high) // plan.unit]
            if not kept.all():
                places = places.only(kept)
        count = high - low if places.picked is None else places.picked.size
        self._sums.elements += count
        if count == 0:
            return
        if plan.kinds[0] == "string":
            add_strings(self._sums, self._data, (low, high), places)
            return
        raw_a, raw_b = (data.values[low:high] for data in self._data)
        if places.picked is not None:
            raw_a, raw_b = raw_a[places.picked], raw_b[places.picked]
        same = plan.same_dtype and _same_bytes(raw_a, raw_b)
        self._sums.bytes_equal &= same
        a = self._decode[0](raw_a)
        b = a if same else self._decode[1](raw_b)
        if same and not (self._kernel is not None and self._kernel.add_equal(self._sums, a)):
            accumulate.add_equal(self._sums, a)
        top = 0.0 if same else self._add(a, b, places)
        self._count_flips(a, b, low, top)

    def _add(self, a: NDArray[Any], b: NDArray[Any], places: Places) -> float:
        limits = self._plan.limits
        if self._kernel is not None:
            return self._kernel.add(self._sums, a, b, places)
        if all(kind in ("integer", "opaque") for kind in self._plan.kinds):
            common = np.result_type(a, b)
            if common.kind in "ui":
                a, b = a.astype(common, copy=False), b.astype(common, copy=False)
                return accumulate.add_integers(self._sums, a, b, places, limits)
        if "complex" not in self._plan.kinds:
            a, b = a.astype(np.float64, copy=False), b.astype(np.float64, copy=False)
        return accumulate.add_numbers(self._sums, a, b, places, limits)

    def _count_flips(self, a: NDArray[Any], b: NDArray[Any], low: int, top: float) -> None:
        if self._flips is None or self._plan.classes is None:
            return
        if self._plan.classes > self._plan.step:
            self._flips.add_piece(a, b, low % self._plan.classes)
        elif top == 0.0:
            self._flips.add_equal(a.size)
        else:
            self._flips.add(a, b, top)


def _release(data: tuple[TensorData, TensorData], low: int, high: int) -> None:
    for side in data:
        side.release(low, high)


def _same_bytes(a: Raw, b: Raw) -> bool:
    """Whether all bytes agree; most chunks that differ do so at once."""
    width = {1: np.uint8, 2: np.uint16, 4: np.uint32}.get(a.itemsize, np.uint64)
    bits_a, bits_b = a.view(width), b.view(width)
    if not np.array_equal(bits_a[:_PROBE], bits_b[:_PROBE]):
        return False
    if a.nbytes % 8 == 0:  # wide words compare faster; at least itemsize-aligned, which NumPy copes with
        bits_a, bits_b = bits_a.view(np.uint64), bits_b.view(np.uint64)
    return bool(np.array_equal(bits_a, bits_b))


def _result(
    plan: _Plan, used: Tolerance, problems: tuple[Problem, ...], found: tuple[Sums, Flips | None]
) -> TensorComparison:
    sums, flips = found
    a, b = plan.baseline, plan.candidate
    numbers = plan.kinds[0] not in ("string", "opaque") and sums.finite > 0
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
        within=sums.elements - sums.mismatched,
        tolerance=used,
        relative_floor=plan.limits.floor,
        masked=a.size - sums.elements,
        max_abs=sums.max_abs if numbers else None,
        max_rel=sums.max_rel if numbers else None,
        rms=_root_mean(sums.difference_squared, sums.finite) if numbers else None,
        rms_baseline=_root_mean(sums.baseline_squared, sums.finite) if numbers else None,
        mean_difference=_finite(sums.difference / sums.finite) if numbers else None,
        cosine=_cosine(sums) if numbers else None,
        flips=None if flips is None or flips.rows == 0 else flips.flips,
        rows=None if flips is None or flips.rows == 0 else flips.rows,
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
    index = tuple(int(axis) for axis in np.unravel_index(flat, a.shape)) if a.shape else ()
    return Worst(index, scalar(a, flat), scalar(b, flat))


def _root_mean(squares: float, count: int) -> float | None:
    return _finite(math.sqrt(squares / count)) if squares >= 0 else None


def _cosine(sums: Sums) -> float | None:
    scale = math.sqrt(sums.baseline_squared) * math.sqrt(max(sums.candidate_squared, 0.0))
    value = sums.product / scale if scale > 0 else math.nan
    return max(-1.0, min(1.0, value)) if math.isfinite(value) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
