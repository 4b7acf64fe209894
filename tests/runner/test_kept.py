"""Kept captures: restored byte for byte, on the same machine alone, never from an entry that was touched."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checks.outputs.output_cases import OLD, capture
from validator.runner import Capture, CaptureStore, EnvironmentFacts, Job, KeptCapture, Machine, same_batch
from validator.runner.kept import ENTRY_LIMIT, TOTAL_LIMIT

HOST = Machine(processor="AMD EPYC 7763", features="a", cores=2, system="Linux x86_64 glibc 2.36")
FACTS = EnvironmentFacts.model_validate(
    {"schema": 1, "cpu": {"model": "AMD EPYC 7763", "features": ["avx2"]}, "packages": {"keras": "3.5.0"}}
)
KEY = "k" * 64


def job(folder: Path) -> Job:
    return Job(
        id="digits@head",
        folder=str(folder / "head" / "digits"),
        artifact=None,
        builder="a:b",
        builder_arguments={},
        weights=None,
        custom_objects=(),
        safe_mode=True,
        compile=True,
        signature="",
        variant={},
        inputs="i",
        labels=None,
        batch_size=4,
        evaluate=False,
        environment="head",
    )


def kept(folder: Path, **response: Any) -> CaptureStore:
    """A store with one entry."""
    store = CaptureStore(folder / "kept", HOST)
    asked = job(folder / "first")
    own = capture(Path(asked.folder), {"output": OLD}, **{"id": asked.id, **response})
    (Path(asked.folder) / "+layers").mkdir()
    (Path(asked.folder) / "+layers" / "response.json").write_text("{}")
    (Path(asked.folder) / "ended").write_text("{}")
    assert store.keep(KEY, asked, own, FACTS) is None
    return store


def restore(store: CaptureStore, folder: Path, key: str = KEY) -> KeptCapture | str | None:
    return store.restore(key, job(folder / "second"), folder / "second" / "head")


def entry(store: CaptureStore) -> Path:
    (path,) = store.root.iterdir()
    return path


def test_what_was_kept_is_restored_with_its_environment_and_its_time(tmp_path: Path) -> None:
    restored = restore(kept(tmp_path), tmp_path)
    assert isinstance(restored, KeptCapture)
    assert np.array_equal(restored.capture.outputs[0].open().values, OLD.ravel())
    assert restored.facts == FACTS
    assert datetime.now(timezone.utc) - restored.measured < timedelta(minutes=5)
    place = tmp_path / "second" / "head"
    files = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
    assert files == {"digits/response.json", "digits/output.npy", "+worker/environment.json"}


def test_an_entry_of_numbers_has_kilobytes(tmp_path: Path) -> None:
    assert entry(kept(tmp_path)).stat().st_size < 5000


def test_there_is_nothing_for_another_key(tmp_path: Path) -> None:
    assert restore(kept(tmp_path), tmp_path, "o" * 64) is None


@pytest.mark.parametrize(
    "other",
    [{"processor": "Intel Xeon"}, {"features": "b"}, {"cores": 4}, {"system": "Linux x86_64 glibc 2.39"}],
)
def test_nothing_is_restored_on_another_machine_and_the_reason_is_said(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    store = replace(kept(tmp_path), machine=HOST.model_copy(update=other))
    reason = restore(store, tmp_path)
    assert isinstance(reason, str)
    assert "measured on another machine" in reason
    # The entry of either machine stays.
    asked = job(tmp_path / "third")
    own = capture(Path(asked.folder), {"output": OLD}, id=asked.id)
    assert store.keep(KEY, asked, own, FACTS) is None
    assert isinstance(restore(store, tmp_path), KeptCapture)
    assert isinstance(restore(CaptureStore(store.root, HOST), tmp_path), KeptCapture)


def rewritten(change: Callable[[dict[str, bytes]], None]) -> Callable[[Path], None]:
    """An entry with other members."""

    def rewrite(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return rewrite


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """An entry that describes itself otherwise."""

    def edit(members: dict[str, bytes]) -> None:
        value = json.loads(members["entry.json"])
        change(value)
        members["entry.json"] = json.dumps(value).encode()

    return rewritten(edit)


def named(name: str) -> Callable[[Path], None]:
    def edit(members: dict[str, bytes]) -> None:
        value = json.loads(members["entry.json"])
        value["files"][name] = value["files"]["output.npy"]
        members["entry.json"] = json.dumps(value).encode()
        members[f"files/{name}"] = members["files/output.npy"]

    return rewritten(edit)


def bomb(members: dict[str, bytes]) -> None:
    members["files/output.npy"] = b"\0" * (300 << 20)


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def _renamed(members: dict[str, bytes]) -> None:
    """A capture of another cell, with digests that are right."""
    members["files/response.json"] = members["files/response.json"].replace(b"digits@head", b"llama@head")
    value = json.loads(members["entry.json"])
    value["files"]["response.json"] = hashlib.sha256(members["files/response.json"]).hexdigest()
    members["entry.json"] = json.dumps(value).encode()


TOUCHED: dict[str, Callable[[Path], Any]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-200]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("nothing"),
    "a byte flipped": lambda path: path.write_bytes(_flipped(path.read_bytes())),
    "other numbers": rewritten(
        lambda members: members.update({"files/output.npy": members["files/output.npy"][:-4] + b"\1\2\3\4"})
    ),
    "a file missing": rewritten(lambda members: members.pop("files/output.npy") and None),
    "no description": rewritten(lambda members: members.pop("entry.json") and None),
    "of another key": described(lambda value: value.update(key="z" * 64)),
    "of another machine": described(lambda value: value["machine"].update(cores=64)),
    "of another schema": described(lambda value: value.update(schema=2)),
    "an unknown field": described(lambda value: value.update(more=1)),
    "from the future": described(lambda value: value.update(measured="2999-01-01T00:00:00Z")),
    "a name out of the folder": named("../../../escaped.npy"),
    "an absolute name": named("/tmp/escaped.npy"),
    "a name of the worker's": named("+worker/environment.json"),
    "a bomb": rewritten(bomb),
    "of another job": rewritten(_renamed),
}


@pytest.mark.parametrize("kind", TOUCHED)
def test_an_entry_that_was_touched_is_ignored_in_a_sentence(tmp_path: Path, kind: str) -> None:
    store = kept(tmp_path)
    TOUCHED[kind](entry(store))
    reason = restore(store, tmp_path)
    assert isinstance(reason, str)
    assert reason.count("\n") == 0
    assert "digits@head" in reason
    assert not list(tmp_path.rglob("escaped.npy"))
    assert restore(store, tmp_path) is None or kind == "from the future"


def test_an_old_entry_is_measured_again(tmp_path: Path) -> None:
    store = kept(tmp_path)
    before = (datetime.now(timezone.utc) - timedelta(days=15)).isoformat()
    described(lambda value: value.update(measured=before))(entry(store))
    assert "more than 14 days ago" in str(restore(store, tmp_path))


def test_a_pipe_in_place_of_an_entry_does_not_block(tmp_path: Path) -> None:
    store = kept(tmp_path)
    path = entry(store)
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in str(restore(store, tmp_path))


def test_a_capture_that_is_too_large_is_not_kept(tmp_path: Path) -> None:
    store, asked = CaptureStore(tmp_path / "kept", HOST), job(tmp_path)
    own = capture(Path(asked.folder), {"output": OLD}, id=asked.id)
    (Path(asked.folder) / "more.npy").write_bytes(os.urandom(ENTRY_LIMIT + 1))
    assert "larger than 64 MiB" in str(store.keep(KEY, asked, own, FACTS))
    assert not store.root.exists()


def test_the_oldest_entries_go_first(tmp_path: Path) -> None:
    store = kept(tmp_path)
    for number, days in enumerate((20, 5, 1)):
        path = store.root / f"{number}.zip"
        path.touch()
        os.truncate(path, TOTAL_LIMIT // 2)
        at = time.time() - days * 86400
        os.utime(path, (at, at))
    store.prune()
    assert {path.name for path in store.root.iterdir()} >= {"2.zip"}
    assert not (store.root / "0.zip").exists()
    assert not (store.root / "1.zip").exists()


def outputs(folder: Path, values: np.ndarray) -> Capture:
    return capture(folder, {"output": values})


def test_a_batch_that_begins_like_the_capture_stands_for_it(tmp_path: Path) -> None:
    whole = outputs(tmp_path / "whole", OLD)
    assert same_batch(whole, outputs(tmp_path / "same", OLD[:4]))
    moved = OLD[:4].copy()
    moved[3, 0] = np.nextafter(moved[3, 0], np.float32(9))
    assert not same_batch(whole, outputs(tmp_path / "moved", moved))
    assert not same_batch(whole, outputs(tmp_path / "none", OLD[:0]))
    assert not same_batch(whole, outputs(tmp_path / "wider", np.concatenate([OLD, OLD])))
    assert not same_batch(whole, capture(tmp_path / "other", {"renamed": OLD[:4]}))
    assert not same_batch(whole, outputs(tmp_path / "double", OLD[:4].astype(np.float64)))


def test_the_machine_is_told_by_its_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name : AMD EPYC\nflags : b a\n\nmodel name : other\n")
    first = Machine.this(tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("model name : AMD EPYC\nflags : a b c\n")
    second = Machine.this(tmp_path / "cpuinfo")
    assert first.processor == second.processor == "AMD EPYC"
    assert first.digest != second.digest
    assert Machine.this(tmp_path / "absent").processor
