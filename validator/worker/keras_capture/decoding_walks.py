"""Going on from a prompt, token by token: by computing the prefix again, or by the user's own protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import List, Optional, Tuple, Union

import numpy as np

from keras_capture.custom import function
from keras_capture.decoding_prompts import Prompt, Source
from keras_capture.failures import UnusableError
from keras_capture.layers import caller
from keras_capture.outputs import read_outputs
from keras_capture.perturbing import numpy_of
from keras_capture.predicting import Prediction
from keras_capture.savedmodel import SavedModel

_SHAPE = "decode needs logits of shape (batch, time, vocabulary)"


@dataclass(frozen=True)
class Group:
    """Prompts of one length, (samples, time), that run as one batch."""

    samples: List[int]
    ids: np.ndarray

    @classmethod
    def of(cls, prompts: List[Prompt]) -> Group:
        """The group of these prompts."""
        return cls([prompt.sample for prompt in prompts], np.stack([prompt.ids for prompt in prompts]))


@dataclass(frozen=True)
class Walk:
    """What a group gave: `prefill` (n, time, vocabulary) in the model's dtype, the logits of each step
    (n, steps, vocabulary), the token that followed (n, steps), and whether a step's logits held NaN."""

    prefill: np.ndarray
    logits: np.ndarray
    tokens: np.ndarray
    broken: np.ndarray


class Recomputed:
    """A plain next-token model: each step computes the whole prefix again.

    Where the model takes any length, that is the prefix alone. Where its length is fixed, or each length
    would be compiled anew, ids are padded behind and a token is written at its position.
    """

    def __init__(
        self, prediction: Prediction, source: Source, padding: Tuple[Optional[int], int], reset: Callable
    ) -> None:
        self._prediction = prediction
        self._source = source
        self._length, self._pad = padding
        self._reset = reset
        self._forward = _forward(prediction, source, self._length)
        self._group = Group([], np.zeros((0, 0), np.int64))

    @property
    def mode(self) -> str:
        """In words of the protocol."""
        return "prefix" if self._length is None else "padded"

    def start(self, group: Group) -> np.ndarray:
        """Begin with prompts; the logits of each position, (n, time, vocabulary)."""
        self._group = group
        return self.whole(group)

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """Go on with a token for each sample; the logits of the next, (n, vocabulary)."""
        ids = np.concatenate([self._group.ids, tokens[:, None]], axis=1)
        self._group = Group(self._group.samples, ids)
        return self.whole(self._group)[:, -1]

    def whole(self, group: Group) -> np.ndarray:
        """The logits of each position, computed at once."""
        time, batch = group.ids.shape[1], self._source.batch or len(group.samples)
        ids = group.ids
        if self._length is not None:
            ids = np.pad(ids, ((0, 0), (0, self._length - time)), constant_values=self._pad)
        parts = []
        for start in range(0, len(ids), batch):
            rows = [row % len(ids) for row in range(start, start + batch)]  # a fixed batch is filled up
            self._reset()
            samples = [group.samples[row] for row in rows]
            inputs = self._source.inputs(self._prediction.framework, samples, ids[rows])
            parts.append(_only(self._forward(inputs), ids[rows].shape)[: len(ids) - start, :time])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class Spoken:
    """The user's protocol: an object with `prefill` and `step`, and maybe `generate` (docs/decode.md)."""

    mode = "protocol"

    def __init__(self, prediction: Prediction, reference: str) -> None:
        self._framework = prediction.framework
        self._reference = reference
        self._spoken = function(reference)(prediction.model)
        self._state: object = None
        for method in ("prefill", "step"):
            if not callable(getattr(self._spoken, method, None)):
                raise UnusableError(
                    f"{reference} returned {type(self._spoken).__name__}, which has no method {method}"
                )

    @property
    def generates(self) -> bool:
        """Whether it has a `generate` of its own."""
        return callable(getattr(self._spoken, "generate", None))

    def start(self, group: Group) -> np.ndarray:
        """As `Recomputed`."""
        logits, self._state = self._pair(self._spoken.prefill(group.ids), "prefill")
        return _checked(logits, group.ids.shape, f"prefill of {self._reference}")

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """As `Recomputed`."""
        logits, self._state = self._pair(self._spoken.step(tokens, self._state), "step")
        logits = logits[:, -1] if logits.ndim == 3 else logits
        if logits.ndim != 2 or len(logits) != len(tokens):
            raise UnusableError(
                f"step of {self._reference} must give logits of shape ({len(tokens)}, vocabulary), "
                f"not {logits.shape}"
            )
        return logits

    def whole(self, group: Group) -> np.ndarray:
        """As `Recomputed`; the state of a walk that is under way is lost."""
        return self.start(group)

    def generate(self, group: Group, steps: int) -> np.ndarray:
        """The new tokens, (n, at most steps), as the model's own `generate` chooses them."""
        tokens = _array(self._framework, self._spoken.generate(group.ids, steps))
        fits = tokens.ndim == 2 and len(tokens) == len(group.samples) and 1 <= tokens.shape[1] <= steps
        if not fits or tokens.dtype.kind not in "iu":
            raise UnusableError(
                f"generate of {self._reference} must give the new tokens alone, integers of shape "
                f"({len(group.samples)}, at most {steps}), not {tokens.dtype} {tokens.shape}"
            )
        return tokens.astype(np.int64)

    def _pair(self, value: object, method: str) -> Tuple[np.ndarray, object]:
        if not isinstance(value, tuple) or len(value) != 2:
            raise UnusableError(f"{method} of {self._reference} must return the tuple (logits, state)")
        return _array(self._framework, value[0]), value[1]


Stepper = Union[Recomputed, Spoken]


def walk_freely(stepper: Stepper, group: Group, steps: int, eos: Optional[int]) -> Walk:
    """Greedy decode: each token is the arg max. Ends early where every sample has ended."""
    ended = np.zeros(len(group.samples), bool)

    def choose(step: int, logits: np.ndarray, broken: np.ndarray) -> Optional[np.ndarray]:
        if ended.all():
            return None
        told = np.where(np.isnan(logits), -np.inf, logits).argmax(axis=-1)
        ended[broken | (told == eos)] = True
        return told

    return _walk(stepper, group, steps, choose)


def walk_along(stepper: Stepper, group: Group, tokens: np.ndarray) -> Walk:
    """Teacher-forced: along these tokens, (n, steps), whatever the logits say."""
    return _walk(stepper, group, tokens.shape[1], lambda step, logits, broken: tokens[:, step])


def wide(logits: np.ndarray) -> np.ndarray:
    """Exact in float32, or in float64 where they are that wide."""
    return logits.astype(np.float64 if logits.dtype == np.float64 else np.float32)


def _walk(stepper: Stepper, group: Group, steps: int, choose: Callable) -> Walk:
    prefill = stepper.start(group)
    rows, tokens, broken = [wide(prefill[:, -1])], [], []
    for step in range(steps):
        bad = np.isnan(rows[-1]).any(axis=-1)
        chosen = choose(step, rows[-1], bad)
        if chosen is None:
            rows.pop()
            break
        tokens.append(np.asarray(chosen, np.int64))
        broken.append(bad)
        if step + 1 < steps:
            rows.append(wide(stepper.advance(tokens[-1])))
    return Walk(prefill, np.stack(rows, axis=1), np.stack(tokens, axis=1), np.stack(broken, axis=1))


def _forward(prediction: Prediction, source: Source, length: Optional[int]) -> Callable[[object], object]:
    model, framework = prediction.model, prediction.framework
    if isinstance(model, SavedModel):
        return model
    if not framework.on_tensorflow:
        return model.predict_on_batch
    call = caller(framework, model)
    if getattr(model, "run_eagerly", False):
        return call
    import tensorflow

    specs = []
    for place, tensor in enumerate(source.feed.tensors):
        # Without a length, one trace is for all of them.
        shape = [source.batch, *([length] if place == source.place else tensor.shape[1:])]
        specs.append(tensorflow.TensorSpec(shape, tensorflow.as_dtype(tensor.dtype)))
    compiled = getattr(model, "jit_compile", None) is True or None
    return tensorflow.function(call, input_signature=[source.feed.pack(specs)], jit_compile=compiled)


def _only(outputs: object, ids: Tuple[int, ...]) -> np.ndarray:
    pieces = read_outputs(outputs).pieces
    if len(pieces) != 1:
        raise UnusableError(f"{_SHAPE}; the model gives {len(pieces)} outputs: {', '.join(pieces)}")
    piece = next(iter(pieces.values()))
    if piece.splits or piece.is_text:
        raise UnusableError(f"{_SHAPE}; the model gives a ragged tensor or strings")
    return _checked(piece.values, ids, "the model")


def _checked(logits: np.ndarray, ids: Tuple[int, ...], who: str) -> np.ndarray:
    floating = logits.dtype.kind == "f" or logits.dtype.name == "bfloat16"
    if not floating or logits.ndim != 3 or logits.shape[:2] != tuple(ids) or not logits.shape[2]:
        raise UnusableError(
            f"{_SHAPE}; for ids of shape {tuple(ids)} {who} gives {logits.dtype} {logits.shape}"
        )
    return logits


def _array(framework: object, value: object) -> np.ndarray:
    return np.asarray(value) if isinstance(value, (np.ndarray, list)) else numpy_of(framework, value)
