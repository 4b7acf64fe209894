"""Parquet columns → canonical tensor files, a batch of rows at a time. The only place that knows pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from validator.errors import ConfigurationError
from validator.storage.tensors import DTYPES, Header, Raw, TensorEntry, write_header, write_strings

_ROWS = 1024


def convert(source: Path, target: Path) -> list[TensorEntry]:
    """One tensor per column: numbers, booleans, strings, and lists of numbers that are all equally long.

    ConfigurationError when pyarrow is missing, the file is none, or a column has nulls or another type.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            f"{source}: reading Parquet needs pyarrow; pip install keras-upgrade-validator[parquet]"
        ) from None
    try:
        with parquet.ParquetFile(source) as file:
            names = list(file.schema_arrow.names)
            return [
                _Column(source, name, target / str(number)).convert(file) for number, name in enumerate(names)
            ]
    except arrow.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(
            f"{source}: not a readable Parquet file ({reason}); record it again"
        ) from None


@dataclass(frozen=True)
class _Column:
    """One column on its way into files numbered as `stem`."""

    source: Path
    name: str
    stem: Path

    def convert(self, file: Any) -> TensorEntry:
        """Write the column; its first batch says the dtype and the shape."""
        kind = str(file.schema_arrow.field(self.name).type)
        rows = file.metadata.num_rows
        if kind in ("string", "large_string", "binary", "large_binary"):
            return write_strings(self.name, self.stem, (rows,), map(_encoded, self._batches(file)))
        blocks = map(self._block, self._batches(file))
        first = next(blocks, None)
        if first is None:
            raise self._bad("is empty; record at least one sample")
        header = Header(first.dtype, False, (rows, *first.shape[1:]), 0)
        path = self.stem.with_name(f"{self.stem.name}.npy")
        with path.open("wb") as out:
            write_header(out, header)
            for block in chain([first], blocks):
                if block.shape[1:] != first.shape[1:]:
                    raise self._bad(
                        f"has rows of {first.shape[1:]} and of {block.shape[1:]} values; pad them"
                    )
                out.write(block.tobytes())
        return TensorEntry(name=self.name, path=path.name, dtype=first.dtype.name, shape=header.shape)

    def _batches(self, file: Any) -> Iterator[Any]:
        for batch in file.iter_batches(batch_size=_ROWS, columns=[self.name]):
            values = batch.column(0)
            if values.null_count:
                raise self._bad(f"has {values.null_count} missing values; fill them")
            yield values

    def _block(self, values: Any) -> Raw:
        """Nested lists of the same lengths as one array."""
        inner: list[int] = []
        rows = len(values)
        while hasattr(values, "flatten") and "list" in str(values.type):
            lengths = values.value_lengths().unique().to_pylist()
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

    def _bad(self, why: str) -> ConfigurationError:
        return ConfigurationError(f"{self.source}: column {self.name!r} {why}")


def _encoded(values: Any) -> list[bytes]:
    return [item.encode() if isinstance(item, str) else item for item in values.to_pylist()]
