"""Pipfile and Pipfile.lock."""

from __future__ import annotations

import re

from packaging.utils import canonicalize_name
from pydantic import AliasChoices, Field

from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, plain_python
from validator.upgrade.readers.locked import PYPI, locked
from validator.upgrade.readers.poetry import Dependency, PackageSource, index_of, named
from validator.upgrade.text import Document, Lines, parse_json, parse_toml, table, validated

#: Tables of a Pipfile that hold no packages.
_OTHER = frozenset({"source", "requires", "pipenv", "scripts", "pipfile"})
#: Pipfile.lock's name of a category → the Pipfile's.
_GROUPS = {"develop": "dev-packages"}


class _Requires(Document):
    python_version: str = ""
    python_full_version: str = ""


class _Settings(Document):
    """What a Pipfile says beside its packages, and a Pipfile.lock under `_meta`."""

    sources: list[PackageSource] = Field(default=[], validation_alias=AliasChoices("source", "sources"))
    requires: _Requires = _Requires()

    @property
    def python(self) -> str | None:
        return plain_python(self.requires.python_full_version or self.requires.python_version)


class _Locked(Dependency):
    hashes: list[str] = []


def read(source: Source, _files: Files) -> DependencyManifest:
    """Return a Pipfile: `[packages]`, and every other table of packages as a group."""
    document = parse_toml(source.text, source.where)
    settings = validated(_Settings, document, source.where)
    lines = Lines(source.text)
    pins: list[Pin] = []
    for key, value in document.items():
        if key not in _OTHER:
            section = "" if key == "packages" else f"group:{canonicalize_name(key)}"
            pins += named(table(value, source.where, key), section, source, lines)
    return DependencyManifest(
        path=source.path,
        kind="pipfile",
        pins=tuple(pins),
        index=index_of(settings.sources),
        python=settings.python,
    )


def read_lock(source: Source, _files: Files) -> DependencyManifest:
    """Return a Pipfile.lock. It does not say who needs whom: all is direct until a Pipfile is read."""
    document = dict(table(parse_json(source.text, source.where), source.where))
    meta = validated(_Settings, document.pop("_meta", {}), source.where, "_meta")
    lines = Lines(source.text)
    pins: list[Pin] = []
    for category, packages in document.items():
        group = _GROUPS.get(category, canonicalize_name(category))
        sections = () if category == "default" else (f"group:{group}",)
        for name, item in table(packages, source.where, category).items():
            package = validated(_Locked, item, source.where, name)
            pin = _locked(name, package, lines, source)
            pins.append(pin.model_copy(update={"sections": sections, "hashes": tuple(package.hashes)}))
    index = index_of(meta.sources)
    return DependencyManifest(
        path=source.path,
        kind="pipfile-lock",
        pins=tuple(pins),
        index=index.model_copy(update={"index_url": None}) if index.index_url in PYPI else index,
        python=meta.python,
    )


def _locked(name: str, package: Dependency, lines: Lines, source: Source) -> Pin:
    version = package.version.removeprefix("==")
    pin = locked(source, name, version, package.address, package.markers or "")
    line = lines.find(rf'"{re.escape(name)}": {{')
    if line and version:
        line = lines.find(rf'"version":.*{re.escape(version)}', line) or line
    return pin.model_copy(update={"line": line})
