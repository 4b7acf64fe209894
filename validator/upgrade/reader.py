"""Which reader reads which kind of manifest, on one side of a pull request or in a folder of this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from pathlib import Path

from validator.errors import ConfigurationError
from validator.upgrade.git import Snapshot
from validator.upgrade.manifest import (
    DependencyManifest,
    Files,
    Kind,
    Pin,
    Source,
    kind_of,
    refuse_injection,
    required_kind,
    texts,
)
from validator.upgrade.readers import (
    conda,
    pdm,
    pipfile,
    poetry,
    pylock,
    pyproject,
    python_version,
    requirement_files,
    setup_cfg,
    uv_lock,
)
from validator.upgrade.text import decode, show
from validator.upgrade.types import Requirements

_INCLUDES = re.compile(rb"(^|\n)[ \t-]*-(r|c|-req|-const)|\bfile\b|requirements-txt")
MAX_MANIFESTS = 2000  # of one side; a repository with more must list its own
_READERS: dict[Kind, Callable[[Source, Files], DependencyManifest]] = {
    "requirements": requirement_files.read,
    "constraints": partial(requirement_files.read, constrain=True),
    "pyproject": pyproject.read,
    "setup-cfg": setup_cfg.read,
    "pylock": pylock.read,
    "uv-lock": uv_lock.read,
    "poetry-lock": poetry.read_lock,
    "pdm-lock": pdm.read_lock,
    "pipfile": pipfile.read,
    "pipfile-lock": pipfile.read_lock,
    "conda": conda.read,
    "python-version": python_version.read,
}


def read(kind: Kind, source: Source, files: Files) -> DependencyManifest:
    """Return what a text says, every pin of it safe to hand to an installer as one line.

    A `ConfigurationError` of any reader names the place: path, side and, where it is known, line.
    """
    manifest = _READERS[kind](source, files)
    for pin in (*manifest.pins, *manifest.constraints):
        refuse_injection(pin, source)
    return manifest


class Reader:
    """Reads the manifests of one side, each once. `kinds` has those of which the name does not say it."""

    def __init__(self, snapshot: Snapshot, same: dict[object, DependencyManifest] | None = None) -> None:
        """Read one side; `same` are the manifests of the other side, which count for this one where equal."""
        self.snapshot = snapshot
        self._same = {} if same is None else same
        self.kinds: dict[str, Kind] = {}
        self._manifests: dict[str, DependencyManifest] = {}

    def manifest(self, name: str) -> DependencyManifest:
        """Return what a manifest says; a `ConfigurationError` names path, side and line."""
        if name not in self._manifests:
            kind = self.kinds.get(name) or required_kind(name)
            entry = self.snapshot.entries.get(name)
            same = (kind, name, entry and entry.oid)
            manifest = self._same.get(same) or read(kind, self.snapshot.source(name), self.snapshot)
            if entry is not None and not entry.link and not manifest.includes:
                self._same[same] = manifest
            self._manifests[name] = manifest
        return self._manifests[name]

    def readable(self, name: str) -> DependencyManifest | None:
        """Return what a manifest says, or None where it cannot be read.

        An untouched manifest somewhere that cannot be read is not this pull request's fault.
        """
        try:
            return self.manifest(name)
        except ConfigurationError:
            return None

    def may_name(self, name: str, packages: Iterable[str]) -> bool:
        """Whether a manifest can name one of the packages, or a file that does, without parsing it."""
        try:
            data = re.sub(rb"[_.]", b"-", self.snapshot.read(name).lower())
        except ConfigurationError:
            return True
        if b"\0" in data or _INCLUDES.search(data):  # UTF-16 has a zero in every letter
            return True
        return any(package.encode() in data for package in packages)

    @cached_property
    def known(self) -> frozenset[str]:
        """Every path of the side whose name says that it is a manifest."""
        entries = self.snapshot.entries.items()
        known = [name for name, entry in entries if not entry.submodule and kind_of(name) is not None]
        if len(known) > MAX_MANIFESTS:
            raise ConfigurationError(
                f"The repository has more than {MAX_MANIFESTS} manifests; list what counts under `manifests`."
            )
        self.snapshot.prefetch(known)
        return frozenset(known)


class _Machine:
    """The files of this machine, by their absolute path without the first slash."""

    def exists(self, name: str) -> bool:
        return Path("/", name).is_file()

    def source(self, name: str) -> Source:
        path = Path("/", name)
        try:
            return Source(path=name, text=decode(path.read_bytes(), str(path)), where=str(path))
        except OSError as error:
            raise ConfigurationError(f"{show(str(path))} cannot be read: {error.strerror}") from None


def read_manifest_pins(path: Path) -> dict[str, Pin]:
    """Return package → pin of a manifest on this machine; nothing where it is none, or cannot be read."""
    kind = kind_of(path.name) or kind_of(f"{path.parent.name}/{path.name}")
    if kind is None:
        return {}
    files = _Machine()
    try:
        manifest = read(kind, files.source(str(path.resolve()).removeprefix("/")), files)
    except ConfigurationError:
        return {}
    return {pin.name: pin for pin in manifest.pins if pin.name and not pin.local}


def read_requirements(path: Path) -> Requirements:
    """Return a requirements file of this machine, with what it includes and the index options it has.

    Raises:
        ConfigurationError: it is missing or cannot be read, or a line is a folder, which is no package.
    """
    if not path.is_file():
        raise ConfigurationError(f"requirements: {show(str(path))} does not exist")
    files = _Machine()
    manifest = read("requirements", files.source(str(path.resolve()).removeprefix("/")), files)
    for pin in (*manifest.pins, *manifest.constraints):
        if pin.local:
            raise ConfigurationError(
                f"{show(str(path))}: {show(pin.text)} is a folder or file, which is not installed; "
                "remove the line, or name a package"
            )
    links = (link if "://" in link else f"/{link}" for link in manifest.index.find_links)
    return Requirements(
        requirements=texts(manifest.pins),
        constraints=texts(manifest.constraints),
        index=manifest.index.model_copy(update={"find_links": tuple(links)}),
    )
