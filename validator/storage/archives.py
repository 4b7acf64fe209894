"""Folders of Keras models: an unzipped `.keras`, which is packed again, and the presets of KerasHub."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from validator.documents import read_json
from validator.errors import ConfigurationError

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_SHARDS = "model.weights.json"  # lists the files of weights that are stored in parts (Keras 3.11)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def is_preset(folder: Path) -> bool:
    """Whether a folder is a preset of KerasHub: it says so, or has the configuration of a task."""
    if not (folder / _CONFIG).is_file():
        return False
    if (folder / "task.json").is_file():
        return True
    try:
        about = read_json(folder / _METADATA)
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and ("keras_hub_version" in about or "keras_nlp_version" in about)


def is_unzipped(folder: Path) -> bool:
    """Whether a folder holds what a `.keras` file holds."""
    return (
        (folder / _CONFIG).is_file()
        and not (folder / "saved_model.pb").is_file()
        and any(folder.glob("*.weights.h5"))
        and not is_preset(folder)
    )


def pack(folder: Path, target: Path) -> None:
    """Write the `.keras` file of an unzipped folder, which every release of Keras 3 loads; atomically.

    Raises:
        ConfigurationError: it is not clear which file has the weights.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    with zipfile.ZipFile(partial, "w") as archive:
        for path, name in _members(folder):
            with (
                path.open("rb") as source,
                archive.open(zipfile.ZipInfo(name, _EPOCH), "w", force_zip64=True) as to,
            ):
                while piece := source.read(1 << 20):
                    to.write(piece)
    partial.replace(target)


def _members(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files, and what an archive calls each."""
    for name in (_CONFIG, _METADATA, _SHARDS):
        if (folder / name).is_file():
            yield folder / name, name
    weights = sorted(folder.glob("*.weights.h5"))
    if (folder / _SHARDS).is_file():
        yield from ((path, path.name) for path in weights)
    else:
        yield _only(folder, weights), _WEIGHTS
    for path in sorted((folder / "assets").rglob("*")):
        if path.is_file():
            yield path, path.relative_to(folder).as_posix()


def _only(folder: Path, weights: list[Path]) -> Path:
    if folder / _WEIGHTS in weights:
        return folder / _WEIGHTS
    if len(weights) != 1:
        names = ", ".join(path.name for path in weights)
        raise ConfigurationError(f"{folder}: which of {names} has the weights? name it {_WEIGHTS}")
    return weights[0]
