"""Which requirements an environment is built from: the common ones, those of its axes, and its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from validator.config.settings import Settings
from validator.errors import ConfigurationError
from validator.matrix.environment import version_of
from validator.upgrade import Requirements, read_requirements

#: Distributions that are TensorFlow itself. Two of them in one environment overwrite each other's files.
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel", "tensorflow-rocm")
#: Nightly builds of it, which have the same files and depend on keras-nightly.
TENSORFLOW_NIGHTLIES = ("tf-nightly", "tf-nightly-cpu")
#: Distributions that are the same module: its releases, and its nightly builds.
KERAS_NIGHTLIES = {"keras": "keras-nightly", "tf-keras": "tf-keras-nightly"}
_NEVER = " ; sys_platform == 'never'"


def common_requirements(settings: Settings, folder: Path) -> Requirements:
    """What every environment of the matrix is built from: the settings' list, or the file that they name.

    `folder` is where the validator.yml lies; a relative path starts in it.
    """
    if isinstance(settings.requirements, str):
        return read_requirements(folder / settings.requirements)
    return Requirements(requirements=settings.requirements)


def environment_requirements(
    common: Sequence[str], axes: Mapping[str, str], own: Sequence[str], reference: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The requirements of one environment, and the overrides that keep it from gaining a second TensorFlow.

    Args:
        common: requirements of every environment, as strings of PEP 508.
        axes: where the environment stands, for example `{"keras": "3.5.0", "backend": "jax"}`.
        own: requirements that replace those of the same name or are added.
        reference: the Keras 3 that is installed beside tf-keras, which depends on one but does not use it.
    """
    chosen = {_name(line): line for line in (*common, *own)}
    tensorflow = next((name for name in TENSORFLOWS if name in chosen), None)
    if "tensorflow" in axes:
        tensorflow = tensorflow or "tensorflow"
        chosen[tensorflow] = f"{tensorflow}=={axes['tensorflow']}"
    added = _keras(axes["keras"], chosen.get(tensorflow) if tensorflow else None, reference)
    backend = axes.get("backend", "tensorflow")
    if backend != "tensorflow":
        added.append(backend)
    for line in added:
        # what the user wrote wins, except over the axis itself
        if line.startswith("keras==") and axes["keras"] != "legacy":
            chosen[_name(line)] = line
        else:
            chosen.setdefault(_name(line), line)
    return tuple(chosen.values()), tensorflow_overrides({tensorflow} if tensorflow else ())


def tensorflow_overrides(names: Collection[str]) -> tuple[str, ...]:
    """The override that keeps `tensorflow` out where another of `TENSORFLOWS` is among the packages.

    tf-keras and keras-nlp depend on `tensorflow`; beside tensorflow-cpu that would be the same files twice.
    """
    others = (*TENSORFLOWS, *TENSORFLOW_NIGHTLIES)
    another = "tensorflow" not in names and any(name in names for name in others)
    return (f"tensorflow{_NEVER}",) if another else ()


def keras_overrides(names: Collection[str]) -> tuple[str, ...]:
    """The overrides that keep a module from being installed twice: a release, and a nightly build over it.

    TensorFlow depends on keras, its release candidates and nightly builds on keras-nightly: what the packages
    name is what stays.
    """
    tensorflow = any(name in names for name in (*TENSORFLOWS, *TENSORFLOW_NIGHTLIES))
    unwanted = []
    for release, night in KERAS_NIGHTLIES.items():
        if night in names and release not in names:
            unwanted.append(release)
        elif release in names and night not in names and tensorflow:
            unwanted.append(night)
    return tuple(f"{name}{_NEVER}" for name in unwanted)


def _keras(version: str, tensorflow: str | None, reference: str | None) -> list[str]:
    if version == "legacy":
        pinned = _pin(tensorflow)
        line = f"tf-keras~={pinned.major}.{pinned.minor}.0" if pinned else "tf-keras"
        return [line] + ([f"keras=={reference}"] if reference else [])
    lines = [f"keras=={version}"]
    parsed = version_of(version)
    if parsed is None:
        raise ConfigurationError(f"matrix.keras: {version!r} is neither a version nor `legacy`")
    if Version("3") <= parsed < Version("3.5"):
        lines.append("packaging")  # imported there without being declared
    if Version("3") <= parsed < Version("3.1"):
        lines.append("dm-tree")  # likewise
    return lines


def _pin(line: str | None) -> Version | None:
    specifiers = Requirement(line).specifier if line is not None else ()
    pinned = (each.version.removesuffix(".*") for each in specifiers if each.operator in {"==", "~="})
    return next(map(Version, pinned), None)


def _name(line: str) -> str:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"requirement {line!r} cannot be read: {reason}") from None
