"""What a decode starts from: prompts of token ids, and the other inputs that stand beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from keras_capture.failures import UnusableError
from keras_capture.model.feeding import Feed, make_feed, to_backend
from keras_capture.model.imports import Framework
from keras_capture.model.values import Ragged
from keras_capture.tasks import Work
from keras_capture.wire.recording import open_recording
from keras_capture.wire.tensors import Rows

_IDS = "decode needs token ids: whole numbers of shape (samples, time)"


@dataclass(frozen=True)
class Prompt:
    """The ids that one recorded sample begins with, and where it stands in the recording."""

    sample: int
    ids: np.ndarray


@dataclass(frozen=True)
class Source:
    """How ids are handed to the model: `place` among the tensors of the feed, all others as recorded.

    `length` and `batch` are the model's own, None where it takes any.
    """

    feed: Feed
    place: int
    batch: Optional[int]
    length: Optional[int]

    def inputs(self, framework: Framework, samples: List[int], ids: np.ndarray) -> object:
        """These ids, (samples, time), with the other inputs of their samples, in the model's structure."""
        values = []
        for place, tensor in enumerate(self.feed.tensors):
            if place == self.place:
                values.append(np.ascontiguousarray(ids, np.dtype(tensor.dtype)))
                continue
            rows = [tensor.rows(sample, sample + 1) for sample in samples]
            if any(isinstance(row, Ragged) for row in rows):
                raise UnusableError("decode cannot feed a ragged input beside the token ids; give a protocol")
            values.append(np.concatenate(rows))
        return self.feed.pack([to_backend(framework, value) for value in values])


def find_source(work: Work, name: Optional[str]) -> Source:
    """Which input holds the token ids: the only one, or the one that is named.

    Raises:
        UnusableError: there are several and none is named, or it does not hold ids.
    """
    feed = work.prediction.feed
    place, called = 0, name or ""
    own = getattr(work.prediction.model, "input_names", None) or ()
    if len(feed.tensors) > 1 or not (
        name is None or name in own or name in open_recording(work.job.inputs).tensors
    ):
        recording = open_recording(work.job.inputs)
        if name not in recording.tensors:
            unknown = f"there is no input {name!r}" if name else "several inputs are recorded"
            raise UnusableError(
                f"decode has to know which input holds the token ids, and {unknown}: set decode.input to "
                f"one of {', '.join(map(repr, recording.tensors))}"
            )
        feed = make_feed(work.prediction.model, recording, work.job.batch_size)
        if recording.tensors[name] not in feed.tensors:
            raise UnusableError(f"decode.input {name!r} is recorded, but no input of the model")
        place = feed.tensors.index(recording.tensors[name])
    _of_ids(feed.tensors[place], "the recording")
    return Source(feed, place, *_declared(work.prediction.model, called))


def find_prompts(source: Source, options: dict) -> List[Prompt]:
    """The prompts of another environment, or of the first samples, without the padding at their end.

    Raises:
        UnusableError: prompts are longer than what was recorded or the model takes, empty, or no ids.
    """
    forced = options.get("forced")
    if forced:
        rows = [np.asarray(ids, np.int64) for ids in forced["prompts"]]
    else:
        rows = [_stripped(row, options.get("pad")) for row in _whole(_recorded(source, options))]
    samples = forced["samples"] if forced else range(len(rows))
    prompts = [Prompt(sample, row) for sample, row in zip(samples, rows) if row.size]
    if not prompts:
        raise UnusableError("decode has no prompt: every one of them is empty or padding alone")
    longest = max(prompt.ids.size for prompt in prompts)
    if source.length is not None and longest > source.length:
        raise UnusableError(
            f"a prompt has {longest} tokens, but the model takes sequences of {source.length}: "
            "set decode.prompt_length to less"
        )
    return prompts


def _recorded(source: Source, options: dict) -> np.ndarray:
    """What prompts are made of: the beginning of the inputs, or a recording of their own."""
    count = int(options["samples"])
    if options.get("prompts"):
        recording = open_recording(options["prompts"])
        if len(recording.tensors) != 1:
            raise UnusableError(f"decode.prompts {recording.source} must hold one array")
        tensor = _of_ids(*recording.tensors.values(), f"decode.prompts {recording.source}")
        return tensor.rows(0, min(count, recording.samples))
    tensor, length = source.feed.tensors[source.place], int(options["prompt_length"])
    if length > tensor.shape[1]:
        raise UnusableError(
            f"decode.prompt_length is {length}, but the recorded samples have {tensor.shape[1]} tokens"
        )
    return tensor.rows(0, min(count, tensor.shape[0]))[:, :length]


def _of_ids(tensor: Rows, holder: str) -> Rows:
    fits = tensor.dtype.startswith(("int", "uint")) or tensor.dtype in ("float32", "float64")
    if len(tensor.shape) != 2 or None in tensor.shape or not fits:
        raise UnusableError(f"{_IDS}; {holder} holds {tensor.dtype} {tuple(tensor.shape)}")
    return tensor


def _whole(rows: np.ndarray) -> np.ndarray:
    """The rows as integers. Ids in float arrays are common: Keras' inputs are float32 by default."""
    if rows.dtype.kind == "f":
        odd = ~(np.isfinite(rows) & (rows == np.floor(rows)))
        if odd.any():
            raise UnusableError(f"{_IDS}; the recording holds {rows[odd][0]!r}")
    return rows.astype(np.int64)


def _stripped(row: np.ndarray, pad: Optional[int]) -> np.ndarray:
    if pad is None:
        return row
    kept = np.flatnonzero(row != pad)
    return row[: kept[-1] + 1] if kept.size else row[:0]


def _declared(model: object, name: str) -> Tuple[Optional[int], Optional[int]]:
    """Length of the batch and time axes as the model declares them."""
    declared = getattr(model, "inputs", None) or ()
    tensors = list(declared.values() if isinstance(declared, dict) else declared)
    named = [tensor for tensor in tensors if str(tensor.name).partition(":")[0] == name]
    shape = next((getattr(tensor, "shape", None) for tensor in (*named, *tensors)), None)
    if shape is None or getattr(shape, "rank", 0) is None or len(shape) != 2:
        return None, None
    batch, length = (None if axis is None else int(axis) for axis in tuple(shape))
    return batch, length
