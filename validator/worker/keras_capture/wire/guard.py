"""The process above the worker: whatever ends, nothing below it is left running.

The guard does nothing but wait, so that no model can keep it from its work: not by holding the interpreter's
lock, not by stopping the worker, not by starting processes that leave their group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import sys
from typing import List

_LIFELINE = "KERAS_VALIDATOR_LIFELINE"
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_SET_PARENT_DEATH_SIGNAL, _SET_CHILD_SUBREAPER = 1, 36  # man 2 prctl


def guard() -> None:
    """Go on in a child process, and keep watch over it in this one, which never returns.

    The guard's lifeline is the reading end of a pipe that only the runner can write to: when it closes, the
    runner is gone or wants an end. Without one, as in a worker started by hand, nothing is watched.
    """
    adopt_orphans()
    lifeline = os.environ.pop(_LIFELINE, "")
    if not lifeline.isdigit():
        return
    own = os.getpid()
    wake, woken = os.pipe()
    for descriptor in (wake, woken):
        os.set_blocking(descriptor, False)
    ends: List[int] = []
    for number in (signal.SIGCHLD, *_ENDING):  # before the fork: no end of the child goes unseen
        signal.signal(number, lambda number, _: ends.append(number))
    signal.set_wakeup_fd(woken)
    worker = os.fork()
    if worker:
        _end(_watch(worker, int(lifeline), wake, ends))
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, *_ENDING):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for descriptor in (int(lifeline), wake, woken):
        os.close(descriptor)
    os.setsid()
    adopt_orphans()
    die_with(own)


def _watch(worker: int, lifeline: int, wake: int, signals: List[int]) -> int:
    """Wait for an end: of the worker, of the runner, or by a signal. The exit status, or minus a signal."""
    while True:
        ready, _, _ = select.select([lifeline, wake], [], [])
        with contextlib.suppress(BlockingIOError):
            os.read(wake, 4096)
        ending = next((number for number in signals if number in _ENDING), None)
        signals.clear()
        if lifeline in ready or ending:  # nothing is ever written to it: it was closed
            return -ending if ending else 1
        with contextlib.suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, os.WNOHANG | os.WUNTRACED)
                if child == 0:
                    break
                if child == worker and os.WIFSTOPPED(status):  # by a model; a stopped worker ends no job
                    os.kill(worker, signal.SIGCONT)
                elif child == worker:
                    return os.waitstatus_to_exitcode(status)


def _end(code: int) -> None:
    """End everything below this process, then this process as the worker ended."""
    end_children()
    if code < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def end_children() -> None:
    """Kill every child, and what becomes a child as its own parent ends, until there is none."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for child in children_of(os.getpid()):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child, signal.SIGKILL)
            os.waitpid(-1, 0)


def children_of(parent: int) -> List[int]:
    """Children of a process, by Linux' /proc; none elsewhere, where no worker forks."""
    numbers = [name for name in os.listdir("/proc") if name.isdigit()] if os.path.isdir("/proc") else []
    return [int(name) for name in numbers if _parent_of(name) == parent]


def _parent_of(process: str) -> int:
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[1])  # a name may hold blanks and parentheses
    except (OSError, IndexError, ValueError):  # it has just ended
        return 0


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, daemons too (Linux)."""
    _prctl(_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Be killed when the parent process ends (Linux)."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if sys.platform.startswith("linux") and os.getppid() != parent:  # it ended before that
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
