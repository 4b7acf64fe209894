"""Files of others are read within bounds, or refused with a reason; nothing hangs, nothing recurses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from validator.base import Frozen
from validator.documents import open_regular, read_bytes, read_json, read_model


class Point(Frozen):
    """A value with two numbers."""

    x: float
    y: float = 0.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"[" * 10_000, "nested too deeply"),
        (b"[" * 10_000 + b"]" * 10_000, "nested too deeply"),
        (b'{"a": ' * 10_000, "nested too deeply"),
        (b" " * 101, "larger than 100 bytes"),
    ],
)
def test_what_is_no_document_says_why(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        read_json(path, 100 if b" " in content[:1] else 1 << 20)


def test_what_is_no_file_is_not_waited_for(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)
    for place in (path, tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError, match="regular"):
            open_regular(place)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "missing")


def test_half_a_surrogate_pair_is_no_text_and_a_whole_one_is(path: Path) -> None:
    path.write_text(r'{"half": "\ud83d", "whole": "\ud83d\ude42", "backslash": "\\ud83d"}')
    assert read_json(path) == {"half": "?", "whole": "🙂", "backslash": "\\ud83d"}


def test_a_value_of_another_form_says_where(path: Path) -> None:
    path.write_text('{"x": 1}')
    assert read_model(path, Point) == Point(x=1)
    for text, reason in (('{"y": 1}', "x: Field required"), ('{"x": NaN}', "x: .*finite"), ("[]", "valid")):
        path.write_text(text)
        with pytest.raises(ValueError, match=reason):
            read_model(path, Point)
