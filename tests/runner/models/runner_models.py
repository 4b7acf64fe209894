"""Builders that die in every way, for the runner's tests. They run inside the environment under test."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np


def inputs():
    return {"features": np.arange(20, dtype=np.float32).reshape(5, 4) / 10}


def dense():
    from tensorflow import keras

    x = keras.Input((4,), name="features")
    return keras.Model(x, keras.layers.Dense(2, kernel_initializer="ones")(x))


def dense_with_variable():
    assert os.environ["RUNNER_TEST"] == "set"
    return dense()


def crashing():
    ctypes.string_at(0)


def exiting(code):
    os._exit(code)


def slow():
    time.sleep(3)
    return dense()


def hanging():
    time.sleep(600)


def hanging_with_the_interpreter():
    """Holds the interpreter's lock, so that no thread of this process can do anything."""
    ctypes.PyDLL(None).sleep(600)


def hogging():
    held = []
    while True:
        held.append(b"x" * (64 << 20))


def leaving_a_child():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(os.environ["HOME"] + "/../left.pid", "w") as file:
        file.write(str(child.pid))
    return dense()


def killing_the_worker():
    os.kill(os.getppid(), signal.SIGKILL)
    hanging_with_the_interpreter()


def reading_stdin():
    assert sys.stdin.read() == ""
    return dense()


def touching_the_class():
    """Leaves a change that would reach the next model of the process."""
    from tensorflow import keras

    keras.layers.Dense.call = lambda self, inputs: inputs * 0
    return dense()


def leaving_a_daemon():
    """Starts a process that leaves its group and its parent, as daemons do."""
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        with open(os.environ["HOME"] + "/../daemon.pid", "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
        os._exit(0)
    while not os.path.exists(os.environ["HOME"] + "/../daemon.pid"):
        time.sleep(0.01)
    return dense()


def stopping(levels):
    """Stops the worker (1), or its guard (2)."""
    parent = os.getppid()
    if levels == 2:
        with open(f"/proc/{parent}/stat") as file:
            parent = int(file.read().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGSTOP)
    return dense()


def spoiling(folder, name="", what="", then="return"):
    """Leaves something in its folder, or in place of it."""
    path = os.path.join(folder, name)
    if not name:
        shutil.rmtree(folder)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        os.mkdir(path)
    elif what:
        with open(path, "w") as file:
            file.write(what)
    if then == "exit":
        os._exit(0)
    return dense()


def spoiling_the_worker():
    shutil.rmtree(os.environ["HOME"] + "/..")
    return dense()


def leaving_files():
    assert os.listdir() == []
    with open("left.txt", "w") as file:
        file.write("of a model before")
    return dense()
