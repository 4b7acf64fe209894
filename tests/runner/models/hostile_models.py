"""Builders that reach for what is not theirs. What came of each attempt is the message of their failure."""

import contextlib
import ctypes
import glob
import json
import os
import signal
import sys
import time

import numpy as np


def inputs():
    return {"features": np.arange(20, dtype=np.float32).reshape(5, 4) / 10}


def honest():
    from tensorflow import keras

    x = keras.Input((4,), name="features")
    return keras.Model(x, keras.layers.Dense(2, kernel_initializer="ones")(x))


def _parent_of(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def _ancestors(tool):
    """The worker, its guard, and the tool."""
    pids = [os.getppid()]
    while pids[-1] not in (tool, 1):
        pids.append(_parent_of(pids[-1]))
    return pids


def _overwrite(victim):
    for path in glob.glob(os.path.join(victim, "outputs", "*.npy")):
        array = np.load(path)
        np.save(path, array + 1)


def _append(path):
    with open(path, "a") as file:
        file.write("verdict=pass\n")


def _read(path):
    with open(path, "rb") as file:
        file.read(1)


def _attach(pid):
    system = ctypes.CDLL(None, use_errno=True)
    if system.ptrace(16, pid, None, None):  # PTRACE_ATTACH
        raise OSError(ctypes.get_errno(), "ptrace")
    system.ptrace(17, pid, None, None)  # PTRACE_DETACH


def _attempt(action, *arguments):
    try:
        action(*arguments)
    except OSError as error:
        return type(error).__name__
    return "done"


def reaching_out(victim, outside, hidden, tool):
    """Tries everything, and fails with what it came to."""
    worker, *above = _ancestors(tool)
    attempts = {
        "overwrite": _attempt(_overwrite, victim),
        "replace": _attempt(os.rename, os.path.join(victim, "response.json"), os.path.join(victim, "x")),
        "append": _attempt(_append, outside),
        "hidden": _attempt(_read, hidden),
        "worker": [_attempt(_read, f"/proc/{worker}/mem"), _attempt(_attach, worker)],
        "above": [_attempt(_read, f"/proc/{pid}/environ") for pid in above],
        "signals": [_attempt(os.kill, pid, 0) for pid in (worker, *above)],
        "privileges": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),  # PR_GET_NO_NEW_PRIVS
        "variables": sorted(os.environ),
    }
    raise RuntimeError(json.dumps(attempts))


def linking_out(folder, outside):
    """Has its outputs written to where its link leads."""
    os.symlink(outside, os.path.join(folder, "outputs"))
    return honest()


def linking_a_file(folder, outside):
    """Passes another file off as one of its own."""
    os.symlink(outside, os.path.join(folder, "extra.npy"))
    return honest()


def claiming_much(folder):
    """A file of a terabyte that takes no room."""
    with open(os.path.join(folder, "huge.npy"), "wb") as file:
        file.truncate(1 << 40)
    return honest()


def filling_the_disk():
    with open(os.path.join(os.environ["HOME"], "much"), "wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))
    time.sleep(600)


def writing_later(victim, pids):
    """A daemon that nothing tells from a stranger, and that outlives its worker and the worker's guard."""
    daemon = (
        "import glob, os, time\n"
        f"open({pids!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(1.5)\n"
        f"[open(path, 'ab').write(b'!') for path in glob.glob({victim!r} + '/outputs/*.npy')]\n"
        "time.sleep(600)\n"
    )
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.execve(sys.executable, [sys.executable, "-c", daemon], {})  # noqa: S606
    while not os.path.exists(pids) or not os.path.getsize(pids):
        time.sleep(0.01)
    for pid in (_parent_of(os.getppid()), os.getppid()):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    time.sleep(600)


def finding_the_job(pattern):
    """Appends to the files of a step of GitHub Actions, whose names no variable tells."""
    for path in glob.glob(pattern):
        _append(path)
    return honest()
