"""Recorded inputs and labels: read from a folder in slices, or returned by a function."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Dict, List, Tuple, Union

import numpy as np

from keras_capture.custom import function
from keras_capture.failures import InputsError
from keras_capture.files import read_json
from keras_capture.npy import NpyReader, blocks
from keras_capture.values import STRING, Ragged, as_bytes, bits_dtype, dtype_name, extended, from_bytes

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z")


class Dense:
    """Numbers on disk (a reader) or in memory (an array). `dtype` names them as the protocol does."""

    def __init__(self, source: Union[NpyReader, np.ndarray], dtype: str) -> None:
        self._source = source
        self._bits = dtype != source.dtype.name
        self.dtype = dtype
        self.shape = tuple(source.shape)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows [start, stop), in the recorded dtype."""
        found = (
            self._source.rows(start, stop)
            if isinstance(self._source, NpyReader)
            else self._source[start:stop]
        )
        return found.view(extended(self.dtype)) if self._bits else found

    def parts(self) -> Iterator[bytes]:
        """All bytes in C order, a block at a time."""
        length = self.shape[0]
        for start, stop in blocks(length, math.prod(self.shape[1:]) * self._source.dtype.itemsize):
            yield self.rows(start, stop).tobytes()


class Text:
    """Strings on disk: a blob and offsets."""

    dtype = STRING

    def __init__(self, blob: Path, offsets: NpyReader, shape: Tuple[int, ...]) -> None:
        self._blob = blob
        self._offsets = offsets
        self.shape = shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows [start, stop) as an object array of bytes."""
        width = math.prod(self.shape[1:])
        ends = self._offsets.rows(start * width, stop * width + 1).tolist()
        with self._blob.open("rb") as file:
            file.seek(ends[0])
            data = file.read(ends[-1] - ends[0])
        items = [data[low - ends[0] : high - ends[0]] for low, high in zip(ends, ends[1:])]
        return from_bytes(items, (stop - start, *self.shape[1:]))

    def parts(self) -> Iterator[bytes]:
        """Length and bytes of each string."""
        for start, stop in blocks(self.shape[0], 64 * math.prod(self.shape[1:])):
            yield from _text_parts(self.rows(start, stop))


class TextArray:
    """Strings in memory."""

    dtype = STRING

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.shape = tuple(array.shape)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The rows [start, stop) as an object array of bytes."""
        taken = self._array[start:stop]
        return from_bytes(as_bytes(taken), taken.shape)

    def parts(self) -> Iterator[bytes]:
        """Length and bytes of each string."""
        yield from _text_parts(self._array)


class RaggedRows:
    """Rows of different lengths: flat values and row splits. `shape` has None where lengths differ."""

    def __init__(self, values: Union[Dense, Text], splits: List[NpyReader]) -> None:
        self._values = values
        self._splits = splits
        self.dtype = values.dtype
        self.shape = (splits[0].shape[0] - 1, *[None] * len(splits), *values.shape[1:])

    def rows(self, start: int, stop: int) -> Ragged:
        """The rows [start, stop), with splits that begin at 0."""
        taken = []
        for reader in self._splits:
            splits = reader.rows(start, stop + 1)
            start, stop = int(splits[0]), int(splits[-1])
            taken.append(splits - start)
        return Ragged(self._values.rows(start, stop), tuple(taken))

    def parts(self) -> Iterator[bytes]:
        """Splits, then values."""
        for reader in self._splits:
            yield from Dense(reader, reader.dtype.name).parts()
        yield from self._values.parts()


Tensor = Union[Dense, Text, TextArray, RaggedRows]


class Recording:
    """Named tensors with a common number of samples."""

    def __init__(self, source: str, tensors: Dict[str, Tensor]) -> None:
        self.source = source
        self.tensors = tensors
        if not tensors:
            raise InputsError(f"{source} holds no tensors")
        lengths = {name: tensor.shape[0] if tensor.shape else 0 for name, tensor in tensors.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name!r} {length}" for name, length in lengths.items())
            raise InputsError(f"the tensors of {source} have different numbers of samples: {listed}")
        self.samples = next(iter(lengths.values()))

    def digest(self) -> str:
        """sha256 over names, dtypes, shapes and bytes, whatever the order and the way of storing."""
        total = hashlib.sha256()
        for name in sorted(self.tensors):
            tensor = self.tensors[name]
            total.update(json.dumps([name, tensor.dtype, tensor.shape]).encode())
            for part in tensor.parts():
                total.update(part)
        return total.hexdigest()


def open_recording(source: str) -> Recording:
    """Open a folder with a manifest, or call `package.module:function`.

    Raises:
        InputsError: what is there is no recording.
        ValueError, OSError: its files cannot be read.
    """
    if _FUNCTION.match(source):
        return Recording(source, _called(source))
    folder = Path(source)
    manifest = read_json(folder / "manifest.json")
    recording = Recording(source, {entry["name"]: _stored(folder, entry) for entry in manifest["tensors"]})
    if recording.samples != manifest["samples"]:
        raise InputsError(
            f"{source} says it has {manifest['samples']} samples, its tensors have {recording.samples}"
        )
    return recording


def _stored(folder: Path, entry: dict) -> Tensor:
    shape = tuple(entry["shape"])
    if entry["storage"] == "utf8":
        values = Text(folder / entry["path"], NpyReader(folder / entry["offsets"]), shape)
    else:
        values = Dense(_checked(folder / entry["path"], entry, shape), entry["dtype"])
    splits = [NpyReader(folder / path) for path in entry.get("ragged") or ()]
    return RaggedRows(values, splits) if splits else values


def _checked(path: Path, entry: dict, shape: Tuple[int, ...]) -> NpyReader:
    reader = NpyReader(path)
    wanted = bits_dtype(extended(entry["dtype"])).name if entry["storage"] == "bits" else entry["dtype"]
    if reader.dtype.name != wanted or reader.shape != shape:
        raise InputsError(
            f"{path} holds {reader.dtype.name} {reader.shape}, its manifest says {entry['dtype']} {shape}"
        )
    return reader


def _called(reference: str) -> Dict[str, Tensor]:
    returned = function(reference)()
    if not isinstance(returned, Mapping):
        raise InputsError(f"{reference} returned {type(returned).__name__}, not a dict of name → array")
    return {str(name): _in_memory(reference, str(name), value) for name, value in returned.items()}


def _in_memory(reference: str, name: str, value: object) -> Tensor:
    array = np.asarray(value)
    dtype = dtype_name(array)
    if dtype is None:
        raise InputsError(
            f"{reference} returned {name!r} as an array of {array.dtype}: not numbers, not strings"
        )
    if not array.ndim:
        raise InputsError(f"{reference} returned {name!r} as a single value, without a sample axis")
    return TextArray(array) if dtype == STRING else Dense(np.ascontiguousarray(array), dtype)


def _text_parts(array: np.ndarray) -> Iterator[bytes]:
    for item in as_bytes(array):
        yield len(item).to_bytes(8, "little")
        yield item
