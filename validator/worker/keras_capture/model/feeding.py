"""Maps recorded tensors to a model's inputs, and hands them over in batches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import List, Optional, Tuple

import numpy as np

from keras_capture.failures import InputsError
from keras_capture.model.imports import Framework
from keras_capture.model.savedmodel import SavedModel
from keras_capture.model.structures import Keys, is_sequence, located, mapped
from keras_capture.model.values import STRING, Ragged
from keras_capture.wire.recording import Recording
from keras_capture.wire.tensors import Rows

#: Names that frameworks and NumPy make up: they say nothing about what a tensor is.
_ANONYMOUS = re.compile(
    r"(input|inputs|input_layer|keras_tensor|args|arr|\w+_input)(_?\d+)?\Z|\d+\Z|(x|data|array|tensor)\Z"
)


@dataclass(frozen=True)
class Slot:
    """One input the model wants. `shape` is None where the rank is unknown."""

    path: Keys
    name: str
    shape: Optional[Tuple[Optional[int], ...]]
    dtype: str
    strict: bool = False  # a SavedModel takes no other dtype

    @property
    def key(self) -> str:
        """Its place in the structure, in words."""
        return "/".join(map(str, self.path))

    @property
    def anonymous(self) -> bool:
        """Whether neither a dict key nor a chosen name says what it is. A signature makes its keys up."""
        keyed = not self.strict and any(isinstance(part, str) for part in self.path)
        return not keyed and bool(_ANONYMOUS.match(self.name))

    def __str__(self) -> str:
        named = all(isinstance(part, int) for part in self.path)
        return f"{(self.name if named else self.key)!r} {_shape(self.shape)}"


@dataclass(frozen=True)
class Feed:
    """Recorded tensors in the order of `pack`, which makes of a batch of them what the model is called with.

    `listed` packs them as a list in the model's order, where `pack` makes a dict of what could be either.
    """

    samples: int
    tensors: Tuple[Rows, ...]
    pack: Callable[[List[object]], object]
    notes: Tuple[str, ...]
    listed: Optional[Callable[[List[object]], object]] = None

    def as_list(self) -> Optional[Feed]:
        """The same fed as a list; None where there is no choice."""
        return replace(self, pack=self.listed, listed=None) if self.listed else None

    def batch(self, framework: Framework, start: int, stop: int) -> object:
        """The samples [start, stop) in the model's input structure, as the backend's tensors."""
        return self.pack([to_backend(framework, tensor.rows(start, stop)) for tensor in self.tensors])


def make_feed(model: object, recording: Recording, batch_size: int) -> Feed:
    """Decide which recorded tensor goes where, and check that the model can take them."""
    if recording.samples == 0:
        raise InputsError(f"{recording.source} has no samples")
    structure = _structure(model)
    if structure is None:
        return _undeclared(recording)
    slots = [_slot(path, leaf) for path, leaf in located(structure)]
    chosen, notes = _match(slots, recording)
    for slot, name in zip(slots, chosen):
        _check(slot, name, recording, batch_size)

    def pack(values: List[object]) -> object:
        placed = dict(zip((slot.path for slot in slots), values))
        return mapped(lambda path, _: placed[path], structure, list)

    tensors = tuple(recording.tensors[name] for name in chosen)
    if not _named(structure, slots, chosen):
        return Feed(recording.samples, tensors, pack, notes)
    return Feed(recording.samples, tensors, lambda values: dict(zip(chosen, values)), notes, listed=pack)


def _named(structure: object, slots: List[Slot], chosen: List[str]) -> bool:
    """Whether a model made of a list of inputs can be fed by their names, as people do who recorded names.

    Keras 3.4 to 3.6 then take the tensors in the order of the sorted names:
    https://github.com/keras-team/keras/pull/20481
    """
    flat = is_sequence(structure) and len(slots) == len(structure) > 1
    return flat and all(slot.name == name and not slot.anonymous for slot, name in zip(slots, chosen))


def to_backend(framework: Framework, value: object) -> object:
    """A batch as the backend takes it: TensorFlow's tensors, NumPy arrays for the others."""
    if not framework.on_tensorflow and not _is_text(value):
        if isinstance(value, Ragged):
            raise InputsError(f"the backend {framework.backend} has no ragged tensors")
        return value
    import tensorflow

    if isinstance(value, Ragged):
        values = to_backend(framework, value.values)
        return tensorflow.RaggedTensor.from_nested_row_splits(values, value.splits)
    if _is_text(value):
        return tensorflow.constant(value, dtype=tensorflow.string)
    return tensorflow.convert_to_tensor(value)


def _is_text(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "O"


def _structure(model: object) -> object:
    """The declared inputs in the model's own structure; None where it declares none."""
    if isinstance(model, SavedModel):
        return model.inputs
    # A Sequential of Keras 3 hides its graph (private; 3.0 to 3.15.1):
    # https://github.com/keras-team/keras/blob/v3.3.3/keras/src/models/sequential.py#L69
    graph = getattr(model, "_functional", None) or model
    try:
        return graph.input if graph.inputs else None
    except (AttributeError, ValueError):  # a Sequential without shapes, a model that was never called
        return None


def _slot(path: Keys, leaf: object) -> Slot:
    shape = getattr(leaf, "shape", None)
    known = shape is not None and getattr(shape, "rank", 0) is not None
    return Slot(
        path=path,
        name=str(leaf.name).partition(":")[0],
        shape=tuple(None if length is None else int(length) for length in shape) if known else None,
        dtype=getattr(leaf.dtype, "name", None) or str(leaf.dtype),
        strict=type(leaf).__name__ == "TensorSpec",
    )


def _undeclared(recording: Recording) -> Feed:
    """A model that declares no inputs: one tensor as it is, numbered ones as a list, others as a dict."""
    names = list(recording.tensors)

    def pack(values: List[object]) -> object:
        return values[0] if len(names) == 1 else dict(zip(names, values))

    if len(names) > 1 and all(re.match(r"(arr_)?\d+\Z", name) for name in names):
        names, pack = _ordered(names), list
    return Feed(recording.samples, tuple(recording.tensors[name] for name in names), pack, ())


def _match(slots: List[Slot], recording: Recording) -> Tuple[List[str], Tuple[str, ...]]:
    """The name of the recorded tensor for each slot, and what to tell about the choice."""
    recorded = set(recording.tensors)
    for names in ([slot.key for slot in slots], [slot.name for slot in slots]):
        if len(set(names)) == len(names) and set(names) == recorded:
            return names, ()
    # Names that a framework made up are no evidence: input_2 of the recording may be input_3 of the model.
    known = {
        slot: name
        for slot in slots
        for name in (slot.key, slot.name)
        if name in recorded and not slot.anonymous
    }
    free_slots = [slot for slot in slots if slot not in known]
    free_names = _ordered([name for name in recording.tensors if name not in set(known.values())])
    if not free_slots:
        unused = ", ".join(map(repr, free_names))
        return [known[slot] for slot in slots], (
            f"recorded but not an input of the model, so not used: {unused}",
        )
    if len(free_slots) != len(free_names) or not (
        all(slot.anonymous for slot in free_slots) or all(_ANONYMOUS.match(name) for name in free_names)
    ):
        raise _mismatch(slots, recording)
    known.update(zip(free_slots, free_names))
    pairs = ", ".join(f"{name!r} → {slot}" for slot, name in zip(free_slots, free_names))
    return [known[slot] for slot in slots], (f"mapped by position, since names are automatic: {pairs}",)


def _ordered(names: List[str]) -> List[str]:
    """Numbered names of one family by number (arr_10 after arr_9); others as recorded."""
    parts = [re.match(r"(.*?)(\d+)\Z", name) for name in names]
    if all(parts) and len({part.group(1) for part in parts}) == 1:
        return sorted(names, key=lambda name: int(re.search(r"\d+\Z", name).group()))
    return names


def _mismatch(slots: List[Slot], recording: Recording) -> InputsError:
    expected = ", ".join(map(str, slots))
    has = ", ".join(f"{name!r} {_shape(tensor.shape)}" for name, tensor in recording.tensors.items())
    return InputsError(
        f"the model wants the inputs {expected}; the recording has {has}: "
        "name the recorded tensors as the inputs"
    )


def _check(slot: Slot, name: str, recording: Recording, batch_size: int) -> None:
    tensor = recording.tensors[name]
    about = (
        f"the recorded tensor {name!r} {tensor.dtype} {_shape(tensor.shape)} does not fit the input {slot}"
    )
    if (tensor.dtype == STRING) != (slot.dtype == STRING) or (slot.strict and tensor.dtype != slot.dtype):
        raise InputsError(f"{about}: the model wants {slot.dtype}")
    if slot.shape is None:
        return
    if not _fits(tensor.shape[1:], slot.shape[1:]):
        raise InputsError(f"{about}: every axis but the first must agree")
    fixed = slot.shape[0] if slot.shape else None
    if fixed is not None and (fixed != batch_size or recording.samples % fixed):
        raise InputsError(
            f"{about}: the model takes batches of exactly {fixed}; "
            "set batch_size to that and record a multiple of it"
        )


def _fits(shape: Tuple, expected: Tuple) -> bool:
    """Whether one sample fits; like Keras, with a last axis of length 1 more or less."""
    if len(shape) == len(expected) + 1 and shape[-1] == 1:
        shape = shape[:-1]
    elif len(expected) == len(shape) + 1 and expected[-1] in (1, None):
        expected = expected[:-1]
    return len(shape) == len(expected) and all(
        have is None or want is None or have == want for have, want in zip(shape, expected)
    )


def _shape(shape: Optional[Tuple]) -> str:
    return "of any shape" if shape is None else f"({', '.join('?' if n is None else str(n) for n in shape)})"
