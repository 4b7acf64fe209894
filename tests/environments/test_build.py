"""The real uv, on packages that are small."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from validator.config.settings import Install
from validator.environments import Built, build
from validator.environments.build import MARKER
from validator.environments.uv import Uv
from validator.matrix import Environment
from validator.results import Failure


@pytest.fixture
def uv() -> Uv:
    return Uv.found({**os.environ, "VIRTUAL_ENV": "/nonexistent", "PYTHONPATH": "/nonexistent"})


@pytest.fixture
def venv(tmp_path: Path, uv: Uv) -> Path:
    folder = tmp_path / "venv"
    subprocess.run([uv.binary, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    return folder


def environment(*requirements: str) -> Environment:
    return Environment("small", "3", requirements)


def versions(built: Built) -> str:
    code = "import importlib.metadata as m; print(m.version('packaging'))"
    return subprocess.run(
        [built.python, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_locked_once_reused_while_unchanged_and_rebuilt_when_changed(
    tmp_path: Path, venv: Path, uv: Uv
) -> None:
    locks = tmp_path / "locks"
    first = build(environment("packaging==24.1"), Install(), venv, locks, uv)
    assert isinstance(first, Built)
    assert not first.reused
    assert versions(first) == "24.1"
    kept = first.lock.stat().st_mtime_ns
    second = build(environment("packaging==24.1"), Install(), venv, locks, uv)
    assert isinstance(second, Built)
    assert second.reused
    assert second.lock.stat().st_mtime_ns == kept
    third = build(environment("packaging==24.2"), Install(), venv, locks, uv)
    assert isinstance(third, Built)
    assert not third.reused
    assert versions(third) == "24.2"


def test_a_half_built_environment_is_built_again(tmp_path: Path, venv: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    built = build(environment("packaging==24.1"), Install(), venv, locks, uv)
    assert isinstance(built, Built)
    (venv / MARKER).unlink()
    subprocess.run(
        [uv.binary, "pip", "uninstall", "-q", "--python", str(built.python), "packaging"], check=True
    )
    again = build(environment("packaging==24.1"), Install(), venv, locks, uv)
    assert isinstance(again, Built)
    assert not again.reused
    assert versions(again) == "24.1"


def test_a_hand_edited_lock_is_installed_as_it_stands(tmp_path: Path, venv: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    built = build(environment("packaging"), Install(), venv, locks, uv)
    assert isinstance(built, Built)
    lines = [line for line in built.lock.read_text().splitlines() if not line.startswith("packaging==")]
    built.lock.write_text("\n".join([*lines, "packaging==24.1"]) + "\n")
    again = build(environment("packaging"), Install(), venv, locks, uv)
    assert isinstance(again, Built)
    assert versions(again) == "24.1"


@pytest.mark.parametrize(
    ("requirements", "stage", "words"),
    [
        (("packaging==9999",), "resolve", "packaging==9999"),
        (("packaging==24.1", "packaging==24.2"), "resolve", "24.1"),
        (("no-such-package-of-keras-validator",), "resolve", "no-such-package-of-keras-validator"),
    ],
)
def test_what_cannot_be_resolved_fails_in_uvs_words(
    tmp_path: Path, venv: Path, uv: Uv, requirements: tuple[str, ...], stage: str, words: str
) -> None:
    failure = build(environment(*requirements), Install(), venv, tmp_path / "locks", uv)
    assert isinstance(failure, Failure)
    assert failure.stage == stage
    assert words in failure.message
    assert "╰" not in failure.message
    assert not (venv / MARKER).exists()


def test_what_cannot_be_installed_fails_and_leaves_no_marker(tmp_path: Path, venv: Path, uv: Uv) -> None:
    locks = tmp_path / "locks"
    built = build(environment("packaging==24.1"), Install(), venv, locks, uv)
    assert isinstance(built, Built)
    built.lock.write_text(built.lock.read_text().replace("24.1", "9999"))
    failure = build(environment("packaging==24.1"), Install(), venv, locks, uv)
    assert isinstance(failure, Failure)
    assert failure.stage == "install"
    assert not (venv / MARKER).exists()


def test_exclude_newer_is_passed_on(tmp_path: Path, venv: Path, uv: Uv) -> None:
    built = build(environment("packaging"), Install(exclude_newer="2024-07-01"), venv, tmp_path / "locks", uv)
    assert isinstance(built, Built)
    assert versions(built) == "24.1"
