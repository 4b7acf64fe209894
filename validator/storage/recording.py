"""Recorded inputs and labels: whatever the user has → one canonical folder (docs/protocol.md, "A recording").

Conversion streams: no array is ever held whole, and nothing is unpickled. The folder's manifest is written
last, so a folder with a manifest is complete.
"""

from __future__ import annotations

import hashlib
import lzma
import math
import os
import shutil
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from pydantic import Field

from validator.base import Frozen
from validator.documents import file_digest, read_model
from validator.errors import ConfigurationError
from validator.storage import parquet
from validator.storage.tensors import (
    DTYPES,
    Header,
    Raw,
    StoredTensor,
    TensorEntry,
    open_tensors,
    read_header,
    write_header,
    write_strings,
)

_PIECE = 1 << 20  # bytes copied at once
MANIFEST = "manifest.json"


class RecordingManifest(Frozen):
    """`manifest.json`. `ids` name the samples, or are empty; the last `synthetic` ones were not recorded."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    samples: int = Field(ge=1)
    source: str = ""
    ids: tuple[str, ...] = ()
    synthetic: int = Field(default=0, ge=0)
    tensors: tuple[TensorEntry, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Recording:
    """A canonical folder and what is in it; every tensor has `samples` samples."""

    folder: Path
    manifest: RecordingManifest

    @property
    def samples(self) -> int:
        """How many samples every tensor has."""
        return self.manifest.samples

    @property
    def synthetic(self) -> bool:
        """Whether every sample was made, and none recorded."""
        return self.manifest.synthetic == self.samples

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
    reader = _READERS.get(source.suffix.lower())
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
        samples = _samples(entries, source)
        manifest = RecordingManifest(samples=samples, source=source.as_posix(), tensors=tuple(entries))
        partial = target / f"{MANIFEST}.tmp"
        partial.write_text(manifest.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
        partial.replace(target / MANIFEST)
    except OSError as error:
        raise ConfigurationError(
            f"{source}: converting it into {target} failed: {error.strerror or error}; "
            "free some space or correct the path"
        ) from None
    return Recording(target, manifest)


def digest(source: Path) -> str:
    """What a file is and holds: another one in its place, or the same one elsewhere, has another digest."""
    try:
        content = file_digest(source)
    except OSError as error:
        raise ConfigurationError(f"{source}: cannot be read: {error.strerror or error}") from None
    return hashlib.sha256(os.fsencode(source) + b"\0" + content.encode()).hexdigest()


def content_digest(folder: Path) -> str:
    """What the samples of a recording folder are, wherever they lie: two with one digest are fed alike."""
    manifest = load(folder).manifest
    total = hashlib.sha256(f"{manifest.samples} {manifest.synthetic} {manifest.ids}".encode())
    for tensor in manifest.tensors:
        names = [name for name in (tensor.path, tensor.offsets, *tensor.ragged) if name]
        kept = tensor.model_copy(update={"path": "", "offsets": None, "ragged": ()})
        contents = [file_digest(folder / name) for name in names]
        total.update(f"{kept.model_dump_json()} {contents}".encode())
    return total.hexdigest()


def load(folder: Path) -> Recording:
    """Read a recording folder, checking every file it names."""
    path = folder / MANIFEST
    try:
        manifest = read_model(path, RecordingManifest)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{folder}: a folder of recorded inputs needs a {MANIFEST}; write it as docs/protocol.md says"
        ) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}; write it as docs/protocol.md says") from None
    recording = Recording(folder, manifest)
    _check_unique(manifest.tensors, path)
    if len(manifest.ids) not in (0, manifest.samples) or manifest.synthetic > manifest.samples:
        raise ConfigurationError(
            f"{path}: {len(manifest.ids)} ids and {manifest.synthetic} synthetic samples of "
            f"{manifest.samples}; write the recording again"
        )
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
    _check_unique(entries, source)
    first = entries[0]
    for entry in entries:
        if not entry.shape:
            raise ConfigurationError(
                f"{source}: array {entry.name!r} is a single number; its first axis must be the samples"
            )
        if math.prod(entry.shape) == 0:
            raise ConfigurationError(
                f"{source}: array {entry.name!r} is empty (shape {entry.shape}); record at least one sample"
            )
        if entry.shape[0] != first.shape[0]:
            raise ConfigurationError(
                f"{source}: {first.name!r} has {first.shape[0]} samples and {entry.name!r} has "
                f"{entry.shape[0]}; every array needs the same"
            )
    return first.shape[0]


def _check_unique(entries: Sequence[TensorEntry], source: Path) -> None:
    name, count = Counter(entry.name for entry in entries).most_common(1)[0]
    if count > 1:
        raise ConfigurationError(f"{source}: two arrays are named {name!r}; give each its own name")


def _from_npy(source: Path, target: Path) -> list[TensorEntry]:
    with source.open("rb") as file:
        header = _read_header(file, source, source.stem)
    if source.stat().st_size < header.offset + header.nbytes:
        raise _corrupt(source, source.stem, f"it is shorter than its {header.shape} values")
    if _plain(header):
        return [_entry(source.stem, str(source.resolve()), header)]
    return [_convert(source, header, source.stem, target / "0")]


def _from_npz(source: Path, target: Path) -> list[TensorEntry]:
    try:
        with zipfile.ZipFile(source) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            total, free = sum(member.file_size for member in members), shutil.disk_usage(target).free
            if total > free:
                raise ConfigurationError(
                    f"{source}: its arrays need {total} bytes unpacked, and {target} has {free} left; "
                    "free some space"
                )
            return [
                _from_member(archive, member, source, target / str(number))
                for number, member in enumerate(members)
            ]
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error) as error:
        raise ConfigurationError(f"{source}: the .npz is corrupt ({error}); record it again") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression
        raise ConfigurationError(
            f"{source}: the .npz cannot be read ({error}); write it with numpy.savez"
        ) from None


def _from_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, source: Path, stem: Path) -> TensorEntry:
    """Stream one array out of the zip. Its name goes into JSON only; files are numbered."""
    name, end = os.path.splitext(member.filename)
    if end != ".npy":
        raise ConfigurationError(
            f"{source}: {member.filename!r} in it is not an array; write the file with numpy.savez"
        )
    with archive.open(member) as stream:
        header = _read_header(stream, source, name)
    if member.file_size != header.offset + header.nbytes:
        raise _corrupt(
            source, name, f"it holds {member.file_size} bytes, its header promises {header.nbytes}"
        )
    partial = stem.with_name(f"{stem.name}.tmp")
    with archive.open(member) as stream, partial.open("wb") as out:
        shutil.copyfileobj(stream, out, _PIECE)  # at the end the zip's checksum is compared
    if _plain(header):
        return _entry(name, partial.replace(stem.with_name(f"{stem.name}.npy")).name, header)
    entry = _convert(partial, header, name, stem)
    partial.unlink()
    return entry


def _entry(name: str, path: str, header: Header) -> TensorEntry:
    return TensorEntry(name=name, path=path, dtype=header.dtype.name, shape=header.shape)


def _plain(header: Header) -> bool:
    """Whether the values can be used as they lie: C order, native bytes, numbers."""
    return header.ordered and header.dtype.isnative and header.dtype.name in DTYPES


def _read_header(file: IO[bytes], source: Path, name: str) -> Header:
    """The head of an array whose dtype can be an input."""
    try:
        header = read_header(file)
    except (ValueError, EOFError) as error:
        raise _corrupt(source, name, str(error)) from None
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
    return header


def _convert(path: Path, header: Header, name: str, stem: Path) -> TensorEntry:
    """Rewrite a .npy that is not plain: Fortran order, foreign bytes, or strings."""
    order: Literal["C", "F"] = "F" if header.fortran else "C"
    values: Raw = np.empty(header.shape, header.dtype)
    if header.nbytes:  # an empty file cannot be mapped
        values = np.memmap(path, header.dtype, "r", header.offset, header.shape, order)
    if header.dtype.kind in "US":
        return write_strings(name, stem, values.shape, _encoded(values, name))
    native = Header(header.dtype.newbyteorder("="), False, header.shape, 0)
    out = stem.with_name(f"{stem.name}.npy")
    with out.open("wb") as file:
        write_header(file, native)
        for rows in _row_blocks(values):
            file.write(np.ascontiguousarray(rows, native.dtype).tobytes())
    return _entry(name, out.name, native)


def _encoded(values: Raw, name: str) -> Iterator[list[bytes]]:
    for rows in _row_blocks(values):
        try:
            yield [item if isinstance(item, bytes) else item.encode() for item in rows.ravel().tolist()]
        except UnicodeEncodeError as error:
            raise ConfigurationError(
                f"array {name!r} holds text that is not Unicode ({error.reason}); store it as bytes"
            ) from None


def _row_blocks(values: Raw) -> Iterator[Raw]:
    """Slices of the first axis of about a piece each."""
    rows = np.atleast_1d(values)
    step = max(1, _PIECE * len(rows) // max(1, rows.nbytes))
    for start in range(0, len(rows), step):
        yield rows[start : start + step]


def _corrupt(source: Path, name: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{source}: array {name!r} is corrupt ({why}); record it again")


_READERS = {".npz": _from_npz, ".npy": _from_npy, ".parquet": parquet.convert}
