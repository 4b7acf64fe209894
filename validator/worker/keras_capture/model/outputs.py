"""What a model returned, as named tensors in memory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np

from keras_capture.failures import OutputsError
from keras_capture.model.structures import Keys, is_sequence, located, mapped
from keras_capture.model.values import STRING, dtype_name

ONLY = "output"


@dataclass(frozen=True)
class Piece:
    """One output of one batch. `values` are flat values where there are `splits` (int64)."""

    dtype: str
    values: np.ndarray
    splits: Tuple[np.ndarray, ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the elements are strings."""
        return self.dtype == STRING

    def __str__(self) -> str:
        return f"{'ragged ' if self.splits else ''}{self.dtype} {tuple(self.values.shape)}"


@dataclass(frozen=True)
class Returned:
    """The outputs of one batch by name, and in words what could not be taken."""

    pieces: Dict[str, Piece]
    notes: Tuple[str, ...]


def read_outputs(outputs: object) -> Returned:
    """Name every tensor by its path in the structure and bring it to NumPy."""
    pieces: Dict[str, Piece] = {}
    notes = []
    for path, leaf in located(simplify(outputs)):
        name = _name(path)
        if name in pieces:
            raise OutputsError(f"two outputs of the model are both named {name!r}")
        piece, note = _read(leaf)
        if note:
            notes.append(f"output {name!r} {note}")
        if piece is not None:
            pieces[name] = piece
    if not pieces:
        raise OutputsError(f"the model returned no tensor: {'; '.join(notes) or 'an empty structure'}")
    return Returned(pieces, tuple(notes))


def simplify(outputs: object) -> object:
    """A list of one is that one: Keras releases differ in whether they unwrap it."""
    return outputs[0] if is_sequence(outputs) and len(outputs) == 1 else outputs


def skeleton(structure: object) -> object:
    """The structure with each leaf replaced by its name; sequences become tuples."""
    return mapped(lambda path, _: _name(path), structure)


def _name(path: Keys) -> str:
    return "/".join(map(str, path)) or ONLY


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
    values = np.asarray(tensor.flat_values.numpy())
    dtype = dtype_name(values)
    if dtype is None:
        raise OutputsError(f"a ragged output holds {values.dtype}, which cannot be stored")
    splits = tuple(rows.numpy().astype(np.int64) for rows in tensor.nested_row_splits)
    return Piece(dtype, values, splits)
