"""One environment of a plan."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from validator.upgrade import name_of, pinned


@dataclass(frozen=True)
class Environment:
    """What is installed, and with which variables a worker starts.

    `axes` is its place in the matrix. `interpreter`: of an environment that is there already, and is used as
    it is. `hashes` are those of the files that may be installed, by `name==version`, or by name for a
    reference. `like` names the environment whose installation it shares; with `base_files`, models run in it
    as the base commit has them.
    """

    name: str
    python: str
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    legacy: bool = False
    backend: str = "tensorflow"
    axes: tuple[tuple[str, str], ...] = ()
    constraints: tuple[str, ...] = ()
    interpreter: str = ""
    hashes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    like: str = ""
    base_files: bool = False

    @property
    def installed_as(self) -> str:
        """The name of its installation."""
        return self.like or self.name

    @property
    def keras(self) -> Version | None:
        """The version of Keras that is asked for; None where only the resolver will know, and for legacy."""
        lines = () if self.legacy else (*self.requirements, *self.constraints)
        versions = (pinned(line) for line in lines if name_of(line) == "keras")
        return next((version_of(version) for version in versions if version is not None), None)


#: A version inside a name, and what stands around it.
_VERSION = re.compile(r"(\d{1,9}(?:\.\d{1,9})*(?:(?:a|b|rc)\d{1,9})?(?:\.post\d{1,9})?(?:\.?dev\d{1,9})?)")


def by_version(name: str) -> tuple[str | Version, ...]:
    """The key by which names are sorted: `keras-3.10.0` after `keras-3.10.0rc1` and `keras-3.9.2`."""
    return tuple(Version(part) if at % 2 else part for at, part in enumerate(_VERSION.split(name)))


def version_of(text: str) -> Version | None:
    """A version; None for `legacy` and whatever else is none."""
    try:
        return Version(text)
    except InvalidVersion:
        return None
