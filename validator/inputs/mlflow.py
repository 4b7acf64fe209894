"""The folder of an MLflow model: the file or SavedModel in it, its input example, its requirements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from validator.documents import read_bytes
from validator.errors import ConfigurationError

ABOUT = "MLmodel"
_YAML_BYTES = 1 << 20


@dataclass(frozen=True)
class MlflowModel:
    """What an MLflow folder holds; None for `example` and `requirements` where it has none.

    Attributes:
        artifact: a .keras or .h5 file, or the folder of a SavedModel.
        example: a JSON file with recorded inputs.
        requirements: the packages that it was logged with.
    """

    artifact: Path
    example: Path | None
    requirements: Path | None


def read_mlflow(folder: Path) -> MlflowModel:
    """Read the folder of an MLflow model.

    Raises:
        ConfigurationError: it is damaged, or of another framework.
    """
    try:
        about = yaml.safe_load(read_bytes(folder / ABOUT, _YAML_BYTES))
    except (yaml.YAMLError, OSError, ValueError):
        about = None
    if not isinstance(about, dict):
        raise ConfigurationError(f"{folder / ABOUT}: it is not YAML; log the model again")
    flavors = about.get("flavors")
    if not isinstance(flavors, dict) or not {"tensorflow", "keras"} & set(flavors):
        raise ConfigurationError(f"{folder}: an MLflow model of neither Keras nor TensorFlow")
    artifact = next(_artifacts(folder), None)
    if artifact is None:
        raise ConfigurationError(f"{folder}: no .keras, .h5 or SavedModel is in its folder data")
    example = about.get("saved_input_example_info")
    name = str(example.get("artifact_path", "")) if isinstance(example, dict) else ""
    return MlflowModel(artifact, _inside(folder, name), _inside(folder, "requirements.txt"))


def _artifacts(folder: Path) -> Iterator[Path]:
    for pattern in ("**/*.keras", "**/model.h5", "**/*.h5"):
        yield from sorted(path for path in folder.glob(pattern) if not path.name.endswith(".weights.h5"))
    yield from sorted(path.parent for path in folder.rglob("saved_model.pb"))


def _inside(folder: Path, name: str) -> Path | None:
    path = folder / name
    inside = bool(name) and path.is_file() and path.resolve().is_relative_to(folder.resolve())
    return path if inside else None
