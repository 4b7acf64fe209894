"""Runs the real worker in a real environment, many jobs at a time: importing Keras is most of the cost."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from validator.failure import Failure
from validator.runner import Capture, read_capture
from validator.runner.captures import Response
from validator.storage.tensors import StoredTensor, open_tensors

WORKER = Path(__file__).parents[2] / "validator" / "worker"
MODELS = Path(__file__).parent / "models"
FEATURES = np.arange(40, dtype=np.float32).reshape(10, 4) / 10


def record(folder: Path, tensors: dict[str, np.ndarray], **manifest: object) -> str:
    """Write a recording; arrays of str are strings. `manifest` overrides its fields."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for number, (name, array) in enumerate(tensors.items()):
        entry: dict[str, Any] = {"name": name, "shape": list(array.shape)}
        if array.dtype.kind == "U":
            items = [item.encode() for item in array.ravel().tolist()]
            (folder / f"{number}.utf8").write_bytes(b"".join(items))
            offsets = np.cumsum([0, *map(len, items)], dtype=np.int64)
            np.save(folder / f"{number}.offsets.npy", offsets)
            files = {"path": f"{number}.utf8", "offsets": f"{number}.offsets.npy"}
            entries.append({**entry, "storage": "utf8", "dtype": "string", **files})
        else:
            np.save(folder / f"{number}.npy", array)
            entries.append({**entry, "storage": "npy", "dtype": array.dtype.name, "path": f"{number}.npy"})
    samples = len(next(iter(tensors.values())))
    whole = {"schema": 1, "samples": samples, "source": "test", "tensors": entries, **manifest}
    (folder / "manifest.json").write_text(json.dumps(whole))
    return str(folder)


def job(identity: str, folder: Path, **fields: object) -> dict[str, Any]:
    """A job of a request with everything not named left at its default."""
    return {
        "id": identity,
        "folder": str(folder / identity.replace(" ", "-")),
        "artifact": None,
        "builder": None,
        "builder_arguments": {},
        "weights": None,
        "custom_objects": [],
        "safe_mode": True,
        "compile": True,
        "signature": "serving_default",
        "variant": {"precision": "as-saved", "jit": "as-saved"},
        "labels": None,
        "batch_size": 4,
        "evaluate": True,
        **fields,
    }


@dataclass(frozen=True)
class Environment:
    """An installed environment and the variables it needs."""

    name: str
    python: Path

    @property
    def legacy(self) -> bool:
        return self.name == "legacy"

    @property
    def is_keras_2(self) -> bool:
        return self.legacy or self.name.startswith("keras-2.")

    @property
    def backend(self) -> str:
        return next((name for name in ("jax", "torch") if self.name.endswith(f"-{name}")), "tensorflow")

    def variables(self, **more: str) -> dict[str, str]:
        own = {"TF_CPP_MIN_LOG_LEVEL": "2", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
        own.update({"KERAS_BACKEND": self.backend} if self.backend != "tensorflow" else {})
        return {**own, **({"TF_USE_LEGACY_KERAS": "1"} if self.legacy else {}), **more}

    def run(self, script: Path, *arguments: object) -> None:
        command = [str(self.python), str(script), *map(str, arguments)]
        subprocess.run(command, env=self.variables(), check=True, capture_output=True, timeout=600)

    def work(
        self,
        folder: Path,
        jobs: list[dict[str, Any]],
        *,
        legacy: bool | None = None,
        paths: list[str] | None = None,
        memory: int | None = None,
        **variables: str,
    ) -> subprocess.CompletedProcess[str]:
        """Write a request into the folder and run one worker on it. `paths`: further places of modules."""
        request = {
            "schema": 1,
            "environment": self.name,
            "legacy": self.legacy if legacy is None else legacy,
            "backend": self.backend,
            "pythonpath": [str(MODELS), *(paths or [])],
            "seed": 0,
            "memory": memory,
            "jobs": jobs,
        }
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "request.json").write_text(json.dumps(request))
        return subprocess.run(
            [str(self.python), "-I", str(WORKER)],
            input=f"{folder / 'request.json'}\n",
            env=self.variables(**variables),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )


@dataclass(frozen=True)
class Results:
    """What a worker left in a folder."""

    environment: Environment
    folder: Path
    process: subprocess.CompletedProcess[str]

    def __getitem__(self, identity: str) -> Response:
        """What a job answered; it must have succeeded."""
        capture = read_capture(self.path(identity))
        assert isinstance(capture, Capture), f"{identity}: {capture}: {self.process.stderr[-2000:]}"
        return capture.response

    def path(self, identity: str) -> Path:
        return self.folder / identity.replace(" ", "-")

    def tensors(self, identity: str) -> dict[str, StoredTensor]:
        """The outputs of a job that must have succeeded."""
        return {tensor.name: tensor for tensor in open_tensors(self[identity].outputs, self.path(identity))}

    def array(self, identity: str, output: str = "output") -> np.ndarray:
        tensor = self.tensors(identity)[output]
        return tensor.open().values.reshape(tensor.shape)

    def strings(self, identity: str, output: str = "output") -> list[bytes]:
        tensor = self.tensors(identity)[output]
        return tensor.open().strings(0, tensor.size)

    def failure(self, identity: str) -> tuple[str, str, str]:
        """Stage, error and message of a job that must have failed."""
        failure = read_capture(self.path(identity))
        assert isinstance(failure, Failure), f"{identity} did not fail"
        return failure.stage, failure.error, failure.message
