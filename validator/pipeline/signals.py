"""What holds for a process that is ours alone: how signals end it, and what its children can see of it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from validator.errors import Exit

_PATIENCE = 5.0  # until another signal ends what still cleans up
_SET_DUMPABLE, _SET_CHILD_SUBREAPER = 4, 36  # man 2 prctl


@contextmanager
def interruptible() -> Iterator[None]:
    """End the block by KeyboardInterrupt on SIGINT, SIGTERM, SIGHUP and SIGQUIT, unless they are ignored.

    CI sends SIGTERM to a cancelled job, a terminal SIGHUP as it closes and SIGQUIT on Ctrl-\\. Python loses
    an exception that is raised in a finalizer, such as those of ending threads: it is raised again every
    second, until it is on its way. Further signals then leave it to clean up, for `_PATIENCE` seconds.
    """
    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
    numbers = [number for number in ends if signal.getsignal(number) != signal.SIG_IGN]
    interruption = _Interruption()
    hook, sys.unraisablehook = sys.unraisablehook, _quiet_about_interrupts
    before = {number: signal.signal(number, interruption.begin) for number in numbers}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, interruption.repeat)
    try:
        yield
    except Exception as error:
        if interruption.since is None:
            raise
        raise KeyboardInterrupt from error  # a library made an error of its own of the first one
    finally:
        if interruption.since is None:
            for number, handler in before.items():
                signal.signal(number, handler)
            sys.unraisablehook = hook
        else:  # everything is cleaned up: what is left of this process may end anywhere
            for number in numbers:
                signal.signal(number, _leave)
            signal.setitimer(signal.ITIMER_REAL, 0)


class _Interruption:
    """What signals do. `since`: when the first one came, by the monotonic clock."""

    def __init__(self) -> None:
        self.since: float | None = None

    def begin(self, *_: object) -> None:
        if self.since is None:
            self.since = time.monotonic()
            signal.setitimer(signal.ITIMER_REAL, 1, 1)
        elif time.monotonic() - self.since > _PATIENCE:
            _leave()
        self.repeat()

    def repeat(self, *_: object) -> None:
        error = sys.exc_info()[1]  # of the interrupted frames, which run below a handler
        while error is not None:
            if isinstance(error, KeyboardInterrupt):
                return
            error = error.__cause__ or error.__context__
        raise KeyboardInterrupt


def _leave(*_: object) -> NoReturn:
    """End without cleaning up: every child is tied to this process, and ends with it."""
    os._exit(Exit.INTERRUPTED)


def _quiet_about_interrupts(lost: sys.UnraisableHookArgs) -> None:
    if lost.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(lost)


def shield() -> None:
    """Hide memory and variables of this process, and make it adopt what outlives its parent (Linux).

    For good: no debugger of the same user can look into it any more, and it leaves no core dump.
    """
    if sys.platform.startswith("linux"):
        system = ctypes.CDLL(None)
        system.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        system.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
