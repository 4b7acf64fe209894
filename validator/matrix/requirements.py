"""Which requirements an environment is built from: the common ones, those of its axes, and its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from validator.errors import ConfigurationError

#: Distributions that are TensorFlow itself. Two of them in one environment overwrite each other's files.
TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos", "tensorflow-intel", "tensorflow-rocm")


def environment_requirements(
    common: Sequence[str], axes: Mapping[str, str], own: Sequence[str], reference: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The requirements of one environment, and the overrides that keep it from gaining a second TensorFlow.

    Args:
        common: requirements of every environment, as strings of PEP 508.
        axes: where the environment stands, for example `{"keras": "3.5.0", "backend": "jax"}`.
        own: requirements that replace the ones of the same name or are added.
        reference: the Keras 3 that is installed beside tf-keras, which depends on one but does not use it.

    Raises:
        ConfigurationError: a requirement cannot be read.
    """
    chosen = {_name(line): line for line in common}
    chosen.update({_name(line): line for line in own})
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
    # tf-keras and keras-nlp depend on `tensorflow`; beside tensorflow-cpu that is the same files once more
    overrides = ("tensorflow ; sys_platform == 'never'",) if tensorflow not in {None, "tensorflow"} else ()
    return tuple(chosen.values()), overrides


def _keras(version: str, tensorflow: str | None, reference: str | None) -> list[str]:
    if version == "legacy":
        pinned = _pin(tensorflow)
        line = f"tf-keras~={pinned.major}.{pinned.minor}.0" if pinned else "tf-keras"
        return [line] + ([f"keras=={reference}"] if reference else [])
    lines = [f"keras=={version}"]
    try:
        parsed = Version(version)
    except InvalidVersion:
        raise ConfigurationError(f"matrix.keras: {version!r} is neither a version nor `legacy`") from None
    if Version("3") <= parsed < Version("3.5"):
        lines.append("packaging")  # imported there without being declared
    if Version("3") <= parsed < Version("3.1"):
        lines.append("dm-tree")  # likewise
    return lines


def _pin(line: str | None) -> Version | None:
    if line is None:
        return None
    for specifier in Requirement(line).specifier:
        if specifier.operator in {"==", "~="}:
            return Version(specifier.version.removesuffix(".*"))
    return None


def _name(line: str) -> str:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"requirement {line!r} cannot be read: {reason}") from None


def read_requirements(path: Path) -> tuple[str, ...]:
    """The requirements of a plain requirements file: one a line, comments and blank lines left out.

    Raises:
        ConfigurationError: the file is missing, or a line is an option, which belongs into `install`.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise ConfigurationError(f"requirements: {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"requirements: {path} cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, 1):
        text = line.split(" #", 1)[0].strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("-"):
            raise ConfigurationError(
                f"{path} line {number}: {text!r} is an option; indexes and links belong into `install`"
            )
        _name(text)
        found.append(text)
    return tuple(found)
