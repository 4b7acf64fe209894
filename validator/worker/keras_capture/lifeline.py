"""Ends the worker when its runner is gone: a killed runner must leave no process behind."""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "KERAS_VALIDATOR_LIFELINE"


def hold() -> None:
    """Watch the pipe whose other end only the runner holds; without one, do nothing."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor.isdigit():
        os.set_inheritable(int(descriptor), False)
        threading.Thread(target=_watch, args=(int(descriptor),), daemon=True).start()


def _watch(descriptor: int) -> None:
    try:
        while os.read(descriptor, 1):
            pass
    except OSError:
        return  # not a pipe of ours
    if os.getpgrp() == os.getpid():  # the leader of its own group takes its children along
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)
