"""Standard output and error that lose text rather than a run."""

from __future__ import annotations

import io
import os
import sys


class Lossy(io.TextIOBase):
    """A stream that leads nowhere once its reader is gone, or, if `full`, once it cannot be written."""

    def __init__(self, stream: io.TextIOWrapper, *, full: bool) -> None:
        self._stream, self._lost = stream, (OSError if full else BrokenPipeError)

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The stream's own."""
        return self._stream.encoding

    def fileno(self) -> int:
        """The stream's own."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """It always is."""
        return True

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        try:
            return self._stream.write(text)
        except self._lost:
            self._give_up()
            return len(text)

    def flush(self) -> None:
        """Flush, or drop what was not written."""
        try:
            self._stream.flush()
        except self._lost:
            self._give_up()

    def _give_up(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())  # what the buffer holds goes there as well
        os.close(nowhere)


def keep_running() -> None:
    """What a terminal cannot show, a reader who left, or a full disk behind stderr, must not end a run.

    A full disk behind stdout does: its result would be lost without a word.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
            setattr(sys, name, Lossy(stream, full=name == "stderr"))
