"""What a decode starts from: prompts of token ids, and the other inputs that stand beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import numpy as np

from keras_capture.failures import UnusableError
from keras_capture.feeding import Feed, make_feed, to_backend
from keras_capture.imports import Framework
from keras_capture.predicting import Prediction
from keras_capture.recording import Recording, open_recording
from keras_capture.tasks import Work
from keras_capture.values import Ragged

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
    length: Optional[int]
    batch: Optional[int]

    @property
    def dtype(self) -> np.dtype:
        """What ids are fed as: the recorded dtype."""
        return np.dtype(self.feed.tensors[self.place].dtype)

    def inputs(self, framework: Framework, samples: List[int], ids: np.ndarray) -> object:
        """These ids, (samples, time), with the other inputs of their samples, in the model's structure."""
        values = []
        for place, tensor in enumerate(self.feed.tensors):
            if place == self.place:
                values.append(np.ascontiguousarray(ids, dtype=self.dtype))
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
    if len(feed.tensors) > 1:
        recording = open_recording(work.job.inputs)
        if name not in recording.tensors:
            raise UnusableError(
                f"decode has to know which input holds the token ids: set decode.input to one of "
                f"{', '.join(map(repr, recording.tensors))}"
            )
        feed = make_feed(work.prediction.model, recording, work.job.batch_size)
        wanted = recording.tensors[name]
        places = [number for number, tensor in enumerate(feed.tensors) if tensor is wanted]
        if not places:
            raise UnusableError(f"decode.input {name!r} is recorded, but no input of the model")
        place = places[0]
    tensor = feed.tensors[place]
    if len(tensor.shape) != 2 or None in tensor.shape or not _may_hold_ids(tensor.dtype):
        raise UnusableError(f"{_IDS}; the recording holds {tensor.dtype} {tuple(tensor.shape)}")
    batch, length = _declared(work.prediction, called)
    return Source(feed, place, length, batch)


def find_prompts(source: Source, options: dict) -> List[Prompt]:
    """The first samples' prompts. Padding at their end is cut off where `pad` says what it is.

    Raises:
        UnusableError: prompts are longer than what was recorded, empty, or no ids.
    """
    count = int(options["samples"])
    if options.get("prompts"):
        rows = _only(open_recording(options["prompts"]), count)
    else:
        tensor, length = source.feed.tensors[source.place], int(options["prompt_length"])
        if length > tensor.shape[1]:
            raise UnusableError(
                f"decode.prompt_length is {length}, but the recorded samples have {tensor.shape[1]} tokens"
            )
        rows = tensor.rows(0, min(count, tensor.shape[0]))[:, :length]
    pad = options.get("pad")
    prompts = [Prompt(sample, _stripped(row, pad)) for sample, row in enumerate(_whole(rows))]
    kept = [prompt for prompt in prompts if prompt.ids.size]
    if not kept:
        raise UnusableError("decode has no prompt: every one of them is empty or padding alone")
    _check_room(source, kept)
    return kept


def given_prompts(source: Source, forced: dict) -> Tuple[List[Prompt], List[List[int]]]:
    """The prompts of another environment, and the tokens that it went on with.

    Raises:
        UnusableError: a prompt is longer than what the model takes.
    """
    prompts = [
        Prompt(sample, np.asarray(ids, np.int64)) for sample, ids in zip(forced["samples"], forced["prompts"])
    ]
    _check_room(source, prompts)
    return prompts, forced["tokens"]


def by_length(prompts: List[Prompt]) -> List[List[int]]:
    """Numbers of the prompts that have one length, and so run together."""
    groups: Dict[int, List[int]] = {}
    for number, prompt in enumerate(prompts):
        groups.setdefault(prompt.ids.size, []).append(number)
    return list(groups.values())


def _may_hold_ids(dtype: str) -> bool:
    return dtype.startswith(("int", "uint")) or dtype in ("float32", "float64")


def _only(recording: Recording, count: int) -> np.ndarray:
    tensors = list(recording.tensors.values())
    if len(tensors) != 1 or len(tensors[0].shape) != 2 or None in tensors[0].shape:
        raise UnusableError(f"decode.prompts {recording.source} must hold one array of shape (samples, time)")
    if not _may_hold_ids(tensors[0].dtype):
        raise UnusableError(f"{_IDS}; decode.prompts {recording.source} holds {tensors[0].dtype}")
    return tensors[0].rows(0, min(count, recording.samples))


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
    told = np.flatnonzero(row != pad)
    return row[: told[-1] + 1] if told.size else row[:0]


def _check_room(source: Source, prompts: List[Prompt]) -> None:
    longest = max(prompt.ids.size for prompt in prompts)
    if source.length is not None and longest > source.length:
        raise UnusableError(
            f"a prompt has {longest} tokens, but the model takes sequences of {source.length}: "
            "set decode.prompt_length to less"
        )


def _declared(prediction: Prediction, name: str) -> Tuple[Optional[int], Optional[int]]:
    """Length of the batch and time axes as the model declares them."""
    declared = getattr(prediction.model, "inputs", None) or ()
    tensors = list(declared.values() if isinstance(declared, dict) else declared)
    named = [tensor for tensor in tensors if str(tensor.name).partition(":")[0] == name]
    chosen = (named or tensors)[:1]
    shape = getattr(chosen[0], "shape", None) if chosen else None
    if shape is None or getattr(shape, "rank", 0) is None or len(shape) != 2:
        return None, None
    batch, length = (None if axis is None else int(axis) for axis in tuple(shape))
    return batch, length
