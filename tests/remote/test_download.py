"""What no store may make a download do."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.remote.conftest import LIMITS
from validator.remote import digest
from validator.remote.download import Download
from validator.remote.store import Holding, StoredFile, Stream, TransientError, UnusableError


@dataclass(frozen=True)
class Shelf:
    """A store at the edge that answers with what a test gives it."""

    pieces: tuple[bytes, ...]
    size: int | None = None

    def holding(self, place: str) -> Holding:
        return Holding((StoredFile(place, place),))

    def open(self, file: StoredFile, start: int, version: str) -> Stream:
        return Stream(0, self.size, "", self._pieces())

    def is_current(self, file: StoredFile, version: str) -> bool:
        return False

    def _pieces(self) -> Iterator[bytes]:
        yield from self.pieces


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "a\\b", "a\nb", "", "n" * 300])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    files = (StoredFile("p", name), StoredFile("q", "config.json"))
    with pytest.raises(UnusableError, match="holds a file with the name"):
        Download(Shelf((b"x",)), tmp_path / "d", LIMITS).run(Holding(files, is_folder=True))
    assert [path.name for path in tmp_path.rglob("x")] == []


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UnusableError, match="is an empty folder"):
        Download(Shelf(()), tmp_path, LIMITS).run(Holding((), is_folder=True))


def test_a_folder_that_is_too_large_is_not_begun(tmp_path: Path) -> None:
    files = tuple(StoredFile("p", f"{number}.h5", 20 << 20) for number in range(2))
    with pytest.raises(UnusableError, match=r"more than 0\.03125 GiB"):
        Download(Shelf((b"x",)), tmp_path / "d", LIMITS).run(Holding(files, is_folder=True))
    assert not (tmp_path / "d" / "content").exists()


@pytest.mark.parametrize(("size", "why"), [(9, "ends after 3 of 9 bytes"), (2, "ends after 3 of 2 bytes")])
def test_a_length_that_is_not_kept(tmp_path: Path, size: int, why: str) -> None:
    download = Download(Shelf((b"abc",), size), tmp_path, LIMITS, sleep=lambda _: None)
    with pytest.raises(TransientError, match=why):
        download.run(Holding((StoredFile("p", "m.keras"),)))


def test_the_digest_of_a_folder_is_what_coreutils_say(tmp_path: Path) -> None:
    (tmp_path / "assets").mkdir()
    for name in ("model.weights.h5", "config.json", "assets/vocabulary.txt", "B.txt", "a b.txt"):
        (tmp_path / name).write_text(name)
    command = "find . -type f | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum"
    printed = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert digest(tmp_path) == printed.stdout.split()[0]
    assert digest(tmp_path / "B.txt") == hashlib.sha256(b"B.txt").hexdigest()
