"""requirements.txt and constraints.txt, parsed by pip's own parser (pip-requirements-parser)."""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from pip_requirements_parser import (  # type: ignore[import-untyped]
    IncorrectRequirementLine,
    InstallRequirement,
    RequirementsFile,
)

from validator.errors import ConfigurationError
from validator.upgrade.manifests import Files, Index, Manifest, Pin, Source, pin_from
from validator.upgrade.text import join, show

_DEPTH = 32  # files that include each other, one below the other
_ABSOLUTE = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:|/)")
_NAME_IN_URL = re.compile(r"(?:[#&]egg=)([A-Za-z0-9][A-Za-z0-9._-]*)")
# Options that pip takes on a requirement since the parser was cut from it. None of them chooses a version.
_NEWER_OPTIONS = re.compile(r"\s--config-settings?[ =](\"[^\"]*\"|'[^']*'|\S+)")


def parse(source: Source, files: Files) -> Manifest:
    """Return a requirements file with everything it includes."""
    reading = _Reading(files)
    reading.read(source, constrain=False)
    return reading.manifest(source.path)


def parse_constraints(source: Source, files: Files) -> Manifest:
    """Return a file that limits versions and requires nothing by itself."""
    reading = _Reading(files)
    reading.read(source, constrain=True)
    found = reading.manifest(source.path)
    return found.model_copy(update={"kind": "constraints"})


class _Reading:
    """One walk through a file and its includes."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._pins: list[Pin] = []
        self._constraints: list[Pin] = []
        self._index = Index()
        self._open: list[str] = []
        self._included: dict[str, None] = {}

    def manifest(self, path: str) -> Manifest:
        return Manifest(
            path=path,
            kind="requirements",
            pins=tuple(self._pins),
            constraints=tuple(self._constraints),
            index=self._index,
            includes=tuple(self._included),
        )

    def read(self, source: Source, *, constrain: bool) -> None:
        if source.path in self._open or len(self._open) >= _DEPTH:
            raise ConfigurationError(f"{source.where} includes itself; remove one of the -r or -c lines.")
        self._open.append(source.path)
        parsed = parse_lines(source.text)
        for line in parsed.invalid_lines:
            # "Incorrect" is what pip once took and now ignores; it changes nothing that is installed.
            if not isinstance(line, IncorrectRequirementLine):
                reason = show(
                    str(line.error_message).splitlines()[0].removeprefix("pip_requirements_parser: error: ")
                )
                raise ConfigurationError(f"{source.where}:{line.line_number} is not a requirement: {reason}.")
        target = self._constraints if constrain else self._pins
        target.extend(_pin(requirement, source) for requirement in parsed.requirements)
        for option in parsed.options:
            self._index += _index(option.options, source)
            for key, nested in (("requirements", constrain), ("constraints", True)):
                for name in option.options.get(key, ()):
                    self._include(name, source, option.line_number, constrain=nested)
        self._open.pop()

    def _include(self, name: str, source: Source, line: int, *, constrain: bool) -> None:
        where = f"{source.where}:{line}"
        if _ABSOLUTE.match(name) and not name.startswith("/"):
            raise ConfigurationError(f"{where} includes {show(name)}; only files of the repository are read.")
        path = join(posixpath.dirname(source.path), name, where)
        if not self._files.exists(path):
            raise ConfigurationError(f"{where} includes {show(path)}, which does not exist.")
        self._included[path] = None
        self.read(self._files.source(path), constrain=constrain)


def parse_lines(text: str) -> RequirementsFile:
    """Return a requirements text as the parser sees it, its includes left alone."""
    # The parser reads files only, and guesses the encoding from the locale unless there is a mark.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(_NEWER_OPTIONS.sub("", text), encoding="utf-8-sig", newline="\n")
        return RequirementsFile.from_file(str(file), include_nested=False)


def requirement_pins(
    lines: Iterable[tuple[int, str]], source: Source
) -> tuple[tuple[Pin, ...], Index, tuple[str, ...]]:
    """Return pins, options and included paths of requirement lines that stand in another file."""
    pins: list[Pin] = []
    index = Index()
    includes: list[str] = []
    for number, line in lines:
        parsed = parse_lines(line)
        if parsed.invalid_lines or "\n" in line:
            raise ConfigurationError(f"{source.where}:{number}: {show(line)!r} is not a requirement.")
        pins += [_pin(each, source).model_copy(update={"line": number}) for each in parsed.requirements]
        for option in parsed.options:
            index += _index(option.options, source)
            names = (*option.options.get("requirements", ()), *option.options.get("constraints", ()))
            includes += [
                join(posixpath.dirname(source.path), name, f"{source.where}:{number}") for name in names
            ]
    return tuple(pins), index, tuple(includes)


def _pin(requirement: InstallRequirement, source: Source) -> Pin:
    line: int = requirement.line_number
    hashed = bool(requirement.hash_options)
    text = _without_options(str(requirement.line))
    if not requirement.is_editable:
        try:
            pin = pin_from(Requirement(text), manifest=source.path, line=line)
            return pin.model_copy(update={"hashed": hashed})
        except InvalidRequirement:
            pass  # a bare URL or a path: pip takes it, PEP 508 has no form for it
    name = requirement.name or _name_from(text)
    return Pin(
        name=canonicalize_name(name) if name else "",
        text=text,
        manifest=source.path,
        line=line,
        url=True,
        local=not _ABSOLUTE.match(text.removeprefix("-e ").strip()),
        marker=str(requirement.marker) if requirement.marker else "",
        hashed=hashed,
    )


def _without_options(line: str) -> str:
    """Return a requirement line without hashes and other options; an editable keeps its `-e`."""
    match = re.match(r"^(?:-e|--editable)[ =]\s*(.*)$", line)
    start, rest = ("-e ", match[1]) if match else ("", line)
    return start + re.split(r"\s--", rest, maxsplit=1)[0].strip()


def _name_from(text: str) -> str:
    match = _NAME_IN_URL.search(text)
    if match:
        return match[1]
    # git+https://host/owner/name.git@revision
    match = re.search(r"/([A-Za-z0-9][A-Za-z0-9._-]*?)\.git(?:[@#].*)?$", text)
    return match[1] if match else ""


def _index(options: dict[str, object], source: Source) -> Index:
    def values(key: str) -> tuple[str, ...]:
        found = options.get(key)
        listed = found if isinstance(found, list) else [found]
        return tuple(value for value in listed if isinstance(value, str))

    folder = posixpath.dirname(source.path)
    links = values("find_links")
    return Index(
        index_url=next(iter(values("index_url")), None),
        extra_index_urls=values("extra_index_urls"),
        find_links=tuple(
            link if _ABSOLUTE.match(link) else join(folder, link, source.where) for link in links
        ),
        no_index=bool(options.get("no_index")),
        prereleases=bool(options.get("pre")),
    )
