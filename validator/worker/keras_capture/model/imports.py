"""Imports the Keras that is to be tested; proves which one it is, and on what it runs."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import List, Optional, Tuple

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.recurrent import without_gpu_variants
from keras_capture.wire.files import write_json
from keras_capture.wire.forking import choose_isolation
from keras_capture.wire.request import Request

_X86 = ("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
_AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16")
_ARM = ("asimd", "asimddp", "asimdhp", "fphp", "bf16", "i8mm", "sve", "sve2")
#: Instruction sets that choose kernels: numbers differ with them on otherwise equal machines.
_FEATURES = frozenset((*_X86, *_AVX512, *_ARM))


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
        return getattr(self.keras, "__version__", "") or packages().get(self.name.replace("_", "-"), "")

    @property
    def is_keras_2(self) -> bool:
        """Whether this is the Keras of before the rewrite: 2.15, or tf_keras."""
        return self.version.startswith("2.")

    @property
    def on_tensorflow(self) -> bool:
        """Whether models compute with TensorFlow."""
        return self.backend == "tensorflow"

    def set_seed(self) -> None:
        """Seed Python, NumPy and the backend. Computes with the backend: never before a fork."""
        self.keras.utils.set_random_seed(self.seed)

    @contextlib.contextmanager
    def kept_policy(self) -> Iterator[None]:
        """The global dtype policy and default dtype, which loading may set, are as before afterwards."""
        policy = self.keras.mixed_precision.global_policy()
        floatx = self.keras.backend.floatx()
        try:
            yield
        finally:
            self.keras.backend.set_floatx(floatx)
            self.keras.mixed_precision.set_global_policy(policy)


def layers_of(owner: object) -> List[object]:
    """A layer or model and all layers in it, inner ones after those around them; none of an operation."""
    # Private, of every layer in Keras 2.15, tf_keras 2.17 and Keras 3.3.3 to 3.15.1; `Model.layers` has only
    # the outer ones: https://github.com/keras-team/keras/blob/v3.3.3/keras/src/layers/layer.py#L1390
    flatten = getattr(owner, "_flatten_layers", None)
    return list(flatten(include_self=True, recursive=True)) if flatten else []


def import_keras(request: Request, folder: Path) -> Tuple[Optional[Framework], str]:
    """Import Keras, computing nothing, and write `environment.json`.

    Gives what was imported, and the isolation of jobs (`fork` or `process`); None and "" when the import
    failed.
    """
    facts = {"schema": 1, "packages": packages(), "python": platform.python_version()}
    facts.update(cpu=cpu(), backend="", keras=None, isolation=None, failure=None)
    framework = None
    try:
        with stage("import"):
            imported = import_framework(request)
            # What shows who really runs.
            facts.update(keras={"module": imported.name, "version": imported.version})
            facts.update(backend=imported.backend, isolation=choose_isolation())
            framework = imported
    except StageError as failed:
        facts["failure"] = failed.as_dict()
    write_json(folder / "environment.json", facts)
    return framework, facts["isolation"] or ""


def import_framework(request: Request) -> Framework:
    """Import the Keras that is found first, and make sure that it is the one that was asked for."""
    # TensorFlow reads the variable in this way when it decides what tf.keras is.
    asked = os.environ.get("TF_USE_LEGACY_KERAS", "") in ("1", "true", "True")
    if asked != request.legacy:
        required = "set to 1" if request.legacy else "unset"
        raise UnusableError(
            f"TF_USE_LEGACY_KERAS must be {required} in the environment {request.environment!r}"
        )
    if request.legacy:
        import tensorflow
        import tf_keras as keras

        layers = tensorflow.keras.layers
    else:
        import keras

        layers = keras.layers
    running = layers.Layer.__module__.partition(".")[0]
    if running != keras.__name__:
        raise UnusableError(f"the layers of Keras come from {running!r}, not from {keras.__name__!r}")
    backend = keras.backend.backend()
    if backend != request.backend:
        raise UnusableError(f"the environment is for the backend {request.backend!r}, Keras runs {backend!r}")
    framework = Framework(keras, backend, request.seed)
    if framework.is_keras_2:
        without_gpu_variants(keras)
    _check_expected(framework, request)
    return framework


def _check_expected(framework: Framework, request: Request) -> None:
    """Refuse to run under anything but what the environment's name promises."""
    expected, running = request.expected, platform.python_version_tuple()
    keras, python = expected.get("keras"), str(expected.get("python") or "").split(".")
    installed = packages().get(framework.name.replace("_", "-"), framework.version)
    wrong = [
        f"{what} is {version}, not {keras}"
        for what, version in (("Keras", framework.version), ("the installed keras", installed))
        if keras not in (None, version)
    ]
    if all(part.isdecimal() for part in python) and running[: len(python)] != tuple(python):
        wrong.append(f"Python is {platform.python_version()}, not {'.'.join(python)}")
    for name, value in dict(expected.get("variables") or {}).items():
        if os.environ.get(name) != value:
            wrong.append(f"the variable {name} is {os.environ.get(name)!r}, not {value!r}")
    if wrong:
        raise UnusableError(
            f"{sys.prefix} is not the environment {request.environment!r}: {'; '.join(wrong)}; "
            "delete its folder and run again"
        )


def packages() -> dict:
    """Version of every installed distribution, by normalised name; the first on the path counts."""
    versions = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return dict(sorted(versions.items()))


def cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> dict:
    """Model and instruction sets of the processor."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""  # not Linux
    fields = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = (fields.get("flags") or fields.get("features") or "").split()
    return {
        "model": fields.get("model name") or platform.processor() or platform.machine(),
        "features": sorted(_FEATURES.intersection(flags)),
    }
