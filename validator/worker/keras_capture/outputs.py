"""What a model returned, as named tensors in memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np

from keras_capture.failures import OutputsError
from keras_capture.values import STRING, Ragged, dtype_name

ONLY = "output"


@dataclass(frozen=True)
class Piece:
    """One output of one batch. `values` are flat values where there are `splits`."""

    dtype: str
    values: np.ndarray
    splits: Tuple[np.ndarray, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the elements are strings."""
        return self.dtype == STRING


@dataclass(frozen=True)
class Batch:
    """The outputs of one batch by name, and in words what could not be taken."""

    pieces: Dict[str, Piece]
    notes: Tuple[str, ...]


def read_outputs(outputs: object) -> Batch:
    """Name every tensor by its path in the structure and bring it to NumPy.

    Raises:
        OutputsError: two outputs have one name, or there is no tensor at all.
    """
    pieces: Dict[str, Piece] = {}
    notes = []
    for name, leaf in _named(simplify(outputs)):
        if name in pieces:
            raise OutputsError(f"two outputs of the model are both named {name!r}")
        piece, note = _read(leaf)
        if note:
            notes.append(f"output {name!r} {note}")
        if piece is not None:
            pieces[name] = piece
    if not pieces:
        raise OutputsError(f"the model returned no tensor: {'; '.join(notes) or 'an empty structure'}")
    return Batch(pieces, tuple(notes))


def simplify(outputs: object) -> object:
    """A list of one is that one: Keras releases differ in whether they unwrap it."""
    return outputs[0] if _is_sequence(outputs) and len(outputs) == 1 else outputs


def skeleton(structure: object, name: str = "") -> object:
    """The structure with each leaf replaced by its name; sequences become tuples."""
    prefix = f"{name}/" if name else ""
    if isinstance(structure, Mapping):
        return {key: skeleton(value, f"{prefix}{key}") for key, value in structure.items()}
    if _is_sequence(structure):
        return tuple(skeleton(value, f"{prefix}{index}") for index, value in enumerate(structure))
    return name or ONLY


def _named(structure: object, name: str = "") -> Iterator[Tuple[str, object]]:
    """Every leaf with its path in the structure."""
    if isinstance(structure, Mapping):
        items = structure.items()
    elif _is_sequence(structure):
        items = enumerate(structure)
    else:
        yield name or ONLY, structure
        return
    for key, value in items:
        yield from _named(value, f"{name}/{key}" if name else str(key))


def _is_sequence(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _read(leaf: object) -> Tuple[Optional[Piece], str]:
    """A leaf as a piece, and a note about it."""
    if leaf is None:
        return None, "is None and was not compared"
    tensorflow = sys.modules.get("tensorflow")
    note = ""
    if tensorflow is not None:
        if isinstance(leaf, tensorflow.RaggedTensor):
            return _ragged(leaf), ""
        if isinstance(leaf, tensorflow.SparseTensor):
            leaf, note = tensorflow.sparse.to_dense(leaf), "is sparse and was made dense"
    array = np.asarray(leaf.numpy() if hasattr(leaf, "numpy") else leaf)
    dtype = dtype_name(array)
    if dtype is None:
        return None, f"is no tensor ({type(leaf).__name__}) and was not compared"
    return Piece(dtype, array), note


def _ragged(tensor: object) -> Piece:
    value = Ragged(
        np.asarray(tensor.flat_values.numpy()),
        tuple(splits.numpy().astype(np.int64) for splits in tensor.nested_row_splits),
    )
    dtype = dtype_name(value.values)
    if dtype is None:
        raise OutputsError(f"a ragged output holds {value.values.dtype}, which cannot be stored")
    return Piece(dtype, value.values, value.splits)
