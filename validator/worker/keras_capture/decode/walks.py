"""Going on from a prompt, token by token: by computing the prefix again, or by the user's own protocol."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple, Union

import numpy as np

from keras_capture.decode.prompts import Prompt, Source
from keras_capture.failures import UnusableError
from keras_capture.model.custom import function
from keras_capture.model.imports import Framework
from keras_capture.model.outputs import read_outputs
from keras_capture.model.perturbing import numpy_of
from keras_capture.model.savedmodel import SavedModel
from keras_capture.outputs.predicting import Prediction
from keras_capture.structure.calling import caller

_SHAPE = "decode needs logits of shape (batch, time, vocabulary)"


@dataclass(frozen=True)
class Group:
    """Prompts of one length, (samples, time), that run as one batch; `numbers` is their order."""

    numbers: List[int]
    samples: List[int]
    ids: np.ndarray


def groups_of(prompts: List[Prompt]) -> List[Group]:
    """The prompts by their length."""
    numbers: Dict[int, List[int]] = {}
    for number, prompt in enumerate(prompts):
        numbers.setdefault(prompt.ids.size, []).append(number)
    return [
        Group(
            same,
            [prompts[number].sample for number in same],
            np.stack([prompts[number].ids for number in same]),
        )
        for same in numbers.values()
    ]


@dataclass(frozen=True)
class Walk:
    """What a group gave: `prefill` (n, time, vocabulary) in the model's dtype, the logits of each step
    (n, steps, vocabulary), the token that followed (n, steps), and whether a step's logits held NaN."""

    prefill: np.ndarray
    logits: np.ndarray
    tokens: np.ndarray
    broken: np.ndarray


class PrefixStepper:
    """A plain next-token model: each step computes the whole prefix again.

    Where the model takes any length, that is the prefix alone. Where its length is fixed, or each length
    would be compiled anew, ids are padded behind and a token is written at its position.
    """

    generates = False

    def __init__(
        self, prediction: Prediction, source: Source, padding: Tuple[Optional[int], int], reset: Callable
    ) -> None:
        self._prediction = prediction
        self._source = source
        self.length, self._pad = padding
        self.mode = "prefix" if self.length is None else "padded"
        self._reset = reset
        self._forward = _forward(prediction, source, self.length)
        self._group: Group

    def start(self, group: Group) -> np.ndarray:
        """Begin with prompts; the logits of each position, (n, time, vocabulary)."""
        self._group = group
        return self.whole(group)

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """Go on with a token for each sample; the logits of the next, (n, vocabulary)."""
        ids = np.concatenate([self._group.ids, tokens[:, None]], axis=1)
        self._group = replace(self._group, ids=ids)
        return self.whole(self._group)[:, -1]

    def whole(self, group: Group) -> np.ndarray:
        """The logits of each position, computed at once."""
        time, batch = group.ids.shape[1], self._source.batch or len(group.samples)
        ids = group.ids
        if self.length is not None:
            ids = np.pad(ids, ((0, 0), (0, self.length - time)), constant_values=self._pad)
        parts = []
        for start in range(0, len(ids), batch):
            rows = [row % len(ids) for row in range(start, start + batch)]  # a fixed batch is filled up
            self._reset()
            samples = [group.samples[row] for row in rows]
            inputs = self._source.inputs(self._prediction.framework, samples, ids[rows])
            parts.append(_only(self._forward(inputs), ids[rows].shape)[: len(ids) - start, :time])
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class ProtocolStepper:
    """The user's protocol: an object with `prefill` and `step`, and maybe `generate` (docs/decode.md)."""

    mode, length = "protocol", None

    def __init__(self, prediction: Prediction, reference: str) -> None:
        self._framework = prediction.framework
        self._reference = reference
        self._protocol = function(reference)(prediction.model)
        self._state: object = None
        self.generates = callable(getattr(self._protocol, "generate", None))
        for method in ("prefill", "step"):
            if not callable(getattr(self._protocol, method, None)):
                raise UnusableError(
                    f"{reference} returned {type(self._protocol).__name__}, which has no method {method}"
                )

    def start(self, group: Group) -> np.ndarray:
        """As `PrefixStepper`."""
        logits, self._state = self._pair(self._protocol.prefill(group.ids), "prefill")
        return _checked(logits, group.ids.shape, f"prefill of {self._reference}")

    def advance(self, tokens: np.ndarray) -> np.ndarray:
        """As `PrefixStepper`."""
        logits, self._state = self._pair(self._protocol.step(tokens, self._state), "step")
        logits = logits[:, -1] if logits.ndim == 3 else logits
        if logits.ndim != 2 or len(logits) != len(tokens):
            raise UnusableError(
                f"step of {self._reference} must give logits of shape ({len(tokens)}, vocabulary), "
                f"not {logits.shape}"
            )
        return logits

    def whole(self, group: Group) -> np.ndarray:
        """As `PrefixStepper`; the state of a walk that is under way is lost."""
        return self.start(group)

    def generate(self, group: Group, steps: int) -> np.ndarray:
        """The new tokens, (n, at most steps), as the model's own `generate` chooses them."""
        tokens = _array(self._framework, self._protocol.generate(group.ids, steps))
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


Stepper = Union[PrefixStepper, ProtocolStepper]


def walk(
    stepper: Stepper,
    group: Group,
    steps: int,
    *,
    eos: Optional[int] = None,
    along: Optional[np.ndarray] = None,
) -> Walk:
    """Greedily, each token the arg max, until every sample has ended; or teacher-forced, `along` tokens
    (n, steps), whatever the logits say.
    """
    prefill = stepper.start(group)
    logits, tokens, broken = [exact(prefill[:, -1])], [], []
    ended = np.zeros(len(group.samples), bool)
    for step in range(steps):
        if step:
            logits.append(exact(stepper.advance(tokens[-1])))
        bad = np.isnan(logits[-1])
        broken.append(bad.any(axis=-1))
        if along is not None:
            tokens.append(along[:, step])
            continue
        tokens.append(np.where(bad, -np.inf, logits[-1]).argmax(axis=-1))
        ended |= broken[-1] | (tokens[-1] == eos)
        if ended.all():
            break
    return Walk(prefill, np.stack(logits, axis=1), np.stack(tokens, axis=1), np.stack(broken, axis=1))


def exact(logits: np.ndarray) -> np.ndarray:
    """Exact in float32, or in float64 where they are that wide."""
    return logits.astype(np.float64 if logits.dtype == np.float64 else np.float32)


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


def _array(framework: Framework, value: object) -> np.ndarray:
    return np.asarray(value) if isinstance(value, (np.ndarray, list)) else numpy_of(framework, value)
