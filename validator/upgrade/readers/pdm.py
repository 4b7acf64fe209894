"""pdm.lock."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Source
from validator.upgrade.readers.locked import locked
from validator.upgrade.readers.poetry import LockedFile, hashes_of
from validator.upgrade.text import Document, Lines, parse_toml, show, validated


class _Package(Document):
    name: str = ""
    version: str = ""
    groups: list[str] = ["default"]
    marker: str = ""
    files: list[LockedFile] = []
    dependencies: list[str] = []
    git: str = ""
    revision: str = ""
    url: str = ""
    path: str = ""

    @property
    def address(self) -> str:
        return f"git+{self.git}@{self.revision}" if self.git else self.url or self.path

    @property
    def sections(self) -> tuple[str, ...]:
        """The extras and groups that ask for it: the lock calls both a group."""
        groups = () if "default" in self.groups else map(canonicalize_name, self.groups)
        return tuple(f"{kind}:{group}" for group in groups for kind in ("extra", "group"))


class _Lock(Document):
    package: list[_Package] = []


def read_lock(source: Source, _files: Files) -> DependencyManifest:
    """Return a pdm.lock."""
    lock = validated(_Lock, parse_toml(source.text, source.where), source.where)
    needed = {_name(text, source) for package in lock.package for text in package.dependencies}
    lines = Lines(source.text).blocks("[[package]]", len(lock.package))
    pins = []
    for package, line in zip(lock.package, lines, strict=True):
        pin = locked(source, package.name, package.version, package.address, package.marker)
        facts = {"line": line, "direct": pin.name not in needed, "sections": package.sections}
        pins.append(pin.model_copy(update={**facts, "hashes": hashes_of(package.files)}))
    return DependencyManifest(path=source.path, kind="pdm-lock", pins=tuple(pins))


def _name(text: str, source: Source) -> str:
    try:
        return canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        raise ConfigurationError(f"{source.where}: {show(text)!r} is not a requirement.") from None
