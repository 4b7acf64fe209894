"""Faults of recorded files, and of finished runs: refused with a sentence, or read for what they hold."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from bench.faults.fault import CANNOT_JUDGE, CONFIGURATION, GATE, OK, Fault, Outcome, expected
from bench.faults.workshop import Workshop, sound, tool
from validator.errors import ConfigurationError
from validator.storage import recording

_REFUSED, _READ = expected(CONFIGURATION), expected(OK)
_VALUES = np.arange(12, dtype=np.float32).reshape(6, 2)
Make = Callable[[Path], Path]


def _npy(values: np.ndarray, *, allow_pickle: bool = True) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=allow_pickle)
    return out.getvalue()


def _npz(**arrays: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def _zip(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # about one name twice, which is the fault
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def _edited(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new.ljust(len(old))[: len(old)], 1)


_SOUND = _npz(x=_VALUES)
_ARRAY = _npy(_VALUES)
REFUSED: Mapping[str, tuple[str, bytes]] = {
    "npz-empty": ("x.npz", b""),
    "npz-torn-start": ("x.npz", _SOUND[:30]),
    "npz-torn-half": ("x.npz", _SOUND[: len(_SOUND) // 2]),
    "npz-torn-end": ("x.npz", _SOUND[:-10]),
    "npz-byte-flipped": ("x.npz", _SOUND[:200] + bytes([_SOUND[200] ^ 1]) + _SOUND[201:]),
    "npz-of-text": ("x.npz", b"not a zip at all"),
    "npz-is-npy": ("x.npz", _ARRAY),
    "npz-of-nothing": ("x.npz", _zip()),
    "npz-of-a-folder": ("x.npz", _zip(("x/", b""))),
    "npz-with-text": ("x.npz", _zip(("x.npy", _ARRAY), ("readme.txt", b"hello"))),
    "npz-with-pickle": ("x.npz", _zip(("x.npy", pickle.dumps(print)))),
    "npz-of-objects": ("x.npz", _npz(x=np.array([{}, None], dtype=object))),
    "npz-of-records": ("x.npz", _npz(x=np.zeros(3, dtype=[("a", "f4")]))),
    "npz-of-dates": ("x.npz", _npz(x=np.zeros(3, dtype="M8[s]"))),
    "npz-of-long-doubles": ("x.npz", _npz(x=np.zeros(3, dtype=np.longdouble))),
    "npz-of-no-samples": ("x.npz", _npz(x=np.zeros((0, 4)))),
    "npz-of-no-columns": ("x.npz", _npz(x=np.zeros((4, 0)))),
    "npz-of-one-number": ("x.npz", _npz(x=np.float32(1))),
    "npz-of-two-lengths": ("x.npz", _npz(x=np.zeros(3), y=np.zeros(4))),
    "npz-of-one-name-twice": ("x.npz", _zip(("x.npy", _ARRAY), ("x.npy", _ARRAY))),
    "npz-member-shorter": ("x.npz", _zip(("x.npy", _ARRAY[:-4]))),
    "npz-member-longer": ("x.npz", _zip(("x.npy", _ARRAY + b"1234"))),
    "npz-member-empty": ("x.npz", _zip(("x.npy", b""))),
    "npz-head-nested": ("x.npz", _zip(("x.npy", b"\x93NUMPY\x01\x00\x10\x27" + b"(" * 10_000))),
    "npz-head-huge": ("x.npz", _zip(("x.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b" " * 100))),
    "npy-empty": ("x.npy", b""),
    "npy-torn-head": ("x.npy", _ARRAY[:20]),
    "npy-torn-values": ("x.npy", _ARRAY[:-1]),
    "npy-version-9": ("x.npy", _ARRAY[:6] + b"\x09\x00" + _ARRAY[8:]),
    "npy-head-object": ("x.npy", _edited(_ARRAY, b"'<f4'", b"'|O' ")),
    "npy-head-negative": ("x.npy", _edited(_ARRAY, b"(6, 2)", b"(-6,2)")),
    "npy-head-huge": ("x.npy", _edited(_ARRAY, b"(6, 2), }        ", b"(10**9, 10**9), }")),
    "npy-head-text": ("x.npy", _edited(_ARRAY, b"(6, 2)", b"'6,2' ")),
    "npy-head-call": ("x.npy", _edited(_ARRAY, b"(6, 2), }     ", b"exit(), }     ")),
    "npy-of-objects": ("x.npy", _npy(np.array([{}, None], dtype=object))),
    "npy-of-bfloat16-bits": ("x.npy", _npy(np.zeros((3, 2), dtype="V2"))),
    "text": ("x.txt", b"1 2 3"),
    "csv": ("x.csv", b"1,2,3"),
    "no-suffix": ("x", b"1,2,3"),
    "pickle": ("x.pkl", pickle.dumps(_VALUES)),
    "parquet-of-text": ("x.parquet", b"PAR1 not"),
}  # fmt: skip
READ: Mapping[str, tuple[str, bytes]] = {
    "npz-plain": ("x.npz", _SOUND),
    "npz-compressed": ("x.npz", _zip(("x.npy", _ARRAY), method=zipfile.ZIP_DEFLATED)),
    "npz-name-outside": ("x.npz", _zip(("../../x.npy", _ARRAY))),
    "npz-name-absolute": ("x.npz", _zip(("/tmp/x.npy", _ARRAY))),
    "npz-name-manifest": ("x.npz", _zip(("manifest.json.npy", _ARRAY))),
    "npz-name-emoji": ("x.npz", _zip(("🙂.npy", _ARRAY))),
    "npz-name-long": ("x.npz", _zip(("x" * 1000 + ".npy", _ARRAY))),
    "npz-name-empty": ("x.npz", _zip(("a/.npy.npy", _ARRAY))),
    "npz-in-fortran-order": ("x.npz", _npz(x=np.asfortranarray(_VALUES))),
    "npz-big-endian": ("x.npz", _npz(x=_VALUES.astype(">f4"))),
    "npz-of-texts": ("x.npz", _npz(x=np.array(["a", "ü", "🙂"]))),
    "npz-of-empty-texts": ("x.npz", _npz(x=np.array(["", ""]))),
    "npz-of-bytes": ("x.npz", _npz(x=np.array([b"a", b"\xff"]))),
    "npz-of-nan": ("x.npz", _npz(x=np.full((3, 2), np.nan))),
    "npz-upper-case": ("x.NPZ", _SOUND),
    "npy-plain": ("x.npy", _ARRAY),
    "npy-in-fortran-order": ("x.npy", _npy(np.asfortranarray(_VALUES))),
    "npy-with-a-tail": ("x.npy", _ARRAY + b"more"),
}  # fmt: skip
_ENTRY = {"name": "x", "storage": "npy", "path": "0.npy", "dtype": "float32", "shape": [6, 2]}
_MANIFEST: dict[str, object] = {"schema": 1, "samples": 6, "source": "", "tensors": [_ENTRY]}
MANIFESTS: Mapping[str, object] = {
    "none": None,
    "empty": b"",
    "torn": b'{"schema": 1',
    "deep": b"[" * 10_000,
    "latin-1": b'{"schema": "\xe4"}',
    "a-list": [],
    "schema-2": {**_MANIFEST, "schema": 2},
    "samples-less": {**_MANIFEST, "samples": 5},
    "samples-none": {**_MANIFEST, "samples": 0},
    "no-tensors": {**_MANIFEST, "tensors": []},
    "one-name-twice": {**_MANIFEST, "tensors": [_ENTRY, _ENTRY]},
    "path-missing": {**_MANIFEST, "tensors": [{**_ENTRY, "path": "1.npy"}]},
    "path-folder": {**_MANIFEST, "tensors": [{**_ENTRY, "path": "."}]},
    "path-device": {**_MANIFEST, "tensors": [{**_ENTRY, "path": "/dev/zero"}]},
    "path-nul": {**_MANIFEST, "tensors": [{**_ENTRY, "path": "\0"}]},
    "path-pipe": {**_MANIFEST, "tensors": [{**_ENTRY, "path": "pipe"}]},
    "shape-other": {**_MANIFEST, "tensors": [{**_ENTRY, "shape": [6, 3]}]},
    "shape-negative": {**_MANIFEST, "tensors": [{**_ENTRY, "shape": [-6, -2]}]},
    "dtype-other": {**_MANIFEST, "tensors": [{**_ENTRY, "dtype": "float64"}]},
    "dtype-unknown": {**_MANIFEST, "tensors": [{**_ENTRY, "dtype": "floaty"}]},
    "storage-bits": {**_MANIFEST, "tensors": [{**_ENTRY, "storage": "bits"}]},
    "storage-texts": {**_MANIFEST, "tensors": [{**_ENTRY, "storage": "utf8", "offsets": "0.npy"}]},
    "splits-missing": {**_MANIFEST, "tensors": [{**_ENTRY, "ragged": ["1.npy"]}]},
    "splits-of-numbers": {**_MANIFEST, "tensors": [{**_ENTRY, "ragged": ["0.npy"]}]},
    "unknown-key": {**_MANIFEST, "more": 1},
}  # fmt: skip


def files() -> Iterator[Fault]:
    """Recordings as files and as folders, what lies in their place, and reports of finished runs."""
    for name, (file, content) in REFUSED.items():
        yield Fault("files", name, _REFUSED, attempt=_prepared(_written(file, content)), quick=True)
    for name, (file, content) in READ.items():
        yield Fault("files", name, _READ, attempt=_prepared(_written(file, content)), quick=True)
    for name, make in _PLACES.items():
        yield Fault("files", f"is-a-{name}", _REFUSED, attempt=_prepared(make), quick=True)
    for name, value in MANIFESTS.items():
        yield Fault("files", f"manifest-{name}", _REFUSED, attempt=_prepared(_folder(value)), quick=True)
    yield Fault("files", "manifest-plain", _READ, attempt=_prepared(_folder(_MANIFEST)), quick=True)
    yield Fault("files", "touched-with-the-same-size-and-time", _READ, attempt=_rewritten)
    for name, text in REPORTS.items():
        yield Fault("files", f"report-{name}", _REFUSED, attempt=_reported(text))
    yield Fault(
        "files", "compared-with-a-torn-capture", expected(CONFIGURATION, GATE, CANNOT_JUDGE), attempt=_torn
    )


def _written(name: str, content: bytes) -> Make:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    return make


def _made(make: Callable[[Path], None]) -> Make:
    def place(folder: Path) -> Path:
        make(folder / "x.npz")
        return folder / "x.npz"

    return place


_PLACES: Mapping[str, Make] = {
    "pipe": _made(os.mkfifo),
    "loop": _made(lambda path: os.symlink("x.npz", path)),
    "link-to-nothing": _made(lambda path: os.symlink("nothing", path)),
    "link-to-a-device": _made(lambda path: os.symlink("/dev/zero", path)),
    "folder-without-manifest": _made(lambda path: path.mkdir()),
    "name-that-is-missing": lambda folder: folder / "x.npz",
    "name-below-a-file": lambda folder: _written("y", b"")(folder) / "x.npz",
}


def _folder(manifest: object) -> Make:
    def make(folder: Path) -> Path:
        place = folder / "recorded"
        place.mkdir()
        np.save(place / "0.npy", _VALUES)
        os.mkfifo(place / "pipe")
        if manifest is not None:
            content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
            (place / "manifest.json").write_bytes(content)
        return place

    return make


def _prepared(make: Make) -> Callable[[Workshop], Outcome]:
    """Read a recording as a run does, and every value of it."""

    def attempt(workshop: Workshop) -> Outcome:
        source = make(folder := workshop.folder())
        assert isinstance(source, Path)
        try:
            prepared = recording.prepare(source, folder / "converted")
            for tensor in prepared.open():
                data = tensor.open()
                assert data.values.size or tensor.storage == "utf8"
        except ConfigurationError as error:
            return Outcome(
                CONFIGURATION,
                trouble=""
                if any(word in str(error) for word in (str(source), "array", "tensor"))
                else str(error),
            )
        return Outcome(OK)

    return attempt


def _rewritten(workshop: Workshop) -> Outcome:
    """Other values in a file of the same size and time: a second run must read them."""
    from validator.pipeline.jobs import JobMaker
    from validator.pipeline.project import open_project
    from validator.pipeline.run_folder import RunFolder

    config = workshop.project("stand-in", [sound("stand-in")])
    project = open_project(config)
    values = []
    for number in (1.0, 2.0):
        path = config.parent / "inputs.npz"
        np.savez(path, features=np.full((300, 8), number, np.float32))
        os.utime(path, (1e9, 1e9))
        maker = JobMaker(project, RunFolder(config.parent / "run"))
        folder = Path(maker.recordings(project.settings.models[0]).inputs)
        values.append(float(recording.load(folder).open()[0].open().values[0]))
    return Outcome(OK, trouble="" if values == [1.0, 2.0] else f"read {values}")


REPORTS: Mapping[str, bytes | None] = {
    "missing": None,
    "empty": b"",
    "torn": b'{"schema": 2, "verdict": "pass"',
    "deep": b"[" * 100_000,
    "latin-1": b'{"schema": 2, "verdict": "p\xe4ss"}',
    "list": b"[]",
    "schema-1": b'{"schema": 1}',
    "schema-99": b'{"schema": 99}',
    "verdict-unknown": b'{"schema": 2, "verdict": "fine", "reasons": [], "baseline": "", "environments": [], "models": [], "tool": ""}',
    "nan": b'{"schema": 2, "seconds": NaN}',
}  # fmt: skip


def _reported(content: bytes | None) -> Callable[[Workshop], Outcome]:
    def attempt(workshop: Workshop) -> Outcome:
        folder = workshop.folder()
        if content is not None:
            (folder / "report.json").write_bytes(content)
        done = tool("report", str(folder))
        return Outcome(done.code, trouble=done.trouble)

    return attempt


def _torn(workshop: Workshop) -> Outcome:
    folder = workshop.folder()
    shutil.copytree(workshop.template, folder / "torn")
    path = folder / "torn" / "outputs" / "0.npy"
    os.truncate(path, path.stat().st_size // 2)
    done = tool("compare", str(workshop.template), str(folder / "torn"))
    return Outcome(done.code, trouble=done.trouble)
