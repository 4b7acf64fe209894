"""Jobs beside each other that memory does not hold together: the last ends early, and runs again later."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from validator.failure import Failure

_LEAST = 0.04  # of all memory: with less left, the system may kill any process
_TIGHT = 0.2  # with less left a moment ago, a killed job was killed for memory
_SHORT, _BY_SYSTEM = "SharedMemory", "SIGKILL"


class Crowd:
    """Who computes beside whom. `share_left` gives how much of all memory is free."""

    def __init__(self, share_left: Callable[[], float]) -> None:
        self._share_left = share_left
        self._lock = threading.Lock()
        self._computing: list[str] = []  # ids of jobs, in the order in which they began
        self._beside: set[str] = set()  # those that began, or went on, beside another
        self._repeated: set[str] = set()
        self._left = 1.0  # as it was seen last

    @contextlib.contextmanager
    def among(self, job: str) -> Iterator[None]:
        """A job computes."""
        with self._lock:
            self._computing.append(job)
            self._beside.update(self._computing if len(self._computing) > 1 else ())
        try:
            yield
        finally:
            with self._lock:
                self._computing.remove(job)
                self._beside.discard(job)

    def excess(self, job: str) -> Failure | None:
        """Why a job must end: the last that began, so that those before it come to their end."""
        with self._lock:
            self._left = self._share_left()
            is_last = len(self._computing) > 1 and self._computing[-1] == job
            if not is_last or self._left >= _LEAST:
                return None
        return Failure(stage="crash", error=_SHORT, message="the jobs beside each other took all memory")

    def repeats(self, job: str, failure: Failure) -> bool:
        """Whether it was memory that ended a job beside another. It can be taken back once."""
        by_system = failure.error == _BY_SYSTEM and self._left < _TIGHT
        with self._lock:
            if job not in self._beside or not (by_system or failure.error == _SHORT):
                return False
            self._repeated.add(job)
        return True

    def takes_back(self, job: str) -> bool:
        """Whether a job that ended is to run once more."""
        with self._lock:
            is_repeated = job in self._repeated
            self._repeated.discard(job)
        return is_repeated
