"""The noise floor: how far rounding alone moves the outputs of this model.

A rerun differs by nothing on a CPU, so noise has to be provoked: an ensemble in which every floating weight
is moved by one unit in the last place, each up or down by chance. The inputs are never moved: ids, sentinels
and masks in float arrays are exact. A second measure is the same samples in other batches, which sums in
another order; what it gives is no floor where outputs depend on their batch, so it is reported apart.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from keras_capture.npy import NpyReader
from keras_capture.outputs import read_outputs
from keras_capture.perturbing import MANTISSA, compute_dtypes, floating_weights, perturbed
from keras_capture.predicting import Captured, Prediction
from keras_capture.savedmodel import SavedModel
from keras_capture.tasks import Work
from keras_capture.values import extended

MEMBERS, SAMPLES, SECONDS, SEED = 3, 512, 60.0, 20231  # what a request does not say
_BLOCK = 1 << 20  # elements looked at together


@dataclass(frozen=True)
class Stored:
    """The first prediction of an output, as it lies on disk."""

    entry: dict
    folder: Path

    def read(self, batch: int, start: int, stop: int) -> np.ndarray:
        """The values of one batch, which holds the samples [start, stop)."""
        reader = NpyReader(self.folder / self.entry["path"])
        for path in self.entry.get("ragged", ()):
            splits = NpyReader(self.folder / path)
            start, stop = int(splits.rows(start, start + 1)[0]), int(splits.rows(stop, stop + 1)[0])
        values = reader.rows(start, stop) if self.entry["batched"] else reader.rows(batch, batch + 1)[0]
        return values.view(extended(self.entry["dtype"])) if self.entry["storage"] == "bits" else values


@dataclass
class Spread:
    """How far an output moved. `squares` and `counts` are per sample, None where it has no sample axis."""

    squares: Optional[np.ndarray]
    counts: Optional[np.ndarray]
    total: float = 0.0
    elements: int = 0
    max_abs: float = 0.0
    flips: int = 0
    rows: int = 0
    nonfinite: int = 0
    torn: int = 0  # batches whose values could not be paired

    @classmethod
    def of(cls, entry: dict, samples: int) -> Spread:
        """Nothing yet, for an output of so many samples."""
        if not entry["batched"] or entry.get("ragged"):
            return cls(None, None)
        return cls(np.zeros(samples), np.zeros(samples, np.int64))

    def add(self, old: np.ndarray, new: np.ndarray, first: int) -> None:
        """Add one batch; `first` is its first sample."""
        if old.shape != new.shape:
            self.torn += 1
            return
        if self.squares is None or old.ndim == 0:
            self._block(old.reshape(1, -1), new.reshape(1, -1), None)
        else:
            row = max(1, old[:1].size)
            step = max(1, _BLOCK // row)
            for low in range(0, len(old), step):
                part = old[low : low + step], new[low : low + step]
                self._block(part[0].reshape(len(part[0]), -1), part[1].reshape(len(part[1]), -1), first + low)
        if old.ndim >= 2 and old.shape[-1] >= 2:
            self.flips += int(np.count_nonzero(old.argmax(-1) != new.argmax(-1)))
            self.rows += old.size // old.shape[-1]

    def _block(self, old: np.ndarray, new: np.ndarray, first: Optional[int]) -> None:
        old, new = old.astype(np.float64), new.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            finite = np.isfinite(old) & np.isfinite(new)
            agree = finite | (old == new) | (np.isnan(old) & np.isnan(new))
            distance = np.where(finite, np.abs(new - old), 0.0)
        squares = np.einsum("ij,ij->i", distance, distance)
        self.nonfinite += int(np.count_nonzero(~agree))
        self.total += float(squares.sum())
        self.elements += int(np.count_nonzero(finite))
        self.max_abs = max(self.max_abs, float(distance.max(initial=0.0)))
        if first is not None:
            self.squares[first : first + len(squares)] += squares
            self.counts[first : first + len(squares)] += np.count_nonzero(finite, axis=1)

    @property
    def rms(self) -> Optional[float]:
        """Root mean square over everything that was finite; None where nothing could be measured."""
        if self.torn or not self.elements or not math.isfinite(self.total):
            return None
        return math.sqrt(self.total / self.elements)

    def row_rms(self) -> Optional[np.ndarray]:
        """The same for every sample."""
        if self.squares is None or self.rms is None:
            return None
        return np.sqrt(self.squares / np.maximum(self.counts, 1))


@dataclass
class Ensemble:
    """What is measured, for how long, and what came of it."""

    prediction: Prediction
    stored: List[Stored]
    names: List[str]
    spreads: List[Spread] = field(default_factory=list)
    members: int = 0

    def run(self, weights: list, members: int, seconds: float) -> None:
        """Predict with moved weights, `members` times or as long as the time allows, once at least.

        The first member decides how many batches fit; the others do the same.
        """
        begin = time.perf_counter()
        deadline = begin + seconds / members
        computed = compute_dtypes(self.prediction.model)
        for member in range(members):
            if member and time.perf_counter() - begin > seconds:
                return
            with perturbed(self.prediction.framework, weights, [SEED, member], computed):
                done = stream(self, self.prediction, self.spreads, None if member else deadline)
            self.members += 1
            if not member:
                self.prediction = _first(self.prediction, done)

    @property
    def samples(self) -> int:
        """How many of the recorded samples it was measured on."""
        return self.prediction.feed.samples


def run(work: Work, options: dict) -> dict:
    """The task: options `members`, `samples`, `seconds`, `split`; the answer is in docs/protocol.md."""
    return measure(work.prediction, work.captured, work.job.folder, options)


def measure(prediction: Prediction, captured: Captured, folder: Path, options: dict) -> dict:
    """Measure the noise of every floating output; per-sample noise is written to `folder`/noise."""
    stored = [Stored(entry, folder) for entry in captured.entries if entry["dtype"] in MANTISSA]
    weights = floating_weights(prediction.model)
    answer = {"weights": len(weights), "members": 0, "samples": 0, "split": None, "outputs": []}
    if not stored:
        return {**answer, "reason": "no output is a floating-point tensor"}
    if not weights:
        return {**answer, "reason": "the model has no floating-point weights that could be moved"}
    limited = _first(prediction, int(options.get("samples", SAMPLES)))
    ensemble = Ensemble(limited, stored, [one.entry["name"] for one in stored])
    ensemble.spreads = [Spread.of(one.entry, limited.feed.samples) for one in stored]
    ensemble.run(weights, int(options.get("members", MEMBERS)), float(options.get("seconds", SECONDS)))
    split, apart = _split(ensemble) if options.get("split", True) else (None, None)
    (folder / "noise").mkdir(exist_ok=True)
    answer.update(members=ensemble.members, samples=ensemble.samples, split=split, reason="")
    for index, spread in enumerate(ensemble.spreads):
        found = _described(ensemble.names[index], spread)
        if apart is not None:
            found.update(split_rms=apart[index].rms, split_max_abs=_number(apart[index].max_abs))
        rows = spread.row_rms()
        if rows is not None:
            path = folder / "noise" / f"{index}.npy"
            np.save(path, rows[: ensemble.samples])
            found["path"] = f"noise/{index}.npy"
        answer["outputs"].append(found)
    return answer


def _described(name: str, spread: Spread) -> dict:
    return {
        "name": name,
        "rms": spread.rms,
        "max_abs": _number(spread.max_abs),
        "flips": spread.flips,
        "rows": spread.rows,
        "nonfinite": spread.nonfinite,
        "path": None,
        "split_rms": None,
        "split_max_abs": None,
    }


def _number(value: float) -> Optional[float]:
    return value if math.isfinite(value) else None


def _first(prediction: Prediction, samples: int) -> Prediction:
    """The same prediction of whole batches only, `samples` at most, and one batch at least."""
    size, recorded = prediction.batch_size, prediction.feed.samples
    kept = min(recorded, max(size, samples // size * size)) if samples < recorded else recorded
    return dataclasses.replace(prediction, feed=dataclasses.replace(prediction.feed, samples=kept))


def stream(
    ensemble: Ensemble, prediction: Prediction, spreads: List[Spread], deadline: Optional[float]
) -> int:
    """Predict, and add every batch to the spreads; returns how many samples were done by the deadline."""
    done = 0
    for batch, ((start, stop), outputs) in enumerate(zip(prediction.bounds(), prediction.outputs())):
        pieces = read_outputs(outputs).pieces
        for name, stored, spread in zip(ensemble.names, ensemble.stored, spreads):
            if name in pieces:
                spread.add(stored.read(batch, start, stop), pieces[name].values, start)
            else:
                spread.torn += 1
        done = stop
        if deadline is not None and time.perf_counter() > deadline:
            break
    return done


def _split(ensemble: Ensemble) -> Tuple[Optional[int], Optional[List[Spread]]]:
    """The same samples in batches of half the size, with the weights as they are."""
    half = ensemble.prediction.batch_size // 2
    model = ensemble.prediction.model
    # XLA would compile once more, which costs more than all the rest.
    if half < 1 or getattr(model, "jit_compile", getattr(model, "jit", False)) is True or _fixed(model):
        return None, None
    if not all(one.entry["batched"] for one in ensemble.stored):
        return None, None
    spreads = [Spread.of(one.entry, ensemble.samples) for one in ensemble.stored]
    stream(ensemble, dataclasses.replace(ensemble.prediction, batch_size=half), spreads, None)
    return half, spreads


def _fixed(model: object) -> bool:
    """Whether the model takes batches of one size only."""
    if isinstance(model, SavedModel):
        shapes = [spec.shape for spec in model.inputs.values()]
    else:
        shapes = [tensor.shape for tensor in getattr(model, "inputs", None) or ()]
    known = [shape for shape in shapes if getattr(shape, "rank", 0) is not None]
    return any(len(shape) > 0 and shape[0] is not None for shape in known)
