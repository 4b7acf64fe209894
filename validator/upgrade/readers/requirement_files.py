"""requirements.txt and constraints.txt, parsed by pip's own parser (pip-requirements-parser)."""

from __future__ import annotations

import posixpath
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifest import DependencyManifest, Files, Pin, Source, name_of, pin_of, placed
from validator.upgrade.text import join, show
from validator.upgrade.types import Index

if TYPE_CHECKING:  # imported where a file is parsed, which most commands never do
    from pip_requirements_parser import (  # type: ignore[import-untyped]
        InstallRequirement,
        RequirementsFile,
    )

_DEPTH = 32  # files that include each other, one below the other
_ABSOLUTE = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*:|/)")
# Options that pip takes on a requirement since the parser was cut from it. None of them chooses a version.
_NEWER_OPTIONS = re.compile(r"\s--config-settings?[ =](\"[^\"]*\"|'[^']*'|\S+)")


def read(
    source: Source, files: Files, *, constrain: bool = False, outer: tuple[str, ...] = ()
) -> DependencyManifest:
    """Return a requirements file with everything it includes.

    `constrain` reads one that limits versions and requires nothing by itself, as `-c` does; `outer` are the
    files that include this one.
    """
    if source.path in outer or len(outer) >= _DEPTH:
        raise ConfigurationError(f"{source.where} includes itself; remove one of the -r or -c lines.")
    parsed = _parsed(source)
    pins = tuple(_pin(requirement, source) for requirement in parsed.requirements)
    manifest = DependencyManifest(
        path=source.path,
        kind="constraints" if constrain else "requirements",
        pins=() if constrain else pins,
        constraints=pins if constrain else (),
        index=sum((_index(option.options, source) for option in parsed.options), Index()),
    )
    for option in parsed.options:
        for key, constrains in (("requirements", constrain), ("constraints", True)):
            for name in option.options.get(key, ()):
                included = _included(name, placed(source.where, option.line_number), source, files)
                manifest += read(included, files, constrain=constrains, outer=(*outer, source.path))
    return manifest


def included(name: str, source: Source, files: Files, section: str = "") -> DependencyManifest:
    """Return a requirements file that a project's metadata names, as a part of an extra or group if given."""
    manifest = read(_included(name, source.where, source, files), files)
    if not section:
        return manifest
    pins = tuple(pin.model_copy(update={"sections": (section,)}) for pin in manifest.pins)
    return manifest.model_copy(update={"pins": pins})


def _parsed(source: Source) -> RequirementsFile:
    """Return a requirements text as the parser sees it, its includes left alone."""
    from pip_requirements_parser import IncorrectRequirementLine, RequirementsFile

    # The parser reads files only, and guesses the encoding from the locale unless there is a mark.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        file.write_text(_NEWER_OPTIONS.sub("", source.text), encoding="utf-8-sig", newline="\n")
        parsed = RequirementsFile.from_file(str(file), include_nested=False)
    for line in parsed.invalid_lines:
        # "Incorrect" is what pip once took and now ignores; it changes nothing that is installed.
        if not isinstance(line, IncorrectRequirementLine):
            reason = str(line.error_message).splitlines()[0].removeprefix("pip_requirements_parser: error: ")
            place = placed(source.where, line.line_number)
            raise ConfigurationError(f"{place} is not a requirement: {show(reason)}.")
    return parsed


def _included(name: str, where: str, source: Source, files: Files) -> Source:
    if _ABSOLUTE.match(name) and not name.startswith("/"):
        raise ConfigurationError(f"{where} includes {show(name)}; only files of the repository are read.")
    path = join(posixpath.dirname(source.path), name, where)
    if not files.exists(path):
        raise ConfigurationError(f"{where} includes {show(path)}, which does not exist.")
    return files.source(path)


def _pin(requirement: InstallRequirement, source: Source) -> Pin:
    text = _without_options(str(requirement.line))
    facts = {"line": requirement.line_number, "hashes": tuple(requirement.hash_options)}
    if not requirement.is_editable:
        try:
            return pin_of(Requirement(text), source).model_copy(update=facts)
        except InvalidRequirement:
            pass  # a bare URL or a path: pip takes it, PEP 508 has no form for it
    name = requirement.name or name_of(text)
    return Pin(
        name=canonicalize_name(name) if name else "",
        text=text,
        manifest=source.path,
        url=True,
        local=not _ABSOLUTE.match(text.removeprefix("-e ").strip()),
        marker=str(requirement.marker or ""),
    ).model_copy(update=facts)


def _without_options(line: str) -> str:
    """Return a requirement line without hashes and other options; an editable keeps its `-e`."""
    match = re.match(r"^(?:-e|--editable)[ =]\s*(.*)$", line)
    start, rest = ("-e ", match[1]) if match else ("", line)
    return start + re.split(r"\s--", rest, maxsplit=1)[0].strip()


def _index(options: dict[str, object], source: Source) -> Index:
    known = {key: value for key, value in options.items() if key in Index.model_fields and value}
    # pip takes the best version that any of the indexes has.
    best = bool(options.get("extra_index_urls"))
    index = Index.model_validate({**known, "prereleases": bool(options.get("pre")), "best_match": best})
    folder = posixpath.dirname(source.path)
    links = (link if _ABSOLUTE.match(link) else join(folder, link, source.where) for link in index.find_links)
    return index.model_copy(update={"find_links": tuple(links)})
