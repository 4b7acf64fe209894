"""Parquet columns → canonical tensor files, a batch of rows at a time. The only place that knows pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from validator.errors import ConfigurationError
from validator.tensors import DTYPES, Header, Raw, TensorEntry, write_header

_ROWS = 1024


def convert(source: Path, target: Path) -> list[TensorEntry]:
    """One tensor per column: numbers, booleans, strings, and lists of numbers that are all equally long.

    ConfigurationError when pyarrow is missing, the file is none, or a column has nulls or another type.
    """
    try:
        import pyarrow as arrow
        from pyarrow import compute, parquet
    except ImportError:
        raise ConfigurationError(
            f"{source}: reading Parquet needs pyarrow; pip install keras-upgrade-validator[parquet]"
        ) from None
    try:
        with parquet.ParquetFile(source) as file:
            names = list(file.schema_arrow.names)
            return [
                _Column(source, name, target / str(number), compute.list_value_length).convert(file)
                for number, name in enumerate(names)
            ]
    except arrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"{source}: not a readable Parquet file ({reason}); record it again"
        ) from None


class _Column:
    """One column on its way into files numbered as `stem`."""

    def __init__(self, source: Path, name: str, stem: Path, lengths: Callable[[Any], Any]) -> None:
        self._lengths = lengths
        self._source = source
        self._name = name
        self._stem = stem

    def convert(self, file: Any) -> TensorEntry:
        kind = file.schema_arrow.field(self._name).type
        if str(kind) in ("string", "large_string", "binary", "large_binary"):
            return self._strings(file)
        path = self._stem.with_name(f"{self._stem.name}.npy")
        rows = file.metadata.num_rows
        shape: tuple[int, ...] = (rows,)
        dtype: np.dtype[Any] | None = None
        with path.open("wb") as out:
            for values in self._arrays(file):
                block = self._block(values)
                if dtype is None:
                    dtype, shape = block.dtype, (rows, *block.shape[1:])
                    write_header(out, Header(dtype, False, shape, 0))
                if block.shape[1:] != shape[1:]:
                    raise self._bad(f"has rows of {shape[1:]} and of {block.shape[1:]} values; pad them")
                out.write(block.tobytes())
        if dtype is None:
            raise self._bad("is empty; record at least one sample")
        return TensorEntry(name=self._name, path=path.name, dtype=dtype.name, shape=shape)

    def _arrays(self, file: Any) -> Any:
        for batch in file.iter_batches(batch_size=_ROWS, columns=[self._name]):
            values = batch.column(0)
            if values.null_count:
                raise self._bad(f"has {values.null_count} missing values; fill them")
            yield values

    def _block(self, values: Any) -> Raw:
        """Nested lists of the same lengths as one array."""
        inner: list[int] = []
        rows = len(values)
        while hasattr(values, "flatten") and "list" in str(values.type):
            lengths = self._lengths(values).unique().to_pylist()
            if len(lengths) != 1:
                raise self._bad("has lists of different lengths; pad them")
            inner.append(lengths[0])
            values = values.flatten()
            if values.null_count:
                raise self._bad("has missing values inside its lists; fill them")
        array: Raw = values.to_numpy(zero_copy_only=False)
        if array.dtype.name not in DTYPES:
            raise self._bad(f"has the type {values.type}, which no model takes; store numbers or strings")
        return np.ascontiguousarray(array).reshape(rows, *inner)

    def _strings(self, file: Any) -> TensorEntry:
        blob, offsets = (self._stem.with_name(self._stem.name + end) for end in (".utf8", ".offsets.npy"))
        rows = file.metadata.num_rows
        end = 0
        with blob.open("wb") as text, offsets.open("wb") as index:
            write_header(index, Header(np.dtype(np.int64), False, (rows + 1,), 0))
            index.write(np.zeros(1, np.int64).tobytes())
            for values in self._arrays(file):
                end = self._append(values.to_pylist(), end, (text, index))
        return TensorEntry(
            name=self._name,
            storage="utf8",
            path=blob.name,
            dtype="string",
            shape=(rows,),
            offsets=offsets.name,
        )

    def _append(self, items: list[str | bytes], end: int, to: tuple[IO[bytes], IO[bytes]]) -> int:
        encoded = [item.encode() if isinstance(item, str) else item for item in items]
        ends = end + np.cumsum([len(item) for item in encoded], dtype=np.int64)
        to[0].write(b"".join(encoded))
        to[1].write(ends.tobytes())
        return int(ends[-1]) if encoded else end

    def _bad(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self._source}: column {self._name!r} {why}")
