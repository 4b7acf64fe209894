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
import time
import traceback
from collections.abc import Callable
from typing import Dict, Optional

from keras_capture.wire.guard import die_with, end_children

FORK, PROCESS = "fork", "process"
#: Set to `process`, it keeps the worker from forking.
VARIABLE = "KERAS_VALIDATOR_ISOLATION"
_PATIENCE = 5.0  # seconds for an empty child to end


def choose_isolation() -> str:
    """`fork`, or `process` where forking is unsafe; the log then says why. Called after the imports."""
    obstacle = _obstacle()
    if obstacle:
        sys.stderr.write(f"Each job gets a process with imports of its own: {obstacle}.\n")
    # What was imported stays for good. Not walking it saves 0.3 s of garbage collection in every job, and
    # a child does not copy its pages.
    gc.freeze()
    return PROCESS if obstacle else FORK


def _obstacle() -> str:
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
    threads = _threads(1)
    return f"{threads} threads are running, not 1" if threads > 1 else ""


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


def kill_group(leader: int) -> None:
    """Kill a process group, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def in_child(run: Callable[[], None]) -> Dict[str, Optional[int]]:
    """Run a function in a forked child that leads a process group of its own.

    Gives its `exit` status or the `signal` that ended it; the other is None. Whatever it started has ended.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        _run_as_child(run, parent)
    # Until it is reaped, its number names its group and nothing else: what it started ends before that.
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    kill_group(child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end_children()  # those that left its group, as a daemon does
    return {"exit": code if code >= 0 else None, "signal": -code if code < 0 else None}


def _run_as_child(run: Callable[[], None], parent: int) -> None:
    """Never returns. The interpreter is not shut down: a library could crash while it does."""
    try:
        os.setsid()
        die_with(parent)
        run()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)
