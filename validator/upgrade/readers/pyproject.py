"""pyproject.toml: PEP 621 and PEP 735, uv's settings, and Poetry's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packaging.dependency_groups import DependencyGroupResolver
from packaging.errors import ExceptionGroup
from packaging.utils import canonicalize_name
from pydantic import Field

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, pin_of
from validator.upgrade.readers.poetry import PoetryTables, index_of
from validator.upgrade.text import Document, Lines, parse_toml, show, validated
from validator.upgrade.types import Index


class _Project(Document):
    requires_python: str = ""
    dependencies: list[str] = []
    optional_dependencies: dict[str, list[str]] = {}


class _UvIndex(Document):
    url: str = ""
    default: bool = False


class _Uv(Document):
    constraint_dependencies: list[str] = []
    index: list[_UvIndex] = []
    index_url: str | None = None
    extra_index_url: list[str] = []
    find_links: list[str] = []


class _Tool(Document):
    uv: _Uv = _Uv()
    poetry: PoetryTables = PoetryTables()


class _Pyproject(Document):
    project: _Project = _Project()
    tool: _Tool = _Tool()
    groups: dict[str, object] = Field(default={}, alias="dependency-groups")


def read(source: Source, _files: Files) -> DependencyManifest:
    """Return the dependencies, extras and groups of a project, Poetry's tables as ranges."""
    document = validated(_Pyproject, parse_toml(source.text, source.where), source.where)
    project, uv = document.project, document.tool.uv
    lines = Lines(source.text)
    pins = [*_project(project, source, lines), *_groups(document.groups, source, lines)]
    return DependencyManifest(
        path=source.path,
        kind="pyproject",
        pins=(*pins, *document.tool.poetry.pins(source, lines)),
        constraints=tuple(pin_of(text, source) for text in uv.constraint_dependencies),
        index=_index(uv) + index_of(document.tool.poetry.source),
        requires_python=project.requires_python or document.tool.poetry.python,
    )


def _project(project: _Project, source: Source, lines: Lines) -> Iterator[Pin]:
    sections = {
        f"extra:{canonicalize_name(name)}": each for name, each in project.optional_dependencies.items()
    }
    for section, dependencies in {"": project.dependencies, **sections}.items():
        for text in dependencies:
            line = lines.find(rf"""(["']){re.escape(text)}\1""") or lines.find(re.escape(text[:40]))
            yield pin_of(text, source, line, section)


def _groups(groups: dict[str, object], source: Source, lines: Lines) -> Iterator[Pin]:
    """Yield PEP 735 groups, each with those that it includes."""
    try:
        resolver = DependencyGroupResolver(groups)  # type: ignore[arg-type]
        resolved = {name: resolver.resolve(name) for name in groups}
    except (ValueError, TypeError, AttributeError, ExceptionGroup) as error:
        reasons = "; ".join(str(each) for each in getattr(error, "exceptions", (error,)))
        raise ConfigurationError(
            f"{source.where}: dependency-groups cannot be read: {show(reasons)}."
        ) from None
    header = lines.find(r"\[dependency-groups\]") or 0
    for name, requirements in resolved.items():
        for requirement in requirements:
            quoted = rf"""["']{re.escape(requirement.name)}(?![A-Za-z0-9]|[._-]+[A-Za-z0-9])"""
            line = lines.find(quoted, header)
            yield pin_of(requirement, source, line, f"group:{canonicalize_name(name)}")


def _index(uv: _Uv) -> Index:
    default = next((each.url for each in uv.index if each.url and each.default), None)
    extra = (each.url for each in uv.index if each.url and not each.default)
    return Index(
        index_url=uv.index_url or default,
        extra_index_urls=(*extra, *uv.extra_index_url),
        find_links=tuple(uv.find_links),
    )
