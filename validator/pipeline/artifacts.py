"""What a model's place is, and the file or folder that a worker loads of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from validator.config import Settings, is_remote, with_files
from validator.config.references import may_be_folder
from validator.config.settings import ModelSettings
from validator.documents import open_regular
from validator.inputs import read_mlflow
from validator.inputs.mlflow import ABOUT
from validator.remote import digest
from validator.storage.archives import is_unzipped, pack

_LFS = b"version https://git-lfs"
_POINTER_BYTES = 1024  # the most that a pointer of Git LFS has
_MOST_FILES = 1000


def loadable(path: Path, packed: Path) -> Path:
    """What a worker loads: of an MLflow model what is inside, of an unzipped folder a packed file.

    Args:
        path: of the model.
        packed: a folder for the file, which is named by its content.

    Raises:
        ConfigurationError: an MLflow model is of another framework, or weights are missing.
    """
    if (path / ABOUT).is_file():
        path = read_mlflow(path).artifact
    if not path.is_dir() or not is_unzipped(path):
        return path
    target = packed / f"{path.name}-{digest(path)[:16]}.keras"
    if not target.is_file():
        pack(path, target)
    return target


def as_planned(settings: Settings, folder: Path) -> Settings:
    """The settings with the names of archives where a place is not known to be a SavedModel.

    The plan leaves out what a SavedModel cannot do, and takes every name without an ending for one.
    """
    models = tuple(_as_planned(model, folder) for model in settings.models)
    return settings.model_copy(update={"models": models})


def _as_planned(model: ModelSettings, folder: Path) -> ModelSettings:
    place = model.artifact
    if place is None or not may_be_folder(place):
        return model
    path = folder / place
    if not is_remote(place) and not (path / ABOUT).is_file() and not (path / "config.json").is_file():
        return model
    if any(islice(path.rglob("saved_model.pb"), 1)):
        return model
    return with_files(model, {"artifact": f"{place}/model.keras"})


def pointer(path: Path) -> Path | None:
    """The pointer of Git LFS that stands in for a file, or for one in a folder; None where there is none."""
    return next((file for file in islice(_small_files(path), _MOST_FILES) if _is_pointer(file)), None)


def _small_files(path: Path) -> Iterator[Path]:
    files = [path] if path.is_file() else path.rglob("*")
    yield from (file for file in files if file.is_file() and file.stat().st_size <= _POINTER_BYTES)


def _is_pointer(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(len(_LFS)) == _LFS
