"""pyproject.toml (PEP 621, PEP 735, Poetry's own tables) and Pipfile: what a person asked for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping

from packaging.dependency_groups import DependencyGroupResolver
from packaging.errors import ExceptionGroup
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifests import Files, Index, Manifest, Pin, Source, pin_from, pin_of
from validator.upgrade.text import Lines, join, parse_toml, sequence, show, string, table

_PYTHON = re.compile(r"^\d+\.\d+(\.\d+)?$")


def parse(source: Source, _files: Files) -> Manifest:
    """Return the dependencies, extras and groups of a project, Poetry's tables as ranges."""
    document = parse_toml(source.text, source.where)
    reading = _Tables(source)
    project = table(document.get("project"), source.where, "project")
    tool = table(document.get("tool"), source.where, "tool")
    poetry = table(tool.get("poetry"), source.where, "tool.poetry")
    uv = table(tool.get("uv"), source.where, "tool.uv")
    requires = string(project.get("requires-python"), source.where, "project.requires-python")
    asked = reading.poetry_python(poetry)
    return Manifest(
        path=source.path,
        kind="pyproject",
        pins=(*reading.project(project), *reading.groups(document), *reading.poetry(poetry)),
        constraints=tuple(
            pin_of(
                string(text, source.where, "tool.uv.constraint-dependencies"),
                manifest=source.path,
                where=source.where,
            )
            for text in sequence(
                uv.get("constraint-dependencies"), source.where, "tool.uv.constraint-dependencies"
            )
        ),
        index=reading.index(uv, poetry),
        python_line=reading.lines.find("requires-python") if requires else None,
        requires_python=requires or asked,
    )


def parse_pipfile(source: Source, _files: Files) -> Manifest:
    """Return a Pipfile: `[packages]`, and every other table of packages as a group."""
    document = parse_toml(source.text, source.where)
    reading = _Tables(source)
    requires = table(document.get("requires"), source.where, "requires")
    python = string(
        requires.get("python_full_version") or requires.get("python_version"), source.where, "requires"
    )
    pins: list[Pin] = []
    for key, value in document.items():
        if key not in {"source", "requires", "pipenv", "scripts", "pipfile"}:
            section = "" if key == "packages" else f"group:{canonicalize_name(key)}"
            pins += reading.named(table(value, source.where, key), section)
    return Manifest(
        path=source.path,
        kind="pipfile",
        pins=tuple(pins),
        index=sources_index(sequence(document.get("source"), source.where, "source"), source.where),
        python=python if _PYTHON.match(python) else None,
        python_line=reading.lines.find("python_", python) if python else None,
    )


class _Tables:
    """The tables of one document, with the place of each requirement in the text."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.lines = Lines(source.text)

    def project(self, project: Mapping[str, object]) -> Iterator[Pin]:
        where = self._source.where
        yield from self._strings(project.get("dependencies"), "project.dependencies", "")
        for name, value in table(
            project.get("optional-dependencies"), where, "project.optional-dependencies"
        ).items():
            yield from self._strings(
                value, f"project.optional-dependencies.{name}", f"extra:{canonicalize_name(name)}"
            )

    def groups(self, document: Mapping[str, object]) -> Iterator[Pin]:
        """Yield PEP 735 groups, each with those that it includes."""
        where = self._source.where
        groups = table(document.get("dependency-groups"), where, "dependency-groups")
        try:
            resolver = DependencyGroupResolver(groups)  # type: ignore[arg-type]
            resolved = {name: resolver.resolve(name) for name in groups}
        except (ValueError, TypeError, AttributeError, ExceptionGroup) as error:
            words = "; ".join(str(each) for each in getattr(error, "exceptions", (error,)))
            raise ConfigurationError(f"{where}: dependency-groups cannot be read: {show(words)}.") from None
        header = next(iter(self.lines.headers("[dependency-groups]")), 0)
        for name, requirements in resolved.items():
            for requirement in requirements:
                yield pin_from(
                    requirement,
                    manifest=self._source.path,
                    line=self.lines.requirement(requirement.name, header),
                    section=f"group:{canonicalize_name(name)}",
                )

    def poetry(self, poetry: Mapping[str, object]) -> Iterator[Pin]:
        where = self._source.where
        yield from self.named(table(poetry.get("dependencies"), where, "tool.poetry.dependencies"), "")
        yield from self.named(
            table(poetry.get("dev-dependencies"), where, "tool.poetry.dev-dependencies"), "group:dev"
        )
        for name, group in table(poetry.get("group"), where, "tool.poetry.group").items():
            dependencies = table(group, where, f"tool.poetry.group.{name}").get("dependencies")
            section = f"group:{canonicalize_name(name)}"
            yield from self.named(
                table(dependencies, where, f"tool.poetry.group.{name}.dependencies"), section
            )

    def poetry_python(self, poetry: Mapping[str, object]) -> str:
        dependencies = table(poetry.get("dependencies"), self._source.where, "tool.poetry.dependencies")
        value = dependencies.get("python")
        return value if isinstance(value, str) else ""

    def named(self, packages: Mapping[str, object], section: str) -> Iterator[Pin]:
        """Yield requirements written as `name = constraint`, as Poetry and Pipenv do."""
        for name, value in packages.items():
            if name.lower() == "python":
                continue
            for constraint in value if isinstance(value, list) else [value]:
                pin = self._named(name, constraint)
                yield pin.model_copy(
                    update={"sections": (section,) if section else (), "line": self.lines.key(name)}
                )

    def index(self, uv: Mapping[str, object], poetry: Mapping[str, object]) -> Index:
        where = self._source.where
        listed = [
            (
                table(each, where, "tool.uv.index"),
                string(table(each, where, "tool.uv.index").get("url"), where, "url"),
            )
            for each in sequence(uv.get("index"), where, "tool.uv.index")
        ]
        default = next((url for each, url in listed if url and each.get("default") is True), None)
        extra = [url for each, url in listed if url and each.get("default") is not True]
        extra += [
            string(url, where, "extra-index-url")
            for url in sequence(uv.get("extra-index-url"), where, "extra-index-url")
        ]
        links = [
            string(url, where, "find-links") for url in sequence(uv.get("find-links"), where, "find-links")
        ]
        own = Index(
            index_url=string(uv.get("index-url"), where, "tool.uv.index-url") or default,
            extra_index_urls=tuple(extra),
            find_links=tuple(links),
        )
        return own + sources_index(sequence(poetry.get("source"), where, "tool.poetry.source"), where)

    def _strings(self, value: object, key: str, section: str) -> Iterator[Pin]:
        source = self._source
        for item in sequence(value, source.where, key):
            text = string(item, source.where, key)
            line = self.lines.find(f'"{text}"') or self.lines.find(f"'{text}'") or self.lines.find(text[:40])
            yield pin_of(text, manifest=source.path, where=source.where, line=line, section=section)

    def _named(self, name: str, constraint: object) -> Pin:
        where = self._source.where
        details = table(constraint, where, name) if isinstance(constraint, dict) else {"version": constraint}
        for key in ("git", "url", "path", "file"):
            if key in details:
                return self._elsewhere(name, key, details)
        version = string(details.get("version"), where, name)
        known = {key: details[key] for key in ("extras", "markers", "python") if key in details}
        return self._ranged(name, version, known)

    def _elsewhere(self, name: str, key: str, details: Mapping[str, object]) -> Pin:
        where = self._source.where
        address = string(details[key], where, name)
        local = key in {"path", "file"} and "://" not in address
        if local:
            text = join(posixpath.dirname(self._source.path), address, where)
        elif key == "git":
            revision = next(
                (str(details[each]) for each in ("rev", "tag", "branch", "ref") if each in details), ""
            )
            text = f"{name} @ git+{address}" + (f"@{revision}" if revision else "")
        else:
            text = f"{name} @ {address}"
        return Pin(name=canonicalize_name(name), text=text, manifest=self._source.path, url=True, local=local)

    def _ranged(self, name: str, version: str, details: Mapping[str, object]) -> Pin:
        """Return the PEP 508 form of Poetry's `^1.2`, `~1.2`, `1.2.*` and `1.2`, by Poetry's own code."""
        from poetry.core.exceptions import PoetryCoreError
        from poetry.core.factory import Factory

        where = self._source.where
        try:
            dependency = Factory.create_dependency(name, {"version": version or "*", **details})
            return pin_from(Requirement(dependency.to_pep_508()), manifest=self._source.path)
        except InvalidRequirement:
            # `>=1,<2 || >3` has no PEP 508 form. It is compared by its text and left to the lock to decide.
            return pin_from(Requirement(name), manifest=self._source.path).model_copy(
                update={"specifier": version}
            )
        except (ValueError, TypeError, AttributeError, PoetryCoreError) as error:
            raise ConfigurationError(
                f"{where}: {show(name)} = {show(version)!r} is not a requirement: {show(str(error))}."
            ) from None


def sources_index(sources: tuple[object, ...], where: str) -> Index:
    """Return the index of `[[source]]` tables: the first is the default, unless it adds to PyPI."""
    default: str | None = None
    extra: list[str] = []
    for each in sources:
        source = table(each, where, "source")
        url = string(source.get("url"), where, "source.url")
        if not url:
            continue
        if default is None and source.get("priority") not in {"supplemental", "explicit", "secondary"}:
            default = url
        else:
            extra.append(url)
    return Index(index_url=default, extra_index_urls=tuple(extra))
