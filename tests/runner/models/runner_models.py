"""Builders that die in every way, for the runner's tests. They run inside the environment under test."""

import ctypes
import os
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
