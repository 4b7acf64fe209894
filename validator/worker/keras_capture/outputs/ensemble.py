"""The noise of a model: its predictions again and again, with rounding errors of other directions.

A rerun differs by nothing on a CPU, so noise has to be provoked. Monte Carlo arithmetic (Parker 1997;
Verificarlo, CADNA) moves the result of every operation that rounds. Where the operations cannot be had, every
floating weight is moved by one unit in the last place. Numbers that look exact never move: ids, sentinels and
masks in float arrays.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import List, Optional

import numpy as np

from keras_capture.model.imports import layers_of
from keras_capture.model.outputs import Piece, read_outputs
from keras_capture.model.perturbing import movable_weights, perturbed
from keras_capture.model.state import is_stateful
from keras_capture.numbers import MANTISSA, Distance, wide
from keras_capture.outputs.operations import NoOperations, Operations, operations_of
from keras_capture.outputs.predicting import Captured, Prediction, capture
from keras_capture.structure.calling import state_kept

MEMBERS, SECONDS = 8, 60.0  # what a request does not say
_OTHER = 100  # times the noise, from which a function is another one
_TIES, _FLIPS = 2, 3  # labels that tracing may flip: so many, and so many times as many as a member flips

Outputs = Callable[[Prediction], Iterable[object]]  # what the model returns for each batch of a prediction


@dataclass(frozen=True)
class Method:
    """How members are made, each within a context, and in a word why it is not by operations."""

    name: str
    reason: str
    members: Callable[[int], AbstractContextManager[Outputs]]


def measure(prediction: Prediction, folder: Path, options: dict) -> dict:
    """Write the predictions of every member into `folder`; the answer is in docs/protocol.md.

    Options: `members`, `seconds`, `batches`. The first member decides how many batches the time allows.
    """
    begin, count = time.perf_counter(), int(options.get("members") or MEMBERS)
    seconds = float(SECONDS if options.get("seconds") is None else options["seconds"])
    prediction = chosen_batches(prediction, options.get("batches"))
    with state_kept(prediction.framework, prediction.model) as reset:
        method = _method(prediction, reset)
        if method is None:
            return {"method": "none", "reason": "no-weights", **_answer(prediction, [])}
        share = max(0.0, begin + seconds - time.perf_counter()) / count
        members: List[Captured] = []
        for number in range(count):
            reset()
            deadline = None if number else time.perf_counter() + share
            with method.members(number) as outputs:
                taken = capture(
                    prediction, folder, outputs(prediction), prefix=f"{number}-", deadline=deadline
                )
            members.append(taken)
            prediction = replace(prediction, chosen=prediction.chosen[: taken.batches])
    return {"method": method.name, "reason": method.reason, **_answer(prediction, members)}


def chosen_batches(prediction: Prediction, batches: Optional[Sequence[int]]) -> Prediction:
    """The prediction of these batches (None: of those it has), the most important first.

    A stateful model remembers the batches before, so it does every batch up to the last of them, in order.
    """
    every = range(len(replace(prediction, chosen=None).bounds()))
    if batches is None:
        chosen = every if prediction.chosen is None else prediction.chosen
    else:
        chosen = [every[number] for number in batches]
    if any(map(is_stateful, layers_of(prediction.model))):
        chosen = range(max(chosen) + 1)
    return replace(prediction, chosen=[*chosen])


def _answer(prediction: Prediction, members: List[Captured]) -> dict:
    """What the answer says of members that all did the batches of a prediction."""
    done = prediction if members else replace(prediction, chosen=[])
    names = members[0].names if members else ()
    entries = [{entry["name"]: entry for entry in member.entries} for member in members]
    outputs = [{"name": name, "members": [member[name] for member in entries]} for name in names]
    return {"members": len(members), "batches": done.chosen, "samples": done.bounds(), "outputs": outputs}


def _method(prediction: Prediction, reset: Callable[[], None]) -> Optional[Method]:
    """By operations, else by weights; None where there is no weight to move either."""
    try:
        operations = checked_operations(prediction, reset)
    except NoOperations as missing:
        sys.stderr.write(f"The noise comes from moved weights ({missing.reason}): {missing}\n")
        if not movable_weights(prediction.framework, prediction.model):
            return None
        return Method("weights", missing.reason, partial(_weights_member, prediction))
    return Method("operations", "", partial(_operations_member, operations))


@contextlib.contextmanager
def _operations_member(operations: Operations, number: int) -> Iterator[Outputs]:
    with operations.member(number) as call:
        yield lambda prediction: map(call, prediction.inputs())


@contextlib.contextmanager
def _weights_member(prediction: Prediction, number: int) -> Iterator[Outputs]:
    with perturbed(prediction.framework, prediction.model, number):
        yield Prediction.outputs


def checked_operations(prediction: Prediction, reset: Callable[[], None]) -> Operations:
    """Operations that compute what the model predicts; they are tried on the first batch."""
    operations = operations_of(prediction.framework, prediction.model)
    try:
        _check(operations, prediction, reset)
    except NoOperations:
        if not operations.sized():
            raise
        _check(operations, prediction, reset)
    return operations


def _check(operations: Operations, prediction: Prediction, reset: Callable[[], None]) -> None:
    first = replace(prediction, chosen=prediction.chosen[:1])
    try:
        reset()
        with operations.unmoved() as call:
            unmoved = read_outputs(call(next(first.inputs()))).pieces
        reset()
        with operations.member(0) as call:
            moved = read_outputs(call(next(first.inputs()))).pieces
    except NoOperations:
        raise
    except Exception as error:  # whatever tracing does to code that was not written for it
        raise NoOperations("not-traceable", f"{type(error).__name__}: {error}") from error
    reset()
    predicted = next(first.batches())[2]
    other = [name for name in predicted if not _is_same(predicted[name], unmoved.get(name), moved.get(name))]
    if other or predicted.keys() != unmoved.keys():
        raise NoOperations("another-function", f"traced, the outputs are others than predicted: {other}")


def _is_same(predicted: Piece, unmoved: Optional[Piece], moved: Optional[Piece]) -> bool:
    """Whether an output differs from the predicted one by rounding at most, of which `moved` is a measure.

    What tracing changes (fusions, the order of sums) is a few units; another function differs by far more.
    """
    if unmoved is None or moved is None or not _is_alike(predicted, unmoved):
        return False
    if not _is_alike(unmoved, moved):
        return True  # rounding decides how much there is
    if predicted.dtype not in MANTISSA:
        differing, flips = (np.count_nonzero(unmoved.values != each.values) for each in (predicted, moved))
        return differing <= _TIES + _FLIPS * flips
    off, noise = Distance(), Distance()
    off.add(predicted.values, unmoved.values)
    noise.add(unmoved.values, moved.values)
    size = np.abs(np.nan_to_num(wide(predicted.values), posinf=0.0, neginf=0.0)).mean() if off.count else 0.0
    least = 64 * 2.0 ** -MANTISSA[predicted.dtype] * size
    return (off.rms or 0.0) <= max(_OTHER * (noise.rms or 0.0), least)


def _is_alike(left: Piece, right: Piece) -> bool:
    return (left.dtype, left.values.shape) == (right.dtype, right.values.shape)
