"""Imports the Keras that is to be tested, and proves which one it is."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Optional

from keras_capture import machine
from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.files import write_json
from keras_capture.request import Request


@dataclass(frozen=True)
class Framework:
    """The Keras whose layers really run."""

    keras: ModuleType
    backend: str
    seed: int

    @property
    def name(self) -> str:
        """`keras`, or `tf_keras` under legacy."""
        return self.keras.__name__

    @property
    def version(self) -> str:
        """The version, as the package itself says."""
        return getattr(self.keras, "__version__", "") or machine.packages().get(
            self.name.replace("_", "-"), ""
        )

    @property
    def is_keras_2(self) -> bool:
        """Whether this is the Keras of before the rewrite: 2.15, or tf_keras."""
        return self.version.startswith("2.")

    @property
    def on_tensorflow(self) -> bool:
        """Whether models compute with TensorFlow."""
        return self.backend == "tensorflow"

    def policy(self) -> str:
        """Name of the global dtype policy."""
        return self.keras.mixed_precision.global_policy().name

    @contextlib.contextmanager
    def fresh(self) -> Iterator[None]:
        """A clean slate, and one afterwards: no job may see what another left, whatever their order."""
        policy = self.keras.mixed_precision.global_policy()
        floatx = self.keras.backend.floatx()
        self.keras.utils.set_random_seed(self.seed)
        try:
            yield
        finally:
            gc.collect()
            self.keras.backend.clear_session()
            self.keras.backend.set_floatx(floatx)
            self.keras.mixed_precision.set_global_policy(policy)


def import_keras(request: Request, folder: Path) -> Optional[Framework]:
    """Import Keras and write `environment.json`. None when it failed; the file then says why."""
    begin = time.perf_counter()
    facts = {"schema": 1, "environment": request.environment, **machine.describe()}
    facts.update({"packages": machine.packages(), "seed": request.seed, "keras": None, "failure": None})
    framework = None
    try:
        with stage("import"):
            framework = _import(request)
            facts.update(_proof(framework))
    except StageError as failed:
        framework = None
        facts["failure"] = failed.as_dict()
    facts["seconds"] = round(time.perf_counter() - begin, 3)
    write_json(folder / "environment.json", facts)
    return framework


def _import(request: Request) -> Framework:
    # TensorFlow reads the variable in this way when it decides what tf.keras is.
    asked = os.environ.get("TF_USE_LEGACY_KERAS", "") in ("1", "true", "True")
    if asked != request.legacy:
        wanted = "set to 1" if request.legacy else "unset"
        raise UnusableError(
            f"TF_USE_LEGACY_KERAS must be {wanted} in the environment {request.environment!r}"
        )
    keras = _legacy() if request.legacy else _plain()
    backend = keras.backend.backend()
    if backend != request.backend:
        raise UnusableError(f"the environment is for the backend {request.backend!r}, Keras runs {backend!r}")
    return Framework(keras, backend, request.seed)


def _legacy() -> ModuleType:
    import tensorflow
    import tf_keras

    running = tensorflow.keras.layers.Layer.__module__.partition(".")[0]
    if running != "tf_keras":
        raise UnusableError(f"the environment is legacy, but tf.keras is {running!r}, not tf_keras")
    return tf_keras


def _plain() -> ModuleType:
    import keras

    running = keras.layers.Layer.__module__.partition(".")[0]
    if running != "keras":
        raise UnusableError(f"the environment is not legacy, but the layers of Keras come from {running!r}")
    return keras


def _proof(framework: Framework) -> dict:
    """What shows who really runs, and with which switches."""
    return {
        "keras": {
            "module": framework.name,
            "version": framework.version,
            "file": getattr(framework.keras, "__file__", None) or "",
        },
        "backend": framework.backend,
        "threads": _threads(framework),
        "onednn": _onednn(framework),
        "jit": _jit(framework),
        "floatx": framework.keras.backend.floatx(),
        "policy": framework.policy(),
    }


def _threads(framework: Framework) -> dict:
    """Thread counts as the runner set them; 0 means that the library decides."""
    if framework.backend == "torch":
        import torch

        return {"intra": torch.get_num_threads(), "inter": torch.get_num_interop_threads()}
    counts = {"intra": "TF_NUM_INTRAOP_THREADS", "inter": "TF_NUM_INTEROP_THREADS"}
    asked = {name: os.environ.get(variable, "") for name, variable in counts.items()}
    return {name: int(value) if value.isdigit() else 0 for name, value in asked.items()}


def _onednn(framework: Framework) -> Optional[bool]:
    if framework.backend == "torch":
        import torch

        return bool(torch.backends.mkldnn.enabled)
    if not framework.on_tensorflow:
        return None
    try:  # it has no public question for this
        from tensorflow.python.util import _pywrap_util_port

        return bool(_pywrap_util_port.IsMklEnabled())
    except (ImportError, AttributeError):
        return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"


def _jit(framework: Framework) -> str:
    """Keras' default for models that do not say, and XLA's own switches."""
    default = "off" if framework.is_keras_2 else "auto"
    flags = os.environ.get("TF_XLA_FLAGS", "")
    return f"{default}, TF_XLA_FLAGS={flags}" if flags else default
