"""pyproject.toml: PEP 621 and PEP 735, uv's settings, and Poetry's own tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from packaging.dependency_groups import DependencyGroupResolver
from packaging.errors import ExceptionGroup
from packaging.utils import canonicalize_name
from pydantic import Field, model_validator

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, moved_to, name_of, pin_of
from validator.upgrade.readers.poetry import PoetryTables, index_of
from validator.upgrade.readers.requirement_files import included
from validator.upgrade.text import Document, Lines, parse_toml, show, validated
from validator.upgrade.types import Index


class _Project(Document):
    requires_python: str = ""
    dynamic: list[str] = []
    dependencies: list[str] = []
    optional_dependencies: dict[str, list[str]] = {}


class _FileList(Document):
    """`{file = [...]}`: requirements that a build backend reads from files."""

    file: list[str] | str = []

    @property
    def names(self) -> list[str]:
        return [self.file] if isinstance(self.file, str) else self.file


class _Dynamic(Document):
    dependencies: _FileList = _FileList()
    optional_dependencies: dict[str, _FileList] = {}

    @model_validator(mode="before")
    @classmethod
    def _requirements_only(cls, value: object) -> object:
        """Leave alone what is no requirement: `version = {attr = ...}`."""
        if not isinstance(value, dict):
            return value
        return {key: each for key, each in value.items() if key.endswith("dependencies")}


class _Setuptools(Document):
    dynamic: _Dynamic = _Dynamic()


class _HatchFiles(Document):
    """The hook hatch-requirements-txt."""

    files: list[str] = ["requirements.txt"]
    optional_dependencies: dict[str, list[str]] = {}


class _HatchHooks(Document):
    requirements_txt: _HatchFiles | None = Field(default=None, alias="requirements_txt")


class _HatchMetadata(Document):
    hooks: _HatchHooks = _HatchHooks()


class _Hatch(Document):
    metadata: _HatchMetadata = _HatchMetadata()


class _Pdm(Document):
    dev_dependencies: dict[str, list[str]] = {}


class _UvIndex(Document):
    url: str = ""
    default: bool = False


class _UvSource(Document):
    git: str | None = None
    rev: str | None = None
    tag: str | None = None
    branch: str | None = None
    subdirectory: str | None = None
    url: str | None = None
    path: str | None = None

    @property
    def address(self) -> str:
        """Where a package comes from that comes from no index; empty for an index or the workspace."""
        if self.git is None:
            return self.url or self.path or ""
        revision = self.rev or self.tag or self.branch
        folder = f"#subdirectory={self.subdirectory}" if self.subdirectory else ""
        return f"git+{self.git}" + (f"@{revision}" if revision else "") + folder


UvSources = list[_UvSource] | _UvSource


class _Uv(Document):
    constraint_dependencies: list[str] = []
    override_dependencies: list[str] = []
    dev_dependencies: list[str] = []
    sources: dict[str, UvSources] = {}
    index: list[_UvIndex] = []
    index_url: str | None = None
    extra_index_url: list[str] = []
    find_links: list[str] = []


class _Tool(Document):
    uv: _Uv = _Uv()
    pdm: _Pdm = _Pdm()
    hatch: _Hatch = _Hatch()
    setuptools: _Setuptools = _Setuptools()
    poetry: PoetryTables = PoetryTables()


class _Pyproject(Document):
    project: _Project = _Project()
    tool: _Tool = _Tool()
    groups: dict[str, object] = Field(default={}, alias="dependency-groups")


def read(source: Source, files: Files) -> DependencyManifest:
    """Return the dependencies, extras and groups of a project, Poetry's tables as ranges.

    Dynamic dependencies are read from the files that setuptools or hatch-requirements-txt are told to read.
    """
    document = validated(_Pyproject, parse_toml(source.text, source.where), source.where)
    project, tool = document.project, document.tool
    lines = Lines(source.text)
    groups = {"dev": tool.uv.dev_dependencies} if tool.uv.dev_dependencies else {}
    pins = [
        *_lists(_sections(project), source, lines),
        *_groups(document.groups, source, lines),
        *_lists(_named(groups | tool.pdm.dev_dependencies, "group"), source, lines),
    ]
    manifest = DependencyManifest(
        path=source.path,
        kind="pyproject",
        pins=(*_placed(pins, tool.uv.sources, source), *tool.poetry.pins(source, lines)),
        constraints=tuple(pin_of(text, source) for text in tool.uv.constraint_dependencies),
        overridden=frozenset(name_of(text) for text in tool.uv.override_dependencies),
        index=_index(tool.uv) + index_of(tool.poetry.source),
        requires_python=project.requires_python or tool.poetry.python,
    )
    for section, name in _dynamic(project, tool):
        manifest += included(name, source, files, section)
    return manifest


def _sections(project: _Project) -> dict[str, list[str]]:
    return {"": project.dependencies, **_named(project.optional_dependencies, "extra")}


def _named(lists: Mapping[str, list[str]], kind: str) -> dict[str, list[str]]:
    return {f"{kind}:{canonicalize_name(name)}": texts for name, texts in lists.items()}


def _lists(sections: Mapping[str, list[str]], source: Source, lines: Lines) -> Iterator[Pin]:
    for section, dependencies in sections.items():
        for text in dependencies:
            if text.startswith("-e "):  # PDM's editable folders of the project itself
                continue
            line = lines.find(rf"""(["']){re.escape(text)}\1""") or lines.find(re.escape(text[:40]))
            yield pin_of(text, source, line, section)


def _dynamic(project: _Project, tool: _Tool) -> Iterator[tuple[str, str]]:
    """Yield each file with requirements that the build backend reads, with its section."""
    dynamic, hook = tool.setuptools.dynamic, tool.hatch.metadata.hooks.requirements_txt
    extras = {name: each.names for name, each in dynamic.optional_dependencies.items()}
    if "dependencies" in project.dynamic:
        names = [*dynamic.dependencies.names, *(hook.files if hook else ())]
        yield from (("", name) for name in names)
    if "optional-dependencies" in project.dynamic:
        for section, names in _named(extras | (hook.optional_dependencies if hook else {}), "extra").items():
            yield from ((section, name) for name in names)


def _placed(pins: Iterable[Pin], sources: Mapping[str, UvSources], source: Source) -> Iterator[Pin]:
    """Yield each pin with the address that `[tool.uv.sources]` gives it, if any."""
    places = {str(canonicalize_name(name)): each for name, each in sources.items()}
    for pin in pins:
        place = places.get(pin.name)
        listed = place if isinstance(place, list) else [place] if place else []
        address = next((each.address for each in listed), "")
        yield pin if not address else moved_to(pin, address, source)


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
