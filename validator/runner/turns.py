"""Whose turn it is to compute, where more environments are ready than may compute at a time."""

from __future__ import annotations

import threading


class ComputingTurns:
    """A semaphore: whoever has the most left to do is next, so that the longest does not end last and alone.

    Of equal ones, whoever waits longest.
    """

    def __init__(self, turns: int) -> None:
        """`turns`: how many may have one at a time."""
        self._turns = self._free = turns
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, threading.Event]] = []

    def take(self, seconds_left: float) -> None:
        """Wait for a turn."""
        with self._lock:
            if self._free > 0:  # then nobody waits
                self._free -= 1
                return
            called = threading.Event()
            self._waiting.append((seconds_left, called))
        called.wait()

    def keeps(self, seconds_left: float) -> bool:
        """Whether whoever has a turn and that much left is next again."""
        with self._lock:
            return all(seconds_left > other for other, _ in self._waiting)

    def give(self) -> None:
        """Leave the turn to the next."""
        with self._lock:
            if self._free < 0:  # a turn too many
                self._free += 1
            elif self._waiting:
                longest = max(self._waiting, key=lambda each: each[0])
                self._waiting.remove(longest)
                longest[1].set()
            else:
                self._free += 1

    def narrow(self) -> bool:
        """Let one alone have a turn from here on; whether that is new. Those that have one keep it."""
        with self._lock:
            more, self._turns = self._turns - 1, 1
            self._free -= more
            return more > 0
