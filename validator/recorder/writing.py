"""Samples → the folder that keras-validator reads (docs/protocol.md, "A recording")."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .rows import RaggedRow, RecordingError, Row

MANIFEST = "manifest.json"
_PLAIN = "biufc"


class SampleTable(NamedTuple):
    """Named tensors, each a row a sample; `ids` names the samples, and `source` says where they are from.

    `synthetic` of them, the last, were made and not recorded.
    """

    tensors: Mapping[str, np.ndarray | Sequence[Row]]
    ids: Sequence[str]
    source: str
    synthetic: int = 0


def check_place(folder: Path) -> None:
    """Make sure that a recording can be written here. What is no recording is never replaced."""
    if folder.exists() and not (folder / MANIFEST).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise RecordingError(f"{folder} exists and is no recording; name another folder")
    folder.resolve().parent.mkdir(parents=True, exist_ok=True)


def write(folder: Path, inputs: SampleTable, labels: SampleTable | None = None) -> None:
    """Write a recording, and its labels into `labels` in it. An earlier recording is replaced as a whole."""
    check_place(folder)
    folder = folder.resolve()
    partial, old = (folder.with_name(f".{folder.name}.{word}-{os.getpid()}") for word in ("new", "old"))
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _write(partial, inputs)
        if labels is not None:
            _write(partial / "labels", labels)
        if folder.exists():
            folder.replace(old)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, table: SampleTable) -> None:
    folder.mkdir(parents=True)
    entries = [
        _tensor(folder, str(number), name, rows) for number, (name, rows) in enumerate(table.tensors.items())
    ]
    manifest: dict[str, Any] = {"schema": 1, "samples": len(table.ids), "source": table.source}
    manifest.update(ids=list(table.ids), synthetic=table.synthetic, tensors=entries)
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    (folder / MANIFEST).write_text(text, encoding="utf-8", errors="replace")


def _tensor(folder: Path, stem: str, name: str, rows: np.ndarray | Sequence[Row]) -> dict[str, Any]:
    ragged = [row for row in rows if isinstance(row, RaggedRow)]
    if not ragged:
        return _dense(folder, stem, name, _stacked(name, [np.asarray(row) for row in rows]))
    if len(ragged) != len(rows):
        raise RecordingError(f"{name!r} is ragged in some calls only; feed it in one form")
    entry = _dense(folder, stem, name, np.concatenate([row.values for row in ragged]))
    files = []
    for depth, splits in enumerate(_splits(ragged)):
        files.append(f"{stem}.splits{depth}.npy")
        np.save(folder / files[-1], splits)
    return {**entry, "ragged": files}


def _splits(rows: Sequence[RaggedRow]) -> list[np.ndarray]:
    """Row splits of the whole tensor, outermost first."""
    inner = len(rows[0].splits)
    lengths = [
        np.array([len(row.splits[0]) - 1 if inner else len(row.values) for row in rows]),
        *(np.concatenate([np.diff(row.splits[depth]) for row in rows]) for depth in range(inner)),
    ]
    return [np.concatenate([[0], np.cumsum(each)]).astype(np.int64) for each in lengths]


def _stacked(name: str, rows: Sequence[np.ndarray]) -> np.ndarray:
    """All rows in one array; where their shapes differ, shorter ones are padded with 0 (strings: empty)."""
    shapes = {row.shape for row in rows}
    if len(shapes) == 1:
        return np.stack(rows)
    if len({row.ndim for row in rows}) > 1:
        raise RecordingError(f"{name!r} has another number of axes in some calls; record them apart")
    shape = tuple(max(lengths) for lengths in zip(*shapes))
    text = rows[0].dtype.kind in "OUS"
    stacked = (
        np.full((len(rows), *shape), b"", object) if text else np.zeros((len(rows), *shape), rows[0].dtype)
    )
    for place, row in zip(stacked, rows):
        place[tuple(slice(length) for length in row.shape)] = row
    warnings.warn(
        f"{name!r} comes in {len(shapes)} shapes; all were padded at the end to {shape}", stacklevel=2
    )
    return stacked


def _dense(folder: Path, stem: str, name: str, values: np.ndarray) -> dict[str, Any]:
    path, dtype = f"{stem}.npy", values.dtype
    entry: dict[str, Any] = {"name": name, "path": path, "dtype": dtype.name, "shape": list(values.shape)}
    if dtype.kind in "OUS":
        return {**entry, **_strings(folder, stem, values), "storage": "utf8", "dtype": "string"}
    values = np.ascontiguousarray(values, dtype.newbyteorder("="))
    if (
        dtype.kind in _PLAIN
        and dtype.itemsize * (1 if dtype.kind != "c" else 0) <= 8
        and dtype.isbuiltin == 1
    ):
        np.save(folder / path, values)
        return {**entry, "storage": "npy"}
    if dtype.itemsize > 2:
        raise RecordingError(f"{name!r} has the dtype {dtype}, which no model takes; feed numbers or strings")
    np.save(folder / path, values.view(np.uint8 if dtype.itemsize == 1 else np.uint16))
    return {**entry, "storage": "bits"}


def _strings(folder: Path, stem: str, values: np.ndarray) -> dict[str, Any]:
    items = [item if isinstance(item, bytes) else str(item).encode() for item in values.ravel().tolist()]
    (folder / f"{stem}.utf8").write_bytes(b"".join(items))
    ends = np.cumsum([0, *map(len, items)], dtype=np.int64)
    np.save(folder / f"{stem}.offsets.npy", ends)
    return {"path": f"{stem}.utf8", "offsets": f"{stem}.offsets.npy"}


def tables(kept: Sequence[Any], source: str) -> tuple[SampleTable, SampleTable | None]:
    """Kept samples, in the order in which they went in, as inputs and labels."""
    ordered = sorted(kept)
    ids = [sample.id for sample in ordered]
    parts: dict[str, dict[str, list[Row]]] = {}
    for part, name in ordered[0].rows:
        if all((part, name) in sample.rows for sample in ordered):
            parts.setdefault(part, {})[name] = [sample.rows[part, name] for sample in ordered]
        else:
            warnings.warn(f"{name!r} was given in some calls only, and is left out", stacklevel=2)
    labels = parts.get("labels")
    return SampleTable(parts["inputs"], ids, source), SampleTable(labels, ids, source) if labels else None
