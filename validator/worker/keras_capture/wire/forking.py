"""A forked child for each job: it shares the imports, and nothing that it does reaches another job.

Whatever holds threads or handles does not survive a fork. TensorFlow is the strictest: one operation before
the fork, and the first operation of the child waits for threads that only the parent has, forever.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Dict, Optional, Set

FORK, PROCESS = "fork", "process"
#: Set to `process`, it keeps all jobs in one process.
VARIABLE = "KERAS_VALIDATOR_ISOLATION"
_LIFELINE = "KERAS_VALIDATOR_LIFELINE"
_PATIENCE = 5.0  # seconds for an empty child to end


def choose_isolation(own_threads: int) -> str:
    """`fork`, or `process` where forking is unsafe; the log then says why.

    Called after the imports. `own_threads` is the number of threads that the worker itself started.
    """
    obstacle = _obstacle(own_threads)
    if obstacle:
        sys.stderr.write(f"All jobs share this process: {obstacle}.\n")
    # What was imported stays for good. Not walking it saves 0.3 s of garbage collection in every job, and
    # a child does not copy its pages.
    gc.freeze()
    return PROCESS if obstacle else FORK


def _obstacle(own_threads: int) -> str:
    if os.environ.get(VARIABLE) == PROCESS:
        return f"{VARIABLE} is set to {PROCESS}"
    if not sys.platform.startswith("linux"):
        return f"forking is unsafe on {sys.platform}"  # system libraries of macOS abort in a forked child
    started = backend_started()
    if started:
        return f"{started} computed something while it was imported"
    if not _empty_child_ends():
        return "an empty forked child does not end"
    # BLAS libraries end their idle threads as the process forks, and start them again when they are needed:
    # OpenBLAS has one per core right after `import numpy`. Threads that are left know nothing of forks.
    threads = _threads(1 + own_threads)
    return f"{threads} threads are running, not {1 + own_threads}" if threads > 1 + own_threads else ""


def backend_started() -> Optional[str]:
    """The backend that holds threads or devices already, since something was computed with it."""
    # TensorFlow creates its eager context at the first operation (private; 2.15.1 to 2.21.0):
    # https://github.com/tensorflow/tensorflow/blob/v2.17.1/tensorflow/python/eager/context.py#L460
    context = getattr(sys.modules.get("tensorflow.python.eager.context"), "_context", None)
    if context is not None and context._initialized:
        return "tensorflow"
    # JAX creates its clients at the first operation or question for devices (private; 0.4.38):
    # https://github.com/jax-ml/jax/blob/jax-v0.4.38/jax/_src/xla_bridge.py#L850
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is not None and bridge.backends_are_initialized():
        return "jax"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "torch"
    return None


def _empty_child_ends() -> bool:
    child = os.fork()
    if child == 0:
        os._exit(0)
    deadline = time.monotonic() + _PATIENCE
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            return False
        time.sleep(0.001)
    return True


def _threads(expected: int) -> int:
    """Threads of this process; those that just ended are listed for a moment."""
    for _ in range(20):
        count = len(os.listdir("/proc/self/task"))
        if count <= expected:
            break
        time.sleep(0.005)
    return count


class Lifeline:
    """Ends the worker when its runner is gone: a killed runner must leave no process behind.

    It is the reading end of a pipe whose other end only the runner holds; without one, nothing is watched.
    `children` are process groups that end with this process, `threads` is how many threads watch.
    """

    def __init__(self) -> None:
        descriptor = os.environ.pop(_LIFELINE, "")
        self._descriptor = int(descriptor) if descriptor.isdigit() else None
        self.children: Set[int] = set()
        self.threads = 0
        if self._descriptor is not None:
            os.set_inheritable(self._descriptor, False)

    def watch(self) -> None:
        """Start watching; again in every forked child, since threads do not survive a fork."""
        self.children = set()
        if self._descriptor is not None:
            self.threads = 1
            threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        try:
            while os.read(self._descriptor, 1):
                pass
        except OSError:
            return  # not a pipe of ours
        for group in list(self.children):
            kill_group(group)
        if os.getpgrp() == os.getpid():  # the leader of its own group takes its children along
            kill_group(os.getpid())
        os._exit(1)


def kill_group(leader: int) -> None:
    """Kill a process group, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def in_child(run: Callable[[], None], lifeline: Lifeline) -> Dict[str, Optional[int]]:
    """Run a function in a forked child that leads a process group of its own.

    Gives its `exit` status or the `signal` that ended it; the other is None.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _run_as_child(run, lifeline)
    lifeline.children.add(child)
    # Until it is reaped, its number names its group and nothing else: what it started ends before that.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    kill_group(child)
    lifeline.children.discard(child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"exit": code if code >= 0 else None, "signal": -code if code < 0 else None}


def _run_as_child(run: Callable[[], None], lifeline: Lifeline) -> None:
    """Never returns. The interpreter is not shut down: a library could crash while it does."""
    try:
        os.setsid()
        lifeline.watch()
        run()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)
