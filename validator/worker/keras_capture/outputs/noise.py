"""The noise floor: how far rounding alone moves the outputs of this model.

A rerun differs by nothing on a CPU, so noise has to be provoked: an ensemble in which every floating weight
is moved by one unit in the last place, each up or down by chance. The inputs are never moved: ids, sentinels
and masks in float arrays are exact. A second measure is the same samples in half batches, which sums in
another order; what it gives is no floor where outputs depend on their batch, so it is reported apart.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np

from keras_capture.model.perturbing import floating_weights, perturbed
from keras_capture.model.savedmodel import SavedModel
from keras_capture.numbers import MANTISSA, Distance
from keras_capture.outputs.captures import StoredOutput
from keras_capture.outputs.predicting import Captured, Prediction

MEMBERS, SAMPLES, SECONDS = 3, 512, 60.0  # what a request does not say


def measure(prediction: Prediction, captured: Captured, folder: Path, options: dict) -> dict:
    """Measure the noise of every floating output; that of each sample is written to `folder`/noise.

    Options: `members`, `samples`, `seconds`, `split`. The answer is in docs/protocol.md.
    """
    stored = [StoredOutput(entry, folder) for entry in captured.entries if entry["dtype"] in MANTISSA]
    answer = {"reason": "", "members": 0, "samples": 0, "split": None, "outputs": []}
    if not stored or not floating_weights(prediction.model):
        return {**answer, "reason": "no-weights" if stored else "not-floating"}
    limited = _first(prediction, int(options.get("samples", SAMPLES)))
    bounds = int(options.get("members", MEMBERS)), float(options.get("seconds", SECONDS))
    limited, members, distances = _ensemble(limited, stored, bounds)
    half, split = _half_batches(limited, stored) if options.get("split", True) else (None, None)
    (folder / "noise").mkdir(exist_ok=True)
    for index, (output, moved) in enumerate(zip(stored, distances)):
        described = {"name": output.entry["name"], "rms": moved.rms, "max_abs": moved.max_abs}
        described.update(nonfinite=moved.nonfinite, path=None, split_rms=split and split[index].rms)
        if moved.sample_rms is not None:
            described["path"] = f"noise/{index}.npy"
            np.save(folder / described["path"], moved.sample_rms[: limited.feed.samples])
        answer["outputs"].append(described)
    return {**answer, "members": members, "samples": limited.feed.samples, "split": half}


def _first(prediction: Prediction, samples: int) -> Prediction:
    """The same prediction of whole batches only, `samples` at most, and one batch at least."""
    size, recorded = prediction.batch_size, prediction.feed.samples
    kept = min(recorded, max(size, samples // size * size)) if samples < recorded else recorded
    return dataclasses.replace(prediction, feed=dataclasses.replace(prediction.feed, samples=kept))


def _ensemble(
    prediction: Prediction, stored: List[StoredOutput], bounds: Tuple[int, float]
) -> Tuple[Prediction, int, List[Distance]]:
    """Predict with moved weights, `bounds[0]` times or as long as `bounds[1]` seconds allow, once at least.

    The first member decides how many batches fit; the others do the same.
    """
    members, seconds = bounds
    distances = [output.distance(prediction.feed.samples) for output in stored]
    begin = time.perf_counter()
    for member in range(members):
        if member and time.perf_counter() - begin > seconds:
            return prediction, member, distances
        deadline = None if member else begin + seconds / members
        with perturbed(prediction.framework, prediction.model, member):
            done = _stream(prediction, stored, distances, deadline)
        if not member:
            prediction = _first(prediction, done)
    return prediction, members, distances


def _stream(
    prediction: Prediction, stored: List[StoredOutput], distances: List[Distance], deadline: Optional[float]
) -> int:
    """Predict, and add every batch to the distances; returns how many samples were done by the deadline."""
    done = 0
    for number, (start, stop), pieces in prediction.batches():
        for output, moved in zip(stored, distances):
            piece = pieces.get(output.entry["name"])
            if piece is None:
                moved.torn += 1
            else:
                moved.add_batch(output.batch(number, start, stop).values, piece.values, start)
        done = stop
        if deadline is not None and time.perf_counter() > deadline:
            break
    return done


def _half_batches(
    prediction: Prediction, stored: List[StoredOutput]
) -> Tuple[Optional[int], Optional[List[Distance]]]:
    """The same samples in batches of half the size, with the weights as they are."""
    half, model = prediction.batch_size // 2, prediction.model
    # XLA would compile once more, which costs more than all the rest.
    if half < 1 or getattr(model, "jit_compile", getattr(model, "jit", False)) is True or _is_fixed(model):
        return None, None
    if not all(output.entry["batched"] for output in stored):
        return None, None
    distances = [output.distance(prediction.feed.samples) for output in stored]
    _stream(dataclasses.replace(prediction, batch_size=half), stored, distances, None)
    return half, distances


def _is_fixed(model: object) -> bool:
    """Whether the model takes batches of one size only."""
    held = getattr(model, "inputs", None) or ()
    shapes = [tensor.shape for tensor in (held.values() if isinstance(model, SavedModel) else held)]
    known = [shape for shape in shapes if getattr(shape, "rank", 0) is not None]
    return any(len(shape) > 0 and shape[0] is not None for shape in known)
