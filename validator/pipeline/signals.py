"""Signals that end a run: each as Ctrl-C does, which leaves no process behind."""

from __future__ import annotations

import signal
from typing import NoReturn


def end_as_interrupted() -> None:
    """End this process by KeyboardInterrupt on SIGTERM, SIGHUP and SIGQUIT, unless it ignores them.

    CI sends SIGTERM to a cancelled job, a terminal SIGHUP as it closes and SIGQUIT on Ctrl-\\.
    """
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
