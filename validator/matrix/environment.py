"""One environment of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class Environment:
    """What is installed, and with which variables a worker starts. `axes` is its place in the matrix."""

    name: str
    python: str
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    legacy: bool = False
    backend: str = "tensorflow"
    axes: tuple[tuple[str, str], ...] = ()
    constraints: tuple[str, ...] = ()

    @property
    def keras(self) -> Version | None:
        """The version of Keras that is asked for; None where only the resolver will know, and for legacy."""
        if self.legacy:
            return None
        for line in (*self.requirements, *self.constraints):
            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                continue
            if canonicalize_name(requirement.name) != "keras":
                continue
            for specifier in requirement.specifier:
                if specifier.operator == "==" and not specifier.version.endswith(".*"):
                    return _version(specifier.version)
        return None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
