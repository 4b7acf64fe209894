"""The time of a search, and what it may still begin."""

from __future__ import annotations

import time
from collections.abc import Callable


class OutOfTimeError(Exception):
    """The time budget is over. What was found until then stands; every result is kept."""


class Budget:
    """Seconds from now on. `spend` is asked before each run."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return self._clock() - self._began

    def check(self) -> None:
        """Raise OutOfTimeError where the time is over."""
        if self.spent >= self._seconds:
            raise OutOfTimeError
