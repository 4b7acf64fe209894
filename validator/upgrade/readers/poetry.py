"""Poetry's tables in pyproject.toml, and poetry.lock."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, pin_at, pin_of
from validator.upgrade.readers.locked import locked, other_indexes
from validator.upgrade.text import Document, Lines, join, parse_toml, show, validated
from validator.upgrade.types import Index

#: The section of a locked package that some extra asks for: the lock does not say which.
ANY_EXTRA = "extra:*"


class Dependency(Document):
    """What stands behind a package's name, as Poetry and Pipenv write it."""

    version: str = ""
    extras: list[str] = []
    markers: str | None = None
    python: str | None = None
    git: str | None = None
    rev: str | None = None
    tag: str | None = None
    branch: str | None = None
    ref: str | None = None
    url: str | None = None
    path: str | None = None
    file: str | None = None

    @property
    def address(self) -> str:
        """Where it comes from if not from an index: `git+<url>@<revision>`, a URL or a path."""
        if self.git is None:
            return self.url or self.path or self.file or ""
        revision = self.rev or self.tag or self.branch or self.ref
        return f"git+{self.git}" + (f"@{revision}" if revision else "")


class PackageSource(Document):
    """A `[[source]]`: an index."""

    url: str = ""
    priority: str | None = None


class _Group(Document):
    dependencies: dict[str, object] = {}


class PoetryTables(Document):
    """`[tool.poetry]`."""

    dependencies: dict[str, object] = {}
    dev_dependencies: dict[str, object] = {}
    group: dict[str, _Group] = {}
    source: list[PackageSource] = []

    @property
    def python(self) -> str:
        """The range of Pythons, in Poetry's spelling."""
        value = self.dependencies.get("python")
        return value if isinstance(value, str) else ""

    def pins(self, source: Source, lines: Lines) -> Iterator[Pin]:
        """Yield every requirement, with its group."""
        yield from named(self.dependencies, "", source, lines)
        yield from named(self.dev_dependencies, "group:dev", source, lines)
        for name, group in self.group.items():
            yield from named(group.dependencies, f"group:{canonicalize_name(name)}", source, lines)


def named(packages: Mapping[str, object], section: str, source: Source, lines: Lines) -> Iterator[Pin]:
    """Yield requirements written as `name = constraint`, as Poetry and Pipenv do."""
    for name, value in packages.items():
        if name.lower() == "python":
            continue
        for constraint in value if isinstance(value, list) else [value]:
            details = constraint if isinstance(constraint, dict) else {"version": constraint}
            line = lines.find(rf"""^\s*["']?{re.escape(name)}["']?\s*=""")
            pin = _pin(name, validated(Dependency, details, source.where, name), source)
            yield pin.model_copy(update={"sections": (section,) if section else (), "line": line})


def _pin(name: str, dependency: Dependency, source: Source) -> Pin:
    address = dependency.address
    if not address:
        return _ranged(name, dependency, source)
    pin = pin_at(address, name, source)
    if not pin.local:
        return pin
    return pin.model_copy(update={"text": join(posixpath.dirname(source.path), address, source.where)})


def _ranged(name: str, dependency: Dependency, source: Source) -> Pin:
    """Return the PEP 508 form of Poetry's `^1.2`, `~1.2`, `1.2.*` and `1.2`, by Poetry's own code."""
    from poetry.core.exceptions import PoetryCoreError
    from poetry.core.factory import Factory

    details = dependency.model_dump(include={"extras", "markers", "python"}, exclude_unset=True)
    try:
        parsed = Factory.create_dependency(name, {"version": dependency.version or "*", **details})
        return pin_of(Requirement(parsed.to_pep_508()), source)
    except InvalidRequirement:
        # `>=1,<2 || >3` has no PEP 508 form. It is compared by its text and left to the lock to decide.
        return pin_of(name, source).model_copy(update={"specifier": dependency.version})
    except (ValueError, TypeError, AttributeError, PoetryCoreError) as error:
        raise ConfigurationError(
            f"{source.where}: {show(name)} = {show(dependency.version)!r} is not a requirement: "
            f"{show(str(error))}."
        ) from None


def index_of(sources: Iterable[PackageSource]) -> Index:
    """Return the index of `[[source]]` tables: the first is the default, unless it adds to PyPI."""
    urls = {each.url: each.priority for each in sources if each.url}
    adding = {"supplemental", "explicit", "secondary"}
    default = next((url for url, priority in urls.items() if priority not in adding), None)
    return Index(index_url=default, extra_index_urls=tuple(url for url in urls if url != default))


class _Origin(Document):
    type: str = ""
    url: str = ""
    reference: str = ""
    resolved_reference: str = ""


class LockedFile(Document):
    """A file of a locked package, with its hash (`sha256:…`)."""

    hash: str = ""


class _Package(Document):
    name: str = ""
    version: str = ""
    optional: bool = False
    files: list[LockedFile] = []
    groups: list[str] = []
    markers: str | dict[str, str] = ""
    dependencies: dict[str, object] = {}
    source: _Origin = _Origin()

    def pin(self, source: Source) -> Pin:
        pin = locked(source, self.name, self.version, self._address(), self._marker())
        sections: tuple[str, ...] = (ANY_EXTRA,) if self.optional else ()
        if self.groups and "main" not in self.groups:
            sections = tuple(f"group:{canonicalize_name(group)}" for group in self.groups)
        return pin.model_copy(update={"sections": sections, "hashes": hashes_of(self.files)})

    def _marker(self) -> str:
        # Poetry 2 writes one marker, or one for each group; which groups count is decided later.
        if isinstance(self.markers, str):
            return self.markers
        return " or ".join(f"({marker})" for marker in self.markers.values())

    def _address(self) -> str:
        if self.source.type == "git":
            return f"git+{self.source.url}@{self.source.resolved_reference or self.source.reference}"
        return self.source.url if self.source.type in {"url", "directory", "file"} else ""


def hashes_of(files: Iterable[LockedFile]) -> tuple[str, ...]:
    """Return the hashes of a locked package's files."""
    return tuple(dict.fromkeys(each.hash for each in files if each.hash))


class _Metadata(Document):
    python_versions: str = ""


class _Lock(Document):
    package: list[_Package] = []
    metadata: _Metadata = _Metadata()


def read_lock(source: Source, _files: Files) -> DependencyManifest:
    """Return a poetry.lock. Before Poetry 2 it names no groups: then every package belongs to the project."""
    lock = validated(_Lock, parse_toml(source.text, source.where), source.where)
    needed = {canonicalize_name(name) for package in lock.package for name in package.dependencies}
    lines = Lines(source.text).blocks("[[package]]", len(lock.package))
    pins = []
    for package, line in zip(lock.package, lines, strict=True):
        pin = package.pin(source)
        pins.append(pin.model_copy(update={"line": line, "direct": pin.name not in needed}))
    origins = (package.source for package in lock.package)
    return DependencyManifest(
        path=source.path,
        kind="poetry-lock",
        pins=tuple(pins),
        index=other_indexes(origin.url for origin in origins if origin.type == "legacy"),
        requires_python=lock.metadata.python_versions,
    )
