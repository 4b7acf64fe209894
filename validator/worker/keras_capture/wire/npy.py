"""`.npy` files written by appending and read in slices: neither needs the memory of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Tuple

import numpy as np

from keras_capture.model.values import bits_dtype, is_extended

_HEAD = 512  # bytes; room for any shape, so that the head can be written again when the length is known
_BLOCK = 4 << 20  # bytes


class NpyReader:
    """A `.npy` file of plain numbers. Rows are copied out of a short-lived map.

    A map that stays open counts as resident memory as it is read, which has a limit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        whole = self._map()
        self.dtype = whole.dtype
        self.shape = whole.shape
        if self.dtype.kind not in "biufc":
            raise ValueError(f"{path} holds {self.dtype}, which is no dtype of plain numbers")

    def rows(self, start: int, stop: int) -> np.ndarray:
        """A copy of the rows [start, stop); of the value, where the file holds a single one."""
        return np.array(self._map()[start:stop] if self.shape else self._map(), order="C")

    def _map(self) -> np.ndarray:
        try:
            try:
                return np.load(self.path, mmap_mode="r", allow_pickle=False)
            except ValueError:
                with self.path.open("rb") as file:
                    return np.lib.format.read_array(file, allow_pickle=False)  # empty: nothing to map
        except (ValueError, EOFError) as error:
            raise ValueError(f"{self.path} is no readable .npy file: {error}") from None


class NpyAppender:
    """Writes a `.npy` file piece by piece; dtypes that NumPy lacks as their bits.

    A full disk is an OSError here, and would be SIGBUS in a map. `size` counts the elements so far.
    """

    def __init__(self, path: Path, dtype: np.dtype) -> None:
        dtype = np.dtype(dtype)
        self._storage = "bits" if is_extended(dtype) else "npy"
        self._dtype = bits_dtype(dtype) if is_extended(dtype) else dtype
        self.size = 0
        self._path = path
        self._file = path.open("wb")
        self._file.write(self._head((0,)))

    def append(self, array: np.ndarray) -> None:
        """Append the elements of an array, in C order."""
        if self._storage == "bits":
            array = np.ascontiguousarray(array).view(self._dtype)
        flat = np.ascontiguousarray(array, dtype=self._dtype).reshape(-1)
        self.size += flat.size
        if flat.size:
            self._file.write(flat.view(np.uint8))

    def close(self, shape: Tuple[int, ...]) -> dict:
        """Write the head for the final shape; what an entry of the protocol says about the file."""
        self._file.seek(0)
        self._file.write(self._head(shape))
        self.abandon()
        return {"storage": self._storage, "path": in_job(self._path)}

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()

    def _head(self, shape: Tuple[int, ...]) -> bytes:
        fields = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": tuple(int(length) for length in shape),
        }
        magic = np.lib.format.magic(1, 0)
        room = _HEAD - len(magic) - 2
        return magic + room.to_bytes(2, "little") + repr(fields).encode("latin1").ljust(room - 1) + b"\n"


def in_job(path: Path) -> str:
    """The path of a file, relative to the folder of its job."""
    return f"{path.parent.name}/{path.name}"


def blocks(rows: int, row_bytes: int) -> Iterator[Tuple[int, int]]:
    """Bounds of consecutive row ranges of a few MiB each."""
    step = max(1, _BLOCK // max(1, row_bytes))
    return ((start, min(rows, start + step)) for start in range(0, rows, step))
