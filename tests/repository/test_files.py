"""The repository says nothing about the machines it was made on, and keeps its text files tidy."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A home, or a checkout: absolute places that exist on somebody's machine. `/home/runner` is GitHub's.
MACHINE = re.compile(rb"(?<![\w.~*-])/(?:root|work|Users/\w+|home/(?!runner\b)\w+)/[\w.]|[A-Z]:\\Users\\")


def kept() -> list[Path]:
    """The files that git keeps, or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    paths = [ROOT / name.decode() for name in listed.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def places(content: bytes) -> list[bytes]:
    """The machine paths in a text file; none in a binary one."""
    return [] if b"\0" in content else MACHINE.findall(content)


def test_no_file_names_a_place_on_a_machine() -> None:
    found = {str(path.relative_to(ROOT)): places(path.read_bytes()) for path in kept()}
    assert {name: hits for name, hits in found.items() if hits} == {}


@pytest.mark.parametrize("place", [["", "root", "x.py"], ["", "home", "ann", "code"], ["", "work", "main"]])
def test_the_guard_sees_such_a_place(place: list[str]) -> None:
    assert places(b"see " + "/".join(place).encode())


@pytest.mark.parametrize(
    "fine", ["/home/runner/work/x", "docs/work/x", "/workspace/x", "/rooted/x", "~/work/x"]
)
def test_the_guard_lets_other_words_pass(fine: str) -> None:
    assert places(fine.encode()) == []


def test_no_large_file() -> None:
    large = [path.name for path in kept() if path.stat().st_size > 1024 * 1024]
    assert large == []
