"""What a dependency manifest says, and which parser reads which file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal, Protocol

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.git import Snapshot
from validator.upgrade.text import decode, show

Kind = Literal[
    "requirements",
    "constraints",
    "pyproject",
    "pylock",
    "uv-lock",
    "poetry-lock",
    "pipfile",
    "pipfile-lock",
    "conda",
    "python-version",
]
#: Kinds whose versions are final, best first: where two lie in one folder, the first one speaks.
LOCKS: tuple[Kind, ...] = ("uv-lock", "pylock", "poetry-lock", "pipfile-lock")

# Whole words only, so that `myrequirements.txt` counts and `not-requirements-of-mine.md` does not.
_NAMES: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"^(.*[-_.])?constraints?([-_.].*)?\.(txt|in)$", re.IGNORECASE), "constraints"),
    (re.compile(r"^(.*[-_.])?requirements?([-_.].*)?\.(txt|in)$", re.IGNORECASE), "requirements"),
    (re.compile(r"^pyproject\.toml$"), "pyproject"),
    (re.compile(r"^pylock(\.[^.]+)?\.toml$"), "pylock"),
    (re.compile(r"^uv\.lock$"), "uv-lock"),
    (re.compile(r"^poetry\.lock$"), "poetry-lock"),
    (re.compile(r"^Pipfile$"), "pipfile"),
    (re.compile(r"^Pipfile\.lock$"), "pipfile-lock"),
    (re.compile(r"^(.*[-_.])?(conda|environment)([-_.].*)?\.ya?ml$", re.IGNORECASE), "conda"),
    (re.compile(r"^\.python-version$"), "python-version"),
)
MAX_MANIFESTS = 2000  # of one side; a repository with more must list its own
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
_FOREIGN = frozenset({"node_modules", "site-packages", ".venv", "venv", ".tox", ".nox", ".git"})


class Index(Frozen):
    """Where packages come from: the options of an installer, in uv's and pip's words."""

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False

    def __add__(self, other: Index) -> Index:
        """Return both: this one's index URL wins, lists are joined without repeats."""
        return Index(
            index_url=self.index_url or other.index_url,
            extra_index_urls=tuple(dict.fromkeys((*self.extra_index_urls, *other.extra_index_urls))),
            find_links=tuple(dict.fromkeys((*self.find_links, *other.find_links))),
            no_index=self.no_index or other.no_index,
            prereleases=self.prereleases or other.prereleases,
        )

    def redacted(self) -> Index:
        """Return the same without credentials, for people to see."""
        return Index(
            index_url=None if self.index_url is None else show(self.index_url),
            extra_index_urls=tuple(map(show, self.extra_index_urls)),
            find_links=tuple(map(show, self.find_links)),
            no_index=self.no_index,
            prereleases=self.prereleases,
        )


class Pin(Frozen):
    """One requirement of one manifest.

    `name` is normalised, and empty where a URL or path does not tell it. `version` is set where exactly one
    version satisfies it. `text` is the requirement as an installer takes it, without hashes and comments.
    `sections` are the extras and groups (`extra:NAME`, `group:NAME`) that ask for it, empty for what is
    always wanted. `local` is a path inside the repository: the project's own code, not a package. `line`
    counts from 1 in `manifest`.
    """

    name: str
    text: str
    manifest: str
    version: str | None = None
    specifier: str = ""
    marker: str = ""
    extras: tuple[str, ...] = ()
    line: int | None = None
    direct: bool = True
    sections: tuple[str, ...] = ()
    url: bool = False
    local: bool = False
    hashed: bool = False

    def applies(self, environment: Mapping[str, str], sections: frozenset[str] = frozenset()) -> bool:
        """Whether the pin's marker holds on a machine and Python, given as PEP 508 variables.

        `sections` are the extras and groups that the markers of a pylock.toml may ask for.
        """
        return holds(self.marker, environment, sections if self.conditional else None)

    @property
    def conditional(self) -> bool:
        """Whether the marker asks for extras or groups, in words that only a lock may use."""
        return "dependency_groups" in self.marker or re.search(r"\bextras\b", self.marker) is not None


def holds(marker: str, environment: Mapping[str, str], sections: frozenset[str] | None = None) -> bool:
    """Whether a marker holds; an empty one does. With `sections` it may use the words of a pylock.toml.

    Raises:
        ConfigurationError: it compares what cannot be compared.
    """
    if not marker:
        return True
    try:
        if sections is None:
            return Marker(marker).evaluate({"extra": "", **environment})
        wanted: dict[str, str | AbstractSet[str]] = {
            "extras": _named(sections, "extra:"),
            "dependency_groups": _named(sections, "group:"),
        }
        return Marker(marker).evaluate({**environment, **wanted}, context="lock_file")
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise ConfigurationError(
            f"The marker {show(marker)!r} cannot be evaluated: {show(str(error))}."
        ) from None


def _named(sections: frozenset[str], prefix: str) -> AbstractSet[str]:
    return {section.removeprefix(prefix) for section in sections if section.startswith(prefix)}


class Manifest(Frozen):
    """What one file says, the files it includes by `-r` and `-c` with it."""

    path: str
    kind: Kind
    pins: tuple[Pin, ...] = ()
    constraints: tuple[Pin, ...] = ()
    index: Index = Index()
    python: str | None = None
    python_line: int | None = None
    requires_python: str = ""
    includes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder, empty for the root of the repository."""
        return posixpath.dirname(self.path)

    @property
    def closed(self) -> bool:
        """Whether its versions are final: a lock, or a requirements file in which every line has its hash."""
        if self.kind in LOCKS:
            return True
        return bool(self.pins) and all(pin.version is not None and pin.hashed for pin in self.pins)


class Source(Frozen):
    """A manifest's text, and how messages name it."""

    path: str
    text: str
    where: str


class Files(Protocol):
    """What a parser may see of the repository: other files of the same commit."""

    def exists(self, name: str) -> bool:
        """Whether the path is a file."""

    def source(self, name: str) -> Source:
        """Return a file's text."""


Parser = Callable[[Source, Files], Manifest]


def kind_of(path: str) -> Kind | None:
    """Return the kind of manifest that a path's name tells, or None."""
    *folders, name = path.split("/")
    if _FOREIGN.intersection(folders):
        return None
    for pattern, kind in _NAMES:
        if pattern.match(name):
            return kind
    # The other common layout: requirements/prod.txt
    if folders and folders[-1].lower() == "requirements" and name.endswith((".txt", ".in")):
        return "requirements"
    return None


def required_kind(path: str) -> Kind:
    """Return the kind of a manifest that the configuration lists, by its name and then by its ending."""
    kind = kind_of(path)
    if kind is not None:
        return kind
    for ending, by_ending in (
        (".txt", "requirements"),
        (".in", "requirements"),
        (".yml", "conda"),
        (".yaml", "conda"),
    ):
        if path.lower().endswith(ending):
            return by_ending  # type: ignore[return-value]
    raise ConfigurationError(
        f"manifests: {show(path)} is no manifest that can be read; use requirements*.txt, pyproject.toml, "
        "pylock.toml, uv.lock, poetry.lock, Pipfile, Pipfile.lock or environment.yml."
    )


def pin_of(text: str, *, manifest: str, where: str, line: int | None = None, section: str = "") -> Pin:
    """Return the pin of a PEP 508 requirement.

    Raises:
        ConfigurationError: it is not one; the message names the place.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        place = where if line is None else f"{where}:{line}"
        reason = show(str(error).splitlines()[0])
        raise ConfigurationError(f"{place}: {show(text)!r} is not a requirement: {reason}.") from None
    return pin_from(requirement, manifest=manifest, line=line, section=section)


def pin_from(requirement: Requirement, *, manifest: str, line: int | None = None, section: str = "") -> Pin:
    """Return the pin of a parsed PEP 508 requirement."""
    return Pin(
        name=canonicalize_name(requirement.name),
        text=str(requirement),
        manifest=manifest,
        version=exact(requirement),
        specifier=str(requirement.specifier),
        marker=str(requirement.marker) if requirement.marker else "",
        extras=tuple(sorted(requirement.extras)),
        line=line,
        sections=(section,) if section else (),
        url=requirement.url is not None,
    )


def exact(requirement: Requirement) -> str | None:
    """Return the one version that satisfies the requirement, normalised, or None."""
    for specifier in requirement.specifier:
        if specifier.operator == "===" or (
            specifier.operator == "==" and not specifier.version.endswith(".*")
        ):
            return normal(specifier.version)
    return None


def normal(version: str) -> str:
    """Return a version in its PEP 440 form; `3.5` and `3.5.0` stay as written."""
    try:
        return str(Version(version))
    except InvalidVersion:
        return version


class Reader:
    """Reads the manifests of one side, each once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._read: dict[str, Manifest] = {}

    def exists(self, name: str) -> bool:
        """Whether the path is a file of this side."""
        return self.snapshot.exists(name)

    def source(self, name: str) -> Source:
        """Return a file's text, line ends as LF."""
        where = self.snapshot.where(name)
        text = decode(self.snapshot.read(name), where)
        return Source(path=name, text=text.replace("\r\n", "\n"), where=where)

    def manifest(self, name: str, kind: Kind) -> Manifest:
        """Return what a manifest says.

        Raises:
            ConfigurationError: it cannot be read; the sentence names path, side and line.
        """
        if name not in self._read:
            self._read[name] = parse(kind, self.source(name), self)
        return self._read[name]

    def known(self) -> dict[str, Kind]:
        """Return every path of the side whose name says that it is a manifest."""
        known: dict[str, Kind] = {}
        for name, entry in self.snapshot.entries.items():
            kind = kind_of(name)
            if kind is not None and entry.mode != "160000":
                known[name] = kind
        if len(known) > MAX_MANIFESTS:
            raise ConfigurationError(
                f"The repository has more than {MAX_MANIFESTS} manifests; list what counts under `manifests`."
            )
        self.snapshot.prefetch(known)
        return known


def parse(kind: Kind, source: Source, files: Files) -> Manifest:
    """Return what a text says, every pin of it safe to hand to an installer as one line.

    Raises:
        ConfigurationError: it cannot be read, or a pin is not one; the sentence names the place.
    """
    manifest = _parser(kind)(source, files)
    for pin in (*manifest.pins, *manifest.constraints):
        where = (
            source.where if pin.manifest == source.path else f"{source.where} includes {show(pin.manifest)}"
        )
        _refuse_injection(pin, where)
    return manifest


def _refuse_injection(pin: Pin, where: str) -> None:
    """Refuse what an installer would read as more than one requirement: a line break, an option."""
    place = where if pin.line is None else f"{where}:{pin.line}"
    if pin.name and not _NAME.fullmatch(pin.name):
        raise ConfigurationError(f"{place}: {show(pin.name)!r} is not the name of a package.")
    text = pin.text.removeprefix("-e ")
    if not text or text.startswith("-") or not text.isprintable():
        raise ConfigurationError(f"{place}: {show(pin.text)!r} is not a requirement.")
    if pin.version is not None and not _VERSION.fullmatch(pin.version):
        raise ConfigurationError(f"{place}: {show(pin.version)!r} is not a version.")


def _parser(kind: Kind) -> Parser:
    # Imported here: the parsers build on the types above.
    from validator.upgrade import conda, locks, pyproject, python_version, requirement_files, uv_lock

    parsers: dict[Kind, Parser] = {
        "requirements": requirement_files.parse,
        "constraints": requirement_files.parse_constraints,
        "pyproject": pyproject.parse,
        "pylock": locks.parse_pylock,
        "uv-lock": uv_lock.parse,
        "poetry-lock": locks.parse_poetry,
        "pipfile": pyproject.parse_pipfile,
        "pipfile-lock": locks.parse_pipfile,
        "conda": conda.parse,
        "python-version": python_version.parse,
    }
    return parsers[kind]
