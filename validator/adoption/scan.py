"""What lies in a folder: models, recorded inputs, manifests, code. Nothing is loaded or run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from validator.catalogue.description import Description
from validator.catalogue.reading import read_description
from validator.errors import ConfigurationError
from validator.inputs import read_mlflow
from validator.inputs.savedmodel import read_saved_model
from validator.pipeline.artifacts import pointer
from validator.storage.archives import is_preset
from validator.upgrade import read_manifest_pins

Kind = Literal["keras", "keras-folder", "preset", "h5", "savedmodel"]
_FOREIGN = frozenset(
    {"node_modules", "site-packages", "venv", "env", "build", "dist", "__pycache__", "variables", "assets"}
)
_MOST_FILES = 50_000
_FRAMEWORKS = ("keras", "tf-keras", "tensorflow", "tensorflow-cpu", "tensorflow-macos", "jax", "torch")


@dataclass(frozen=True)
class Artifact:
    """A model on disk.

    Attributes:
        path: the file or folder.
        keras: the release that saved it; empty where it does not say.
        tensorflow: the version that wrote a SavedModel; empty for anything else.
        example: MLflow's recorded input; None without one.
        requirements: the packages that MLflow logged it with; None without.
        description: its layers, without any where only a graph is known.
        named: what it is called, where its path does not say.
        address: where it lies, if elsewhere; `path` is then in the cache.
    """

    path: Path
    kind: Kind
    description: Description = field(repr=False)
    keras: str = ""
    tensorflow: str = ""
    example: Path | None = None
    requirements: Path | None = None
    named: str = ""
    address: str = ""

    @property
    def name(self) -> str:
        """What to call the model."""
        stem = self.named or self.path.name
        for end in (".keras", ".h5", ".hdf5"):
            stem = stem.removesuffix(end)
        return stem


@dataclass(frozen=True)
class Scan:
    """What was found. `skipped`: what looks like a model and cannot be used, with why, a sentence each.

    `pins`: package → its version, of frameworks that a manifest pins exactly; `asked`: all frameworks that a
    manifest names; `manifest`: which one.
    """

    folder: Path
    artifacts: tuple[Artifact, ...] = ()
    skipped: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    pins: Mapping[str, str] = field(default_factory=dict)
    requirements: Mapping[str, str] = field(default_factory=dict)
    manifest: str = ""

    @property
    def sources(self) -> tuple[Path, ...]:
        """The Python files."""
        return tuple(path for path in self.files if path.suffix == ".py")


def scan(folder: Path) -> Scan:
    """Look through a folder and those below it.

    Raises:
        ConfigurationError: it is no folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder; name the folder of your repository")
    artifacts, skipped = [], []
    files = tuple(_walk(folder))
    for place in _candidates(folder, files):
        try:
            artifacts.append(read_artifact(place))
        except (ConfigurationError, OSError, ValueError) as error:
            skipped.append(str(error))
    requirements, pins, manifest = _manifests(folder, files)
    return Scan(folder, tuple(artifacts), tuple(skipped), files, pins, requirements, manifest)


def _walk(folder: Path) -> Iterator[Path]:
    count = 0
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and (name not in _FOREIGN or name == "assets")
        )
        if (Path(root) / "pyvenv.cfg").is_file():
            folders[:] = []
            continue
        for name in sorted(files):
            count += 1
            if count > _MOST_FILES:
                return
            yield Path(root, name)


def _candidates(folder: Path, files: Sequence[Path]) -> Iterator[Path]:
    """Files and folders that look like a model; nothing inside another one."""
    taken: list[Path] = []
    marks = ("MLmodel", "saved_model.pb", "metadata.json", "tf_model.h5")
    for path in [each for mark in marks for each in files if each.name == mark]:
        root = path.parent
        keras = path.name != "metadata.json" or (root / "config.json").is_file()
        if keras and not any(root.is_relative_to(other) for other in taken):
            taken.append(root)
            yield root
    for path in files:
        within = any(path.is_relative_to(other) for other in taken)
        if path.suffix in (".keras", ".h5", ".hdf5") and not path.name.endswith(".weights.h5") and not within:
            yield path


def read_artifact(place: Path) -> Artifact:
    """The model that a file or folder holds.

    Raises:
        ConfigurationError: it holds none, or cannot be read.
    """
    stand_in = pointer(place)
    if stand_in is not None:
        raise ConfigurationError(f"{stand_in} is a pointer of Git LFS; run `git lfs pull`")
    if (place / "MLmodel").is_file():
        return _mlflow(place)
    if (place / "saved_model.pb").is_file():
        described = read_description(place)
        version = read_saved_model(place).tensorflow
        return Artifact(place, "savedmodel", described, described.keras, version)
    if (place / "tf_model.h5").is_file():
        raise ConfigurationError(
            f"{place}: a model of Hugging Face's transformers is built by its own code; name a `builder`"
        )
    described = read_description(place)
    if place.is_dir():
        return Artifact(place, "preset" if is_preset(place) else "keras-folder", described, described.keras)
    kind: Kind = "keras" if place.suffix == ".keras" else "h5"
    return Artifact(place, kind, described, described.keras)


def _mlflow(folder: Path) -> Artifact:
    """The model that an MLflow folder holds, with its input example."""
    logged = read_mlflow(folder)
    return replace(
        read_artifact(logged.artifact),
        example=logged.example,
        requirements=logged.requirements,
        named=folder.name,
    )


def read_pins(manifest: Path) -> dict[str, str]:
    """Package → version, of those that a manifest pins exactly."""
    return {name: pin.version for name, pin in read_manifest_pins(manifest).items() if pin.version}


def _manifests(folder: Path, files: Sequence[Path]) -> tuple[dict[str, str], dict[str, str], str]:
    """What the manifest that names a framework asks for, its exact versions, and which it is."""
    best: tuple[dict[str, str], dict[str, str], str] = {}, {}, ""
    for path in sorted(files, key=lambda path: (len(path.relative_to(folder).parts), path.name)):
        pins = read_manifest_pins(path)
        if not any(name in pins for name in _FRAMEWORKS):
            continue
        exact = read_pins(path)
        requirements = {name: pin.text for name, pin in pins.items()}
        known = sum(name in exact for name in _FRAMEWORKS)
        if not best[2] or known > sum(name in best[1] for name in _FRAMEWORKS):
            best = requirements, exact, path.relative_to(folder).as_posix()
    return best
