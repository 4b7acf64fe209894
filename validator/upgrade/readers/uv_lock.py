"""uv.lock: its packages, and the project that uv itself exports it for.

The versions that are compared are read here, package by package, without the graph between them: an export of
everything is refused where extras conflict, and would start uv for every lock of a large repository. What one
choice of extras and groups installs is uv's to say (`exported`).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator

from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.upgrade.manifest import DependencyManifest, Files, Source
from validator.upgrade.readers.locked import locked, other_indexes
from validator.upgrade.text import Document, Lines, join, parse_toml, show, validated
from validator.upgrade.types import Installer


class _Name(Document):
    name: str


class _Origin(Document):
    """Where a package comes from. The first three are folders: the project and its workspace."""

    editable: str | None = None
    virtual: str | None = None
    directory: str | None = None
    registry: str | None = None
    git: str | None = None
    url: str | None = None
    path: str | None = None

    @property
    def folder(self) -> str | None:
        folders = (self.editable, self.virtual, self.directory)
        return next((folder for folder in folders if folder is not None), None)

    @property
    def address(self) -> str:
        """Where a package comes from that comes from no index."""
        if self.git is None:
            return self.url or self.path or ""
        # https://host/owner/name?rev=main&subdirectory=py#<commit>: the commit is what is locked
        address, _, commit = self.git.partition("#")
        address, _, query = address.partition("?")
        folder = next((part for part in query.split("&") if part.startswith("subdirectory=")), "")
        return f"git+{address}@{commit}" + (f"#{folder}" if folder else "")


class _File(Document):
    hash: str = ""


class _Package(Document):
    name: str
    version: str | None = None
    source: _Origin = _Origin()
    sdist: _File = _File()
    wheels: list[_File] = []
    dependencies: list[_Name] = []
    optional_dependencies: dict[str, list[_Name]] = {}
    dev_dependencies: dict[str, list[_Name]] = {}

    def hashes(self) -> tuple[str, ...]:
        """Return the hashes of its files."""
        return tuple(dict.fromkeys(file.hash for file in (self.sdist, *self.wheels) if file.hash))

    def sections(self) -> Iterator[tuple[str, frozenset[str]]]:
        """Yield the extras and groups, each with the packages that it names."""
        for kind, sections in (("extra", self.optional_dependencies), ("group", self.dev_dependencies)):
            for name, needs in sections.items():
                yield f"{kind}:{canonicalize_name(name)}", _names(needs)


def _names(packages: Iterable[_Name]) -> frozenset[str]:
    return frozenset(canonicalize_name(package.name) for package in packages)


class _Workspace(Document):
    members: list[str] = []
    dependency_groups: dict[str, list[_Name]] = {}


class _Lock(Document):
    version: int | None = None
    requires_python: str = ""
    manifest: _Workspace = _Workspace()
    package: list[_Package] = []

    @property
    def own(self) -> list[_Package]:
        """The project and the members of its workspace."""
        return [package for package in self.package if package.source.folder is not None]

    def offered(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Return the extras and groups that can be chosen, each with packages that it names."""
        root = _Package(name="", dev_dependencies=self.manifest.dependency_groups)
        always = (("", _names(package.dependencies)) for package in self.own)
        return (*always, *(pair for package in (root, *self.own) for pair in package.sections()))


def read(source: Source, _files: Files) -> DependencyManifest:
    """Return the lock's packages without the project's own. `direct` is what the project itself names."""
    lock = _parsed(source)
    offered = lock.offered()
    direct = frozenset[str]().union(*(names for _, names in offered))
    lines = Lines(source.text).blocks("[[package]]", len(lock.package))
    pins = []
    for package, line in zip(lock.package, lines, strict=True):
        address = package.source.folder or package.source.address
        pin = locked(source, package.name, package.version, address)
        if package.source.folder is None or pin.installed:
            facts = {"line": line, "direct": pin.name in direct, "hashes": package.hashes()}
            pins.append(pin.model_copy(update=facts))
    registries = (package.source.registry for package in lock.package)
    return DependencyManifest(
        path=source.path,
        kind="uv-lock",
        pins=tuple(pins),
        index=other_indexes(url for url in registries if url and "://" in url),
        requires_python=lock.requires_python,
        offered=offered,
        members=frozenset(posixpath.normpath(package.source.folder or ".") for package in lock.own),
    )


def exported(source: Source, sections: frozenset[str], installer: Installer) -> Source:
    """Return what the lock installs for a choice of extras and groups, as a requirements text by uv."""
    lock = _parsed(source)
    if not lock.own and not lock.manifest.dependency_groups:
        raise ConfigurationError(f"{source.where} names no project whose packages could be installed.")
    chosen = [each.split(":", 1) for each in sorted(sections & dict(lock.offered()).keys() - {""})]
    extras = tuple(name for kind, name in chosen if kind == "extra")
    groups = tuple(name for kind, name in chosen if kind == "group")
    answer = installer.export(_project(lock, source), extras, groups)
    if isinstance(answer, Failure):
        raise ConfigurationError(
            f"{source.where}: uv cannot export this lock: {show(answer.message)}. "
            "Run `uv lock`, and commit the result."
        )
    return source.model_copy(update={"text": answer})


def _project(lock: _Lock, source: Source) -> dict[str, str]:
    """Return the lock, and the files that tell uv who the members are: all the rest stands in the lock."""
    files = {"uv.lock": source.text, "pyproject.toml": ""}
    folders = []
    for package in lock.own:
        folder = package.source.folder or ""
        if folder == "." or package.name in lock.manifest.members:
            folder = join("", folder, source.where)
            # uv compares the range of Pythons with the lock's, and needs no more of the project's own table.
            text = f'[project]\nname = "{canonicalize_name(package.name)}"\nversion = "0"\n'
            if lock.requires_python:
                text += f"requires-python = {_quoted(lock.requires_python)}\n"
            files[posixpath.join(folder, "pyproject.toml")] = text
            folders += [folder] if folder else []
    if folders or not files["pyproject.toml"]:
        files["pyproject.toml"] += f"[tool.uv.workspace]\nmembers = [{', '.join(map(_quoted, folders))}]\n"
    if lock.manifest.dependency_groups:
        groups = "".join(f"{_quoted(name)} = []\n" for name in lock.manifest.dependency_groups)
        files["pyproject.toml"] += f"[dependency-groups]\n{groups}"
    return files


def _quoted(text: str) -> str:
    """Return a TOML string; JSON's escapes are TOML's as well."""
    return json.dumps(text, ensure_ascii=False)


def _parsed(source: Source) -> _Lock:
    lock = validated(_Lock, parse_toml(source.text, source.where), source.where)
    if lock.version != 1:
        raise ConfigurationError(f"{source.where} has the lock version {lock.version}; 1 is known.")
    return lock
