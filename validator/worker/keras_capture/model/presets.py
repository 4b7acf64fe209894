"""Presets of KerasHub: folders with the configuration and the weights of a backbone, or of a task."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework
from keras_capture.wire.request import AS_SAVED, Job

WEIGHTS = "model.weights.h5"
#: Packages that load presets, by the field of metadata.json that names their version.
_PACKAGES = {"keras_hub": "keras_hub_version", "keras_nlp": "keras_nlp_version"}


def is_preset(folder: Path) -> bool:
    """Whether a folder says that KerasHub wrote it, or has the configuration of a task."""
    if not (folder / "config.json").is_file():
        return False
    return (folder / "task.json").is_file() or any(field in _metadata(folder) for field in _PACKAGES.values())


def load_preset(framework: Framework, job: Job) -> object:
    """The task or the backbone of a preset, without its preprocessor: inputs are what the network takes."""
    if framework.is_keras_2:
        raise UnusableError(f"{job.artifact} is a preset of KerasHub, which needs Keras 3")
    package = _package(job.artifact)
    precision = {} if job.precision == AS_SAVED else {"dtype": job.precision}
    if not (job.artifact / "task.json").is_file():
        return package.models.Backbone.from_preset(str(job.artifact), **precision)
    name = json.loads((job.artifact / "task.json").read_text(encoding="utf-8")).get("class_name", "")
    task = getattr(package.models, name, None)
    if task is None:
        raise UnusableError(
            f"{package.__name__} {package.__version__} has no task {name!r}; install a newer one"
        )
    return task.from_preset(str(job.artifact), preprocessor=None, **precision)


def _package(folder: Path) -> object:
    saved = _metadata(folder)
    packages = sorted(_PACKAGES, key=lambda name: _PACKAGES[name] not in saved)
    for name in packages:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # it is installed, and lacks what it needs
                raise
    raise UnusableError(
        f"the folder {folder} is a preset of KerasHub, which this environment lacks; "
        f"add {packages[0].replace('_', '-')} to `requirements`"
    )


def _metadata(folder: Path) -> dict:
    try:
        metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}
