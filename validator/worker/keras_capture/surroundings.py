"""What a job really ran under, and what the framework warned of meanwhile."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Dict, List

from keras_capture.model.imports import Framework, cpu

_MOST_WARNINGS, _LONGEST = 50, 1000
_LOGGERS = ("absl", "tensorflow", "jax")
#: Variables that steer a framework. Those that choose Keras itself are the matrix's own.
_STEERING = re.compile(r"(TF|XLA|KERAS|OMP|MKL|OPENBLAS|JAX|TORCH|PYTORCH|CUDA|NVIDIA)_")
_CHOSEN = re.compile(r"KERAS_(BACKEND|VALIDATOR_\w+)\Z|TF_(USE_LEGACY_KERAS|CPP_MIN_LOG_LEVEL)\Z")


def surroundings(framework: Framework) -> Dict[str, str]:
    """Settings of the process that change numbers, by name. Asks for devices: never before a fork."""
    backend, processor = framework.keras.backend, cpu()
    facts = {
        "floatx": backend.floatx(),
        "image_data_format": backend.image_data_format(),
        "epsilon": repr(backend.epsilon()),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor["model"],
        "instruction sets": " ".join(processor["features"]),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        **_of_backend(framework),
    }
    own_home = os.path.join(os.environ.get("HOME", ""), ".keras")
    for name, value in os.environ.items():
        is_own = name == "KERAS_HOME" and value == own_home
        if _STEERING.match(name) and not _CHOSEN.match(name) and not is_own:
            facts[name] = value[:_LONGEST]
    return facts


def _of_backend(framework: Framework) -> Dict[str, str]:
    """Threads and device of the backend."""
    if framework.on_tensorflow:
        import tensorflow

        threading = tensorflow.config.threading
        kinds = sorted({device.device_type for device in tensorflow.config.list_physical_devices()} - {"CPU"})
        counts = (threading.get_intra_op_parallelism_threads(), threading.get_inter_op_parallelism_threads())
        return {"device": ", ".join(kinds) or "CPU", "threads": "{} and {}".format(*counts)}
    if framework.backend == "jax":
        import jax

        return {"device": jax.default_backend().upper(), "x64": str(jax.config.jax_enable_x64)}
    import torch

    device = "GPU" if torch.cuda.is_available() else "CPU"
    return {"device": device, "threads": str(torch.get_num_threads())}


class WarningLog:
    """Every warning once: of Python's `warnings`, and of the loggers of the frameworks.

    `entries`: `{"phase", "category", "message", "key"}`; the key is the message without what differs from run
    to run: addresses, counts, and folders of the environment and the job.
    """

    def __init__(self, *folders: str) -> None:
        self.entries: List[Dict[str, str]] = []
        self._folders = [folder for folder in (*folders, sys.prefix) if len(folder) > 1]
        self._phase = ""

    @contextlib.contextmanager
    def during(self, phase: str) -> Iterator[None]:
        """Listen; whatever is heard still reaches the worker's log."""
        self._phase = phase
        handler = logging.Handler(logging.WARNING)
        handler.emit = lambda record: self._keep(record.name, record.getMessage())
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", ResourceWarning)
            original = warnings.showwarning

            def show(message: object, category: type, *where: object, **more: object) -> None:
                self._keep(category.__name__, str(message))
                original(message, category, *where, **more)

            warnings.showwarning = show
            for logger in loggers:
                logger.addHandler(handler)
            try:
                yield
            finally:
                for logger in loggers:
                    logger.removeHandler(handler)

    def _keep(self, category: str, message: str) -> None:
        key = message
        for folder in self._folders:
            key = key.replace(folder, "…")
        key = re.sub(r"0x[0-9a-fA-F]+|\d+", "…", key)[:_LONGEST]
        if len(self.entries) < _MOST_WARNINGS and all(entry["key"] != key for entry in self.entries):
            text = message.strip()[:_LONGEST]
            self.entries.append({"phase": self._phase, "category": category, "message": text, "key": key})
