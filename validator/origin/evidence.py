"""What a capture shows of a cell's own evidence, as a class of behaviour."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from validator.checks.decode.answers import DecodeAnswer
from validator.checks.training.answers import TrainingAnswer
from validator.failure import Failure
from validator.origin.types import Aspect, Behaviour
from validator.runner import Capture
from validator.storage.tensors import TensorEntry


def behaviour(result: Capture | Failure, aspect: Aspect, metrics: Sequence[str] = ()) -> Behaviour:
    """The class of what one run recorded. `metrics` names the reported numbers that count; all if empty."""
    if isinstance(result, Failure):
        return failed(result)
    try:
        if aspect == "outputs":
            return Behaviour(digest=outputs_digest(result))
        if aspect == "reported":
            return _reported(result, metrics)
        return _training(result) if aspect == "training" else _decoded(result)
    except OSError as error:
        return Behaviour(digest="capture", error="capture", stage=str(error.strerror))


def failed(failure: Failure) -> Behaviour:
    """A failure as a class: by the type of the exception."""
    return Behaviour(digest=f"!{failure.error}", error=failure.error, stage=failure.stage)


def outputs_digest(capture: Capture) -> str:
    """A digest of all outputs in their order; names are those of layers, which releases change."""
    return _digest(_bytes_of(capture.folder, capture.response.outputs))


def _bytes_of(folder: Path, entries: Iterable[TensorEntry]) -> Iterable[bytes]:
    for entry in entries:
        yield json.dumps([entry.dtype, entry.shape, entry.storage]).encode()
        for name in filter(None, (entry.path, entry.offsets, *entry.ragged)):
            yield (folder / name).read_bytes()


def _reported(capture: Capture, metrics: Sequence[str]) -> Behaviour:
    response = capture.response
    if response.reported is None:
        return failed(response.reported_failure.failure()) if response.reported_failure else _none("reported")
    values = {name: response.reported.get(name) for name in metrics or response.reported}
    return Behaviour(digest=_digest([json.dumps(values).encode()]), values=values)


def _training(capture: Capture) -> Behaviour:
    answer = capture.answer("training", TrainingAnswer)
    if not isinstance(answer, TrainingAnswer):
        return failed(answer) if answer else _none("training")
    losses = [step.loss for step in answer.steps]
    values = {str(number): loss for number, loss in enumerate(losses, 1)}
    return Behaviour(digest=_digest([json.dumps(losses).encode()]), values=values)


def _decoded(capture: Capture) -> Behaviour:
    answer = capture.answer("decode", DecodeAnswer)
    if not isinstance(answer, DecodeAnswer):
        return failed(answer) if answer else _none("decode")
    logits = [(capture.folder / name).read_bytes() for name in (answer.prefill, answer.steps)]
    tokens = json.dumps(answer.tokens).encode()
    return Behaviour(digest=_digest([tokens, *logits]), tokens=_digest([tokens]))


def _none(what: str) -> Behaviour:
    return Behaviour(digest=f"!no {what}", error=f"no {what}", stage="predict")


def _digest(parts: Iterable[bytes]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:24]
