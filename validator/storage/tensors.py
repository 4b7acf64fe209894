"""Tensors on disk: the typed form of an entry (docs/protocol.md, "Tensors") and its memory maps.

A tensor is described by `StoredTensor` and holds no open file until `open()`: a capture may have hundreds.
Nothing is ever unpickled.
"""

from __future__ import annotations

import math
import mmap
import os
import tokenize
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from validator.base import Frozen
from validator.documents import open_regular
from validator.errors import ConfigurationError

#: What Python's own parser, by which NumPy reads the head of a `.npy`, raises for one that is torn.
_HEADER_ERRORS = (MemoryError, RecursionError, SyntaxError, TypeError, tokenize.TokenError)
Storage = Literal["npy", "bits", "utf8"]
Raw = NDArray[Any]

#: What `storage: "npy"` may hold.
DTYPES = frozenset(
    {"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
    | {"float16", "float32", "float64", "complex64", "complex128"}
)


class TensorEntry(Frozen):
    """One tensor as a manifest or a response describes it."""

    name: str
    storage: Storage = "npy"
    path: str
    dtype: str
    shape: tuple[int, ...]
    batched: bool = True
    offsets: str | None = None
    ragged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Header:
    """The head of a `.npy` file; `offset` is where the values begin."""

    dtype: np.dtype[Any]
    fortran: bool
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def ordered(self) -> bool:
        """The values are in C order."""
        return not self.fortran or sum(length > 1 for length in self.shape) <= 1


def read_header(file: IO[bytes]) -> Header:
    """Read the head of a `.npy` stream, leaving it at the first value; ValueError if it is none."""
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f".npy format {version[0]}.{version[1]} holds no plain numbers")
    try:
        shape, fortran, dtype = read(file)
    except _HEADER_ERRORS as error:
        raise ValueError(f"its head is broken: {error or type(error).__name__}") from None
    if any(not isinstance(length, int) or length < 0 for length in shape):
        raise ValueError(f"impossible shape {shape}")
    return Header(dtype, fortran, tuple(shape), file.tell())


def write_header(file: IO[bytes], header: Header) -> None:
    """Write the head of a `.npy` file; the values follow as they are."""
    described = npy.dtype_to_descr(header.dtype)
    npy.write_array_header_1_0(
        file, {"descr": described, "fortran_order": header.fortran, "shape": header.shape}
    )


@dataclass(frozen=True)
class TensorData:
    """The open values of a tensor, flat and in C order.

    `values` holds raw elements (bits of dtypes NumPy lacks; bytes of all strings). `offsets` (strings only)
    has size + 1 entries. `mappings` are what `release` may drop from memory.
    """

    values: Raw
    offsets: NDArray[np.int64] | None = None
    splits: tuple[NDArray[np.int64], ...] = ()
    mapping: mmap.mmap | None = None
    begin: int = 0

    def release(self, start: int, stop: int) -> None:
        """Tell the system that the elements [start, stop) were read: a map must not fill the memory."""
        if self.mapping is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        pages = [(self.begin + at * self.values.itemsize) // mmap.PAGESIZE for at in (start, stop)]
        first, last = (page * mmap.PAGESIZE for page in pages)
        if last > first:
            self.mapping.madvise(mmap.MADV_DONTNEED, first, last - first)

    def strings(self, start: int, stop: int) -> list[bytes]:
        """The strings [start, stop)."""
        assert self.offsets is not None  # noqa: S101  # only called for utf8 storage
        ends = self.offsets[start : stop + 1].tolist()
        return [self.values[low:high].tobytes() for low, high in pairwise(ends)]


@dataclass(frozen=True)
class StoredTensor:
    """A tensor whose files were checked: they exist, and hold the dtype, shape and length they claim.

    `shape` is that of the flat values when the tensor is ragged. Either `path` (with `offset`, where the
    values begin, and `raw`, their dtype in the file) or `memory` holds the values.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    storage: Storage = "npy"
    batched: bool = True
    ragged: tuple[Path, ...] = ()
    path: Path | None = None
    offsets: Path | None = None
    raw: str = ""
    offset: int = 0
    memory: TensorData | None = None

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    @property
    def samples(self) -> int:
        """Length of the sample axis; 1 for a scalar."""
        if self.ragged:
            return max(self.open().splits[0].size - 1, 0)
        return self.shape[0] if self.shape else 1

    def open(self) -> TensorData:
        """Map the files; the maps close when the value is dropped."""
        if self.memory is not None:
            return self.memory
        assert self.path is not None  # noqa: S101  # one of the two is always set
        splits = tuple(_vector(path, self.name) for path in self.ragged)
        if self.storage == "utf8":
            offsets = _vector(self.offsets or self.path, self.name)
            values, mapping = _map(self.path, np.dtype(np.uint8), 0, self.path.stat().st_size)
            return TensorData(values, offsets, splits, mapping)
        values, mapping = _map(self.path, np.dtype(self.raw), self.offset, self.size)
        return TensorData(values, None, splits, mapping, self.offset)

    @classmethod
    def from_array(cls, name: str, array: Raw, *, dtype: str = "", batched: bool = True) -> StoredTensor:
        """A tensor in memory. `dtype` names what raw uint8 or uint16 bits mean; str and bytes are strings."""
        array = np.asarray(array, order="C")
        if array.dtype.kind in "US":
            items = [item if isinstance(item, bytes) else item.encode() for item in array.ravel().tolist()]
            offsets = np.cumsum([0, *map(len, items)], dtype=np.int64)
            data = TensorData(np.frombuffer(b"".join(items), np.uint8), offsets)
            return cls(name, "string", array.shape, "utf8", batched, memory=data)
        data = TensorData(array.reshape(-1))
        storage: Storage = "bits" if dtype and dtype != array.dtype.name else "npy"
        return cls(name, dtype or array.dtype.name, array.shape, storage, batched, memory=data)


def write_strings(
    name: str, stem: Path, shape: tuple[int, ...], blocks: Iterable[Sequence[bytes]]
) -> TensorEntry:
    """Write strings, a block at a time, as `stem`.utf8 and `stem`.offsets.npy."""
    blob, offsets = (stem.with_name(stem.name + end) for end in (".utf8", ".offsets.npy"))
    end = 0
    with blob.open("wb") as text, offsets.open("wb") as index:
        write_header(index, Header(np.dtype(np.int64), False, (math.prod(shape) + 1,), 0))
        index.write(np.zeros(1, np.int64).tobytes())
        for items in blocks:
            ends = end + np.cumsum([len(item) for item in items], dtype=np.int64)
            text.write(b"".join(items))
            index.write(ends.tobytes())
            end = int(ends[-1]) if items else end
    return TensorEntry(
        name=name, storage="utf8", path=blob.name, dtype="string", shape=shape, offsets=offsets.name
    )


def open_tensors(entries: Sequence[TensorEntry], folder: Path) -> tuple[StoredTensor, ...]:
    """Check the files of every entry and describe them; paths are relative to `folder`.

    ConfigurationError names the file that is missing, short, or other than its entry says.
    """
    return tuple(_stored(entry, folder) for entry in entries)


def _stored(entry: TensorEntry, folder: Path) -> StoredTensor:
    path = folder / entry.path
    splits = tuple(folder / split for split in entry.ragged)
    outer: int | None = None
    for split in splits:
        outer = _checked_splits(split, entry.name, outer)
    stored = StoredTensor(
        entry.name, entry.dtype, entry.shape, entry.storage, entry.batched, ragged=splits, path=path
    )
    if entry.storage == "utf8":
        return replace(stored, dtype="string", offsets=_checked_offsets(entry, folder))
    if splits and outer != (entry.shape[0] if entry.shape else 1):
        raise _bad(splits[-1], entry.name, f"the row splits end at {outer}, the values have {entry.shape}")
    header = npy_header(path, entry.name)
    raw = header.dtype.name
    expected = ("uint8", "uint16") if entry.storage == "bits" else (entry.dtype,)
    if raw not in expected or (entry.storage == "npy" and raw not in DTYPES):
        raise _bad(path, entry.name, f"it holds {raw}, its description says {entry.dtype} ({entry.storage})")
    if header.shape != entry.shape:
        raise _bad(path, entry.name, f"it holds the shape {header.shape}, its description says {entry.shape}")
    if not header.ordered:
        raise _bad(path, entry.name, "it is in Fortran order; store numpy.ascontiguousarray(values)")
    return replace(stored, raw=header.dtype.str, offset=header.offset)


def _checked_offsets(entry: TensorEntry, folder: Path) -> Path:
    path, size = folder / entry.path, math.prod(entry.shape)
    if entry.offsets is None:
        raise _bad(path, entry.name, "strings need a file of offsets, and the description names none")
    if not path.is_file():
        raise _bad(path, entry.name, "the file does not exist")
    offsets, length = folder / entry.offsets, path.stat().st_size
    values = _vector(offsets, entry.name)
    if values.size != size + 1:
        raise _bad(offsets, entry.name, f"it holds {values.size} offsets, {entry.shape} needs {size + 1}")
    if values[0] != 0 or values[-1] != length or np.any(values[1:] < values[:-1]):
        why = f"the offsets do not rise from 0 to the {length} bytes of {path.name}"
        raise _bad(offsets, entry.name, why)
    return offsets


def npy_header(path: Path, name: str) -> Header:
    """The head of a `.npy` file whose values are all there; otherwise ConfigurationError naming the file."""
    try:
        with open_regular(path) as file:
            header = read_header(file)
            length = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise _bad(path, name, "the file does not exist") from None
    except (ValueError, OSError, EOFError) as error:
        raise _bad(path, name, f"it is not a .npy file of plain numbers ({error})") from None
    if header.dtype.hasobject:
        raise _bad(path, name, "it holds pickled Python objects, which are never loaded")
    if length < header.offset + header.nbytes:
        raise _bad(path, name, f"it ends after {length} bytes of {header.offset + header.nbytes}")
    return header


def _checked_splits(path: Path, name: str, outer: int | None) -> int:
    """Check one file of row splits against the dimension outside it; return how many rows lie inside."""
    splits = _vector(path, name)
    if splits.size == 0 or splits[0] != 0 or np.any(splits[1:] < splits[:-1]):
        raise _bad(path, name, "row splits must rise from 0")
    if outer is not None and splits.size != outer + 1:
        raise _bad(path, name, f"it holds {splits.size} row splits, the dimension outside needs {outer + 1}")
    return int(splits[-1])


def _vector(path: Path, name: str) -> NDArray[np.int64]:
    header = npy_header(path, name)
    if header.dtype != np.dtype(np.int64) or len(header.shape) != 1:
        raise _bad(path, name, f"it holds {header.dtype} {header.shape} where a vector of int64 belongs")
    values, _ = _map(path, header.dtype, header.offset, header.shape[0])
    return values


def _map(path: Path, dtype: np.dtype[Any], offset: int, count: int) -> tuple[Raw, mmap.mmap | None]:
    if count == 0:  # an empty file cannot be mapped
        return np.empty(0, dtype), None
    try:
        with open_regular(path) as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):  # a huge page stays whole when a part of it is released
            with suppress(OSError):  # a kernel without huge pages knows no such advice
                mapping.madvise(mmap.MADV_NOHUGEPAGE)
        return np.frombuffer(mapping, dtype, count, offset), mapping
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: the file changed or vanished while it was read ({error})"
        ) from None


def _bad(path: Path, name: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"{path} (tensor {name!r}): {problem}; write the capture or recording again")
