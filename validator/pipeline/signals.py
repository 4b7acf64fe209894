"""What holds for a process that is ours alone: how signals end it, and what its children can see of it."""

from __future__ import annotations

import ctypes
import signal
import sys
from typing import NoReturn

_SET_DUMPABLE, _SET_CHILD_SUBREAPER = 4, 36  # man 2 prctl


def end_as_interrupted() -> None:
    """End this process by KeyboardInterrupt on SIGTERM, SIGHUP and SIGQUIT, unless it ignores them.

    CI sends SIGTERM to a cancelled job, a terminal SIGHUP as it closes and SIGQUIT on Ctrl-\\.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def shield() -> None:
    """Hide memory and variables of this process, and make it adopt what outlives its parent (Linux).

    For good: no debugger of the same user can look into it any more, and it leaves no core dump.
    """
    if sys.platform.startswith("linux"):
        system = ctypes.CDLL(None)
        system.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        system.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
