"""The folder of a run: where each part lies, and that only one run writes it at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from validator.errors import ConfigurationError
from validator.matrix import Cell

WORK = ".keras-validator"


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run. `root` is absolute; ConfigurationError where workers cannot be given it."""

    root: Path
    #: Where predictions of other workers lie.
    PIECES: ClassVar[str] = "pieces"

    def __post_init__(self) -> None:
        check_path(self.root)

    def captures(self, environment: str) -> Path:
        """Captures of an environment."""
        return self.root / "captures" / environment

    def capture(self, cell: Cell) -> Path:
        """Capture of a cell."""
        return self.captures(cell.environment) / cell.folder

    def ended(self) -> Path:
        """Which jobs have ended, until the run is complete."""
        return self.root / "ended"

    def recordings(self) -> Path:
        """Recorded inputs and labels, converted once for every environment."""
        return self.root / "recordings"

    def piece(self, number: int) -> Path:
        """What another worker predicted of this run's samples, in a folder like that of a run."""
        return self.root / self.PIECES / str(number)

    def base_files(self) -> Path:
        """The files of the base commit, where models run as it has them."""
        return self.root / "base"

    def report(self) -> Path:
        """The report."""
        return self.root / "report.json"

    def history(self) -> Path:
        """The run as a line of a history."""
        return self.root / "history.jsonl"


def check_path(path: Path) -> None:
    """Refuse what cannot be given to a worker: it reads paths as lines, and as JSON.

    Raises:
        ConfigurationError: the path has a line break, or bytes that are not UTF-8.
    """
    text, wrong = str(path), ""
    if set(text) & {"\n", "\r"}:
        wrong = "a line break"
    elif not _is_utf8(text):
        wrong = "bytes that are not UTF-8"
    if wrong:
        raise ConfigurationError(f"the path {text!a} has {wrong}; move the project, or its --output")


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextlib.contextmanager
def locked(folder: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a folder for this process; `wait` for another holder, or give up at once.

    Raises:
        ConfigurationError: another run holds it, or it is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigurationError(f"{folder}: a file is in the way; choose another --output") from None
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise ConfigurationError(
                f"{folder}: {holder} is writing {what}; wait for it, or choose another --output"
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
