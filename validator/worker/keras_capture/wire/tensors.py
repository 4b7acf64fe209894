"""Tensors with rows: in memory, or on disk as an entry of the protocol describes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import List, Optional, Tuple, Union

import numpy as np

from keras_capture.failures import InputsError
from keras_capture.model.values import STRING, Ragged, as_bytes, bits_dtype, dtype_name, extended, from_bytes
from keras_capture.wire.npy import NpyAppender, NpyReader, blocks, in_job

_WIDEST = 16  # bytes of a number


class Rows:
    """A tensor that is read a few rows at a time. `dtype` is named as in the protocol.

    `shape` has None where rows differ in length.
    """

    dtype: str
    shape: Tuple[Optional[int], ...]

    def rows(self, start: int, stop: int) -> Union[np.ndarray, Ragged]:
        """The rows [start, stop) in the recorded dtype; strings as an object array of bytes."""
        raise NotImplementedError

    def whole(self) -> Union[np.ndarray, Ragged]:
        """All rows; or the value of a tensor without axes."""
        return self.rows(0, self.shape[0] if self.shape else 1)

    def parts(self) -> Iterator[bytes]:
        """What a digest is of, a block at a time: the bytes in C order; length and bytes of each string."""
        for start, stop in blocks(self.shape[0], _WIDEST * math.prod(self.shape[1:])):
            values = self.rows(start, stop)
            if self.dtype != STRING:
                yield values.tobytes()
                continue
            for item in as_bytes(values):
                yield len(item).to_bytes(8, "little")
                yield item


class InMemory(Rows):
    """An array of numbers or strings."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.dtype = dtype_name(array)
        self.shape = array.shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        """As `Rows`; not copied."""
        taken = self._array[start:stop]
        return from_bytes(as_bytes(taken), taken.shape) if self.dtype == STRING else taken


class NumberRows(Rows):
    """Numbers in a `.npy` file, perhaps as bits of a dtype that NumPy lacks."""

    def __init__(self, reader: NpyReader, dtype: str) -> None:
        self._reader = reader
        self.dtype = dtype
        self.shape = reader.shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        """As `Rows`."""
        taken = self._reader.rows(start, stop)
        return taken if taken.dtype.name == self.dtype else taken.view(extended(self.dtype))


class StringRows(Rows):
    """Strings in a blob, with offsets."""

    def __init__(self, blob: Path, offsets: NpyReader, shape: Tuple[int, ...]) -> None:
        self._blob = blob
        self._offsets = offsets
        self.dtype = STRING
        self.shape = shape

    def rows(self, start: int, stop: int) -> np.ndarray:
        """As `Rows`."""
        width = math.prod(self.shape[1:])
        ends = self._offsets.rows(start * width, stop * width + 1).tolist()
        with self._blob.open("rb") as file:
            file.seek(ends[0])
            data = file.read(ends[-1] - ends[0])
        items = [data[low - ends[0] : high - ends[0]] for low, high in zip(ends, ends[1:])]
        return from_bytes(items, (stop - start, *self.shape[1:]) if self.shape else ())


class RaggedRows(Rows):
    """Rows of different lengths: flat values and row splits."""

    def __init__(self, values: Rows, splits: List[NpyReader]) -> None:
        self._values = values
        self._splits = splits
        self.dtype = values.dtype
        self.shape = (splits[0].shape[0] - 1, *[None] * len(splits), *values.shape[1:])

    def rows(self, start: int, stop: int) -> Ragged:
        """As `Rows`, with splits that begin at 0."""
        taken = []
        for reader in self._splits:
            splits = reader.rows(start, stop + 1)
            start, stop = int(splits[0]), int(splits[-1])
            taken.append(splits - start)
        return Ragged(self._values.rows(start, stop), tuple(taken))

    def parts(self) -> Iterator[bytes]:
        """Splits, then values."""
        for reader in self._splits:
            yield from NumberRows(reader, reader.dtype.name).parts()
        yield from self._values.parts()


def stored(folder: Path, entry: dict) -> Rows:
    """The tensor of an entry whose paths start from the folder."""
    path, shape = folder / entry["path"], tuple(entry["shape"])
    if entry["storage"] == "utf8":
        values = StringRows(path, NpyReader(folder / entry["offsets"]), shape)
    else:
        reader, dtype = NpyReader(path), entry["dtype"]
        expected = bits_dtype(extended(dtype)).name if entry["storage"] == "bits" else dtype
        if reader.dtype.name != expected or reader.shape != shape:
            raise InputsError(
                f"{path} holds {reader.dtype.name} {reader.shape}, its manifest says {dtype} {shape}"
            )
        values = NumberRows(reader, dtype)
    splits = [NpyReader(folder / path) for path in entry.get("ragged") or ()]
    return RaggedRows(values, splits) if splits else values


class StringAppender:
    """Writes strings piece by piece: a blob, and the offsets of each string in it."""

    def __init__(self, stem: Path) -> None:
        self._path = with_suffix(stem, ".utf8")
        self._offsets = NpyAppender(with_suffix(stem, ".offsets.npy"), np.int64)
        self._blob = self._path.open("wb")
        self._offsets.append(np.zeros(1, np.int64))

    def append(self, values: np.ndarray) -> None:
        """Append strings."""
        items = as_bytes(values)
        self._offsets.append(np.cumsum([len(item) for item in items], dtype=np.int64) + self._blob.tell())
        self._blob.write(b"".join(items))

    def close(self, shape: Tuple[int, ...]) -> dict:
        """Finish the files; what an entry says about them."""
        self._blob.close()
        offsets = self._offsets.close((math.prod(shape) + 1,))
        return {"storage": "utf8", "path": in_job(self._path), "offsets": offsets["path"]}

    def abandon(self) -> None:
        """Close the files as they are."""
        self._blob.close()
        self._offsets.abandon()


def appender(stem: Path, values: np.ndarray) -> Union[NpyAppender, StringAppender]:
    """What writes values like these."""
    is_text = dtype_name(values) == STRING
    return StringAppender(stem) if is_text else NpyAppender(with_suffix(stem, ".npy"), values.dtype)


def splits_appender(stem: Path, level: int) -> NpyAppender:
    """What writes the row splits of a ragged dimension."""
    return NpyAppender(with_suffix(stem, f".splits{level}.npy"), np.int64)


def write_tensor(stem: Path, name: str, values: np.ndarray, splits: Sequence[np.ndarray] = ()) -> dict:
    """Write a whole tensor, ragged where it has row splits; the entry that describes it."""
    column = appender(stem, values)
    column.append(values)
    entry = {"name": name, "dtype": dtype_name(values), "shape": list(values.shape), "batched": False}
    entry.update(column.close(values.shape))
    for level, rows in enumerate(splits):
        file = splits_appender(stem, level)
        file.append(rows)
        entry.setdefault("ragged", []).append(file.close((file.size,))["path"])
    return entry


def flat_values(value: Union[np.ndarray, Ragged]) -> np.ndarray:
    """The array itself, or the values of what is ragged."""
    return value.values if isinstance(value, Ragged) else value


def with_suffix(stem: Path, suffix: str) -> Path:
    """`Path.with_suffix` would cut what stands behind a point in the stem."""
    return stem.with_name(stem.name + suffix)
