"""Recorded inputs and labels: whatever the user has → one canonical folder (docs/protocol.md, "A recording").

Conversion streams: no array is ever held whole, and nothing is unpickled. The folder's manifest is written
last, so a folder with a manifest is complete.
"""

from __future__ import annotations

import json
import lzma
import math
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.tensors import (
    DTYPES,
    Header,
    Raw,
    StoredTensor,
    TensorEntry,
    open_tensors,
    read_header,
    write_header,
)

_PIECE = 1 << 20  # bytes copied at once
MANIFEST = "manifest.json"


class Manifest(Frozen):
    """`manifest.json`."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    samples: int = Field(ge=1)
    source: str = ""
    tensors: tuple[TensorEntry, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Recording:
    """A canonical folder and what is in it; every tensor has `samples` samples."""

    folder: Path
    manifest: Manifest

    @property
    def samples(self) -> int:
        """How many samples every tensor has."""
        return self.manifest.samples

    def open(self) -> tuple[StoredTensor, ...]:
        """The tensors, checked."""
        return open_tensors(self.manifest.tensors, self.folder)


def prepare(source: Path, target: Path) -> Recording:
    """Make `source` a recording: a folder is used in place, anything else is converted into `target`.

    Reads a recording folder, `.npz`, `.npy` (its values stay where they are) and `.parquet` (with pyarrow).
    ConfigurationError names the file and the array, and says what to do.
    """
    if source.is_dir():
        return load(source)
    if not source.exists():
        raise ConfigurationError(f"{source}: there is no such file; correct the path or record the inputs")
    readers = {".npz": _from_npz, ".npy": _from_npy, ".parquet": _from_parquet}
    reader = readers.get(source.suffix.lower())
    if reader is None:
        raise ConfigurationError(
            f"{source}: recorded inputs are a recording folder, .npz, .npy or .parquet, not {source.suffix!r}"
        )
    if source.stat().st_size == 0:
        raise ConfigurationError(f"{source}: the file is empty; record it again")
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / MANIFEST).unlink(missing_ok=True)
        entries = reader(source, target)
        manifest = Manifest(
            samples=_samples(entries, source), source=source.as_posix(), tensors=tuple(entries)
        )
        _write_manifest(manifest, target)
    except OSError as error:
        raise ConfigurationError(
            f"{source}: converting it into {target} failed: {error.strerror or error}; "
            "free some space or correct the path"
        ) from None
    return Recording(target, manifest)


def load(folder: Path) -> Recording:
    """Read a recording folder, checking every file it names."""
    path = folder / MANIFEST
    try:
        manifest = Manifest.model_validate(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{folder}: a folder of recorded inputs needs a {MANIFEST}; write it as docs/protocol.md says"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"{path}: {where}: {first['msg']}; see docs/protocol.md") from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: not readable as JSON ({error}); write it again") from None
    recording = Recording(folder, manifest)
    _unique([entry.name for entry in manifest.tensors], path)
    for tensor in recording.open():
        if tensor.samples != manifest.samples or tensor.size == 0 or not (tensor.shape or tensor.ragged):
            raise ConfigurationError(
                f"{path}: tensor {tensor.name!r} has {tensor.samples} samples and the shape {tensor.shape}, "
                f"the manifest says {manifest.samples} samples; write the recording again"
            )
    return recording


def _samples(entries: list[TensorEntry], source: Path) -> int:
    """The common length of the sample axis."""
    if not entries:
        raise ConfigurationError(f"{source}: it holds no array; record at least one input")
    _unique([entry.name for entry in entries], source)
    for entry in entries:
        if not entry.shape:
            raise ConfigurationError(
                f"{source}: array {entry.name!r} is a single number; its first axis must be the samples"
            )
        if math.prod(entry.shape) == 0:
            raise ConfigurationError(
                f"{source}: array {entry.name!r} is empty (shape {entry.shape}); record at least one sample"
            )
        if entry.shape[0] != entries[0].shape[0]:
            raise ConfigurationError(
                f"{source}: {entries[0].name!r} has {entries[0].shape[0]} samples and {entry.name!r} has "
                f"{entry.shape[0]}; every array needs the same"
            )
    return entries[0].shape[0]


def _unique(names: list[str], source: Path) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationError(f"{source}: two arrays are named {twice[0]!r}; give each its own name")


def _write_manifest(manifest: Manifest, target: Path) -> None:
    partial = target / f"{MANIFEST}.tmp"
    partial.write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
    os.replace(partial, target / MANIFEST)


# ---- .npy and .npz


def _from_npy(source: Path, target: Path) -> list[TensorEntry]:
    try:
        with source.open("rb") as file:
            header = read_header(file)
    except (ValueError, EOFError) as error:
        raise _corrupt(source, source.stem, str(error)) from None
    _check_dtype(header, source, source.stem)
    if source.stat().st_size < header.offset + header.nbytes:
        raise _corrupt(source, source.stem, f"it is shorter than its {header.shape} values")
    if _plain(header):
        return [
            TensorEntry(
                name=source.stem, path=str(source.resolve()), dtype=header.dtype.name, shape=header.shape
            )
        ]
    return [_convert(source, header, (source.stem, target / "0"))]


def _from_npz(source: Path, target: Path) -> list[TensorEntry]:
    with _zip_errors(source), zipfile.ZipFile(source) as archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        total = sum(member.file_size for member in members)
        free = shutil.disk_usage(target).free
        if total > free:
            raise ConfigurationError(
                f"{source}: its arrays need {total} bytes unpacked, and {target} has {free} left; "
                "free some space"
            )
        return [
            _from_member(archive, member, source, target / str(number))
            for number, member in enumerate(members)
        ]


def _from_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: Path, stem: Path) -> TensorEntry:
    """Stream one array out of the zip. Its name goes into JSON only; files are numbered."""
    if not member.filename.endswith(".npy"):
        raise ConfigurationError(
            f"{source}: {member.filename!r} in it is not an array; write the file with numpy.savez"
        )
    name = member.filename[: -len(".npy")]
    partial = stem.with_name(f"{stem.name}.tmp")
    with archive.open(member) as stream:
        try:
            header = read_header(stream)
        except (ValueError, EOFError) as error:
            raise _corrupt(source, name, str(error)) from None
        _check_dtype(header, source, name)
        if member.file_size != header.offset + header.nbytes:
            raise _corrupt(
                source, name, f"it holds {member.file_size} bytes, its header promises {header.nbytes}"
            )
        with partial.open("wb") as out:
            write_header(out, header)
            begin = out.tell()
            left = header.nbytes
            while left > 0:
                piece = stream.read(min(_PIECE, left))
                if not piece:
                    raise _corrupt(source, name, f"it ends {left} bytes early")
                out.write(piece)
                left -= len(piece)
            stream.read(1)  # at the end the zip's checksum is compared
    header = Header(header.dtype, header.fortran, header.shape, begin)
    if not _plain(header):
        entry = _convert(partial, header, (name, stem))
        partial.unlink()
        return entry
    os.replace(partial, stem.with_name(f"{stem.name}.npy"))
    return TensorEntry(name=name, path=f"{stem.name}.npy", dtype=header.dtype.name, shape=header.shape)


@contextmanager
def _zip_errors(source: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error) as error:
        raise ConfigurationError(f"{source}: the .npz is corrupt ({error}); record it again") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression
        raise ConfigurationError(
            f"{source}: the .npz cannot be read ({error}); write it with numpy.savez"
        ) from None


def _plain(header: Header) -> bool:
    """Whether the values can be used as they lie: C order, native bytes, numbers."""
    ordered = not header.fortran or sum(length > 1 for length in header.shape) <= 1
    return ordered and header.dtype.isnative and header.dtype.name in DTYPES


def _check_dtype(header: Header, source: Path, name: str) -> None:
    dtype = header.dtype
    if dtype.hasobject:
        raise ConfigurationError(
            f"{source}: array {name!r} holds pickled Python objects, which are never loaded; store strings "
            "with numpy.array(values, dtype=str), and rows of different lengths padded"
        )
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize <= 2:
        raise ConfigurationError(
            f"{source}: array {name!r} is {dtype.str!r}: a dtype NumPy lacks (bfloat16, float8) loses its "
            "name in this format; write a recording folder with storage 'bits': "
            f"values.view('uint{8 * dtype.itemsize}') in a .npy, and the dtype's name in its manifest.json"
        )
    if dtype.kind not in "US" and dtype.newbyteorder("=").name not in DTYPES:
        raise ConfigurationError(
            f"{source}: array {name!r} has the dtype {dtype}, which no model takes; store numbers, "
            "booleans or strings"
        )


def _convert(path: Path, header: Header, to: tuple[str, Path]) -> TensorEntry:
    """Rewrite a .npy that is not plain: Fortran order, foreign bytes, or strings."""
    name, stem = to
    order: Literal["C", "F"] = "F" if header.fortran else "C"
    if header.nbytes == 0:
        values: Raw = np.empty(header.shape, header.dtype)
    else:
        values = np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
    if header.dtype.kind in "US":
        return _convert_strings(values, name, stem)
    native = header.dtype.newbyteorder("=")
    out = stem.with_name(f"{stem.name}.npy")
    with out.open("wb") as file:
        write_header(file, Header(native, False, header.shape, 0))
        for rows in _row_blocks(values):
            file.write(np.ascontiguousarray(rows, native).tobytes())
    return TensorEntry(name=name, path=out.name, dtype=native.name, shape=header.shape)


def _convert_strings(values: Raw, name: str, stem: Path) -> TensorEntry:
    blob, offsets = stem.with_name(f"{stem.name}.utf8"), stem.with_name(f"{stem.name}.offsets.npy")
    end = 0
    with blob.open("wb") as text, offsets.open("wb") as index:
        write_header(index, Header(np.dtype(np.int64), False, (values.size + 1,), 0))
        index.write(np.zeros(1, np.int64).tobytes())
        for rows in _row_blocks(values):
            try:
                items = [item if isinstance(item, bytes) else item.encode() for item in rows.ravel().tolist()]
            except UnicodeEncodeError as error:
                raise ConfigurationError(
                    f"array {name!r} holds text that is not Unicode ({error.reason}); store it as bytes"
                ) from None
            ends = end + np.cumsum([len(item) for item in items], dtype=np.int64)
            text.write(b"".join(items))
            index.write(ends.tobytes())
            end = int(ends[-1])
    return TensorEntry(
        name=name, storage="utf8", path=blob.name, dtype="string", shape=values.shape, offsets=offsets.name
    )


def _row_blocks(values: Raw) -> Iterator[Raw]:
    """Slices of the first axis of about a piece each."""
    if values.size == 0:
        return
    if values.ndim == 0:
        yield values.reshape(1)
        return
    row = max(1, values.nbytes // values.shape[0])
    step = max(1, _PIECE // row)
    for start in range(0, values.shape[0], step):
        yield values[start : start + step]


def _corrupt(source: Path, name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{source}: array {name!r} is corrupt ({why}); record it again")


def _from_parquet(source: Path, target: Path) -> list[TensorEntry]:
    from validator.parquet import convert

    return convert(source, target)
