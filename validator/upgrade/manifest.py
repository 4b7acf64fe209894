"""What a dependency manifest says: its kind by its name, and its requirements as pins."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.relevant import FOUNDATIONS, FRAMEWORKS, LIBRARIES
from validator.upgrade.text import show
from validator.upgrade.types import Index

Kind = Literal[
    "requirements",
    "constraints",
    "pyproject",
    "setup-cfg",
    "pylock",
    "uv-lock",
    "poetry-lock",
    "pdm-lock",
    "pipfile",
    "pipfile-lock",
    "conda",
    "python-version",
]
#: Kinds whose versions are final, best first: where two lie in one folder, the first one counts.
LOCKS: tuple[Kind, ...] = ("uv-lock", "pylock", "poetry-lock", "pdm-lock", "pipfile-lock")
#: Kinds that a lock is made from: what they ask for is in the lock beside them.
SOURCES = frozenset[Kind | None]({"pyproject", "setup-cfg", "pipfile"})

# Whole words only, so that `myrequirements.txt` counts and `not-requirements-of-mine.md` does not.
_NAMES: tuple[tuple[re.Pattern[str], Kind], ...] = (
    (re.compile(r"^(.*[-_.])?constraints?([-_.].*)?\.(txt|in)$", re.IGNORECASE), "constraints"),
    (
        re.compile(
            r"^(.*[-_.])?(requirements?|reqs|deps|dependencies)([-_.].*)?\.(txt|in|lock)$", re.IGNORECASE
        ),
        "requirements",
    ),
    (re.compile(r"^pyproject\.toml$"), "pyproject"),
    (re.compile(r"^setup\.cfg$"), "setup-cfg"),
    (re.compile(r"^pylock(\.[^.]+)?\.toml$"), "pylock"),
    (re.compile(r"^uv\.lock$"), "uv-lock"),
    (re.compile(r"^poetry\.lock$"), "poetry-lock"),
    (re.compile(r"^pdm\.lock$"), "pdm-lock"),
    (re.compile(r"^Pipfile$"), "pipfile"),
    (re.compile(r"^Pipfile\.lock$"), "pipfile-lock"),
    (re.compile(r"^(.*[-_.])?(conda|environment)([-_.].*)?\.ya?ml$", re.IGNORECASE), "conda"),
    (re.compile(r"^\.python-version$"), "python-version"),
)
_ENDINGS: dict[str, Kind] = {
    **dict.fromkeys((".txt", ".in", ".lock"), "requirements"),
    **dict.fromkeys((".yml", ".yaml"), "conda"),
}
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
# A direct reference to somewhere else; without a scheme it is a path inside the repository.
_REMOTE = re.compile(r"^((git|hg|svn|bzr)\+|[A-Za-z][A-Za-z0-9+.-]*://)")
_FOREIGN = frozenset({"node_modules", "site-packages", ".venv", "venv", ".tox", ".nox", ".git"})


class Pin(Frozen):
    """One requirement of one manifest.

    `name` is normalised, and empty where a URL or path lacks it. `version` is set where exactly one version
    satisfies it. `text` is the requirement as an installer takes it, without hashes and comments.
    `sections` are the extras and groups (`extra:NAME`, `group:NAME`) that ask for it, empty for what is
    always installed. `url` is a direct reference, compared by its text; `local` is a path inside the
    repository: the project's own code, unless its name is that of a package. `hashes` are those of the files
    that may be installed (`sha256:…`). `line` counts from 1 in `manifest`.
    """

    name: str
    text: str
    manifest: str
    version: str | None = None
    specifier: str = ""
    marker: str = ""
    line: int | None = None
    direct: bool = True
    sections: tuple[str, ...] = ()
    url: bool = False
    local: bool = False
    hashes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What identifies the package: its name, or the text where no name is known."""
        return self.name or self.text

    @property
    def installed(self) -> bool:
        """Whether an installer is asked for it. The project's own folders are imported from the checkout."""
        return not self.local or self.name in FRAMEWORKS | LIBRARIES | FOUNDATIONS

    @property
    def conditional(self) -> bool:
        """Whether the marker asks for extras or groups, in words that only a lock may use."""
        return "dependency_groups" in self.marker or re.search(r"\bextras\b", self.marker) is not None

    def applies(self, environment: Mapping[str, str], sections: frozenset[str]) -> bool:
        """Whether the pin's marker holds on a machine and Python, given as PEP 508 variables.

        `sections` are the extras and groups that the markers of a pylock.toml may ask for.
        """
        if not self.marker:
            return True
        asked: dict[str, frozenset[str]] = {
            variable: frozenset(each.removeprefix(kind) for each in sections if each.startswith(kind))
            for variable, kind in (("extras", "extra:"), ("dependency_groups", "group:"))
        }
        try:
            return Marker(self.marker).evaluate({"extra": "", **environment, **asked}, context="lock_file")
        except (UndefinedComparison, UndefinedEnvironmentName) as error:
            raise ConfigurationError(
                f"The marker {show(self.marker)!r} cannot be evaluated: {show(str(error))}."
            ) from None


class DependencyManifest(Frozen):
    """What one file says, the files it includes by `-r` and `-c` with it.

    `python` is the Python it asks for, or the range of them. `offered` are the extras and groups of a
    lock whose pins do not carry them, each with packages that it names; the empty section is what is always
    installed. A lock may contradict what is asked of `overridden` packages. `members` are the folders of a
    workspace, relative to the lock.
    """

    path: str
    kind: Kind
    pins: tuple[Pin, ...] = ()
    constraints: tuple[Pin, ...] = ()
    index: Index = Index()
    python: str | None = None
    requires_python: str = ""
    includes: tuple[str, ...] = ()
    offered: tuple[tuple[str, frozenset[str]], ...] = ()
    overridden: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()

    def __add__(self, included: DependencyManifest) -> DependencyManifest:
        """Return this manifest with a file that it includes, and what that one includes."""
        paths = (*self.includes, *({included.path} - {self.path}), *included.includes)
        return self.model_copy(
            update={
                "pins": self.pins + included.pins,
                "constraints": self.constraints + included.constraints,
                "index": self.index + included.index,
                "includes": tuple(dict.fromkeys(paths)),
            }
        )

    @property
    def folder(self) -> str:
        """The folder, empty for the root of the repository."""
        return posixpath.dirname(self.path)

    @property
    def closed(self) -> bool:
        """Whether its versions are final: a lock, or a requirements file in which every line has its hash."""
        hashed = bool(self.pins) and all(pin.version is not None and pin.hashes for pin in self.pins)
        return hashed or self.kind in LOCKS


class Source(Frozen):
    """A manifest's text, and how messages name it."""

    path: str
    text: str
    where: str


class Files(Protocol):
    """What a reader may see of the repository: other files of the same commit."""

    def exists(self, name: str) -> bool:
        """Whether the path is a file."""

    def source(self, name: str) -> Source:
        """Return a file's text."""


def kind_of(path: str) -> Kind | None:
    """Return the kind of manifest by a path's name, or None."""
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
    kind = kind_of(path) or _ENDINGS.get(posixpath.splitext(path)[1].lower())
    if kind is None:
        raise ConfigurationError(
            f"manifests: {show(path)} is no manifest that can be read; use requirements*.txt, "
            "pyproject.toml, setup.cfg, pylock.toml, uv.lock, poetry.lock, pdm.lock, Pipfile, Pipfile.lock "
            "or environment.yml."
        )
    return kind


def pin_of(asked: str | Requirement, source: Source, line: int | None = None, section: str = "") -> Pin:
    """Return the pin of a PEP 508 requirement; a `ConfigurationError` names the place of anything else."""
    try:
        requirement = asked if isinstance(asked, Requirement) else Requirement(asked)
    except InvalidRequirement as error:
        reason = show(str(error).splitlines()[0])
        raise ConfigurationError(
            f"{placed(source.where, line)}: {show(str(asked))!r} is not a requirement: {reason}."
        ) from None
    return Pin(
        name=canonicalize_name(requirement.name),
        text=str(requirement),
        manifest=source.path,
        version=exact(requirement),
        specifier=str(requirement.specifier),
        marker=str(requirement.marker) if requirement.marker else "",
        line=line,
        sections=(section,) if section else (),
        url=requirement.url is not None,
    )


def pin_at(address: str, name: str, source: Source) -> Pin:
    """Return the pin of a direct reference: `git+<url>@<revision>`, a URL, or a path in the repository."""
    key = canonicalize_name(name)
    local = not is_remote(address)
    text = address if local else f"{key} @ {address}"
    return Pin(name=key, text=text, manifest=source.path, url=True, local=local)


def is_remote(address: str) -> bool:
    """Whether a direct reference leads out of the repository, by its scheme."""
    return _REMOTE.match(address) is not None


def moved_to(pin: Pin, address: str, source: Source) -> Pin:
    """Return a pin whose package comes from an address, as `pin_at` has it, with its section and line."""
    placed_pin = pin_at(address, pin.name, source)
    marker = {"marker": pin.marker, "text": f"{placed_pin.text} ; {pin.marker}"} if pin.marker else {}
    facts = {"sections": pin.sections, "line": pin.line, **marker}
    return placed_pin.model_copy(update=facts)


def name_of(text: str) -> str:
    """Return the normalised name of a requirement; of a bare URL or path what its end says, if anything."""
    try:
        return canonicalize_name(Requirement(text).name)
    except InvalidRequirement:
        return _named_by(text)


def _named_by(address: str) -> str:
    """Return the name in `#egg=keras`, a wheel's file, `keras.git@v3.5.0` or `./vendor/keras`."""
    egg = re.search(r"[#&]egg=([A-Za-z0-9][A-Za-z0-9._-]*)", address)
    if egg:
        return canonicalize_name(egg[1])
    path = address.removeprefix("-e ").strip().partition("#")[0]
    last = re.split(r"\s", path, maxsplit=1)[0].rstrip("/").rpartition("/")
    if not last[1]:
        return ""
    wheel = re.match(r"([A-Za-z0-9][A-Za-z0-9._]*)-[0-9][^-]*(-.*\.whl$|\.tar\.|\.zip)", last[2])
    name = wheel[1] if wheel else re.sub(r"(\.git)?(@.*)?$", "", last[2], count=1)
    return canonicalize_name(name) if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name) else ""


def pinned(text: str) -> str | None:
    """Return the one version that a line of requirements allows; None for a range, a URL or a path."""
    try:
        return exact(Requirement(text))
    except InvalidRequirement:
        return None


def texts(pins: Iterable[Pin]) -> tuple[str, ...]:
    """Return the requirements of packages, each once, without the project's own folders."""
    return tuple(dict.fromkeys(pin.text for pin in pins if pin.installed))


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


def plain_python(text: str) -> str | None:
    """Return `3.11` or `3.11.9`; None for a range, an implementation or nothing."""
    return text if re.fullmatch(r"\d+\.\d+(\.\d+)?", text) else None


def placed(where: str, line: int | None) -> str:
    """Return how a message names a line of a file."""
    return where if line is None else f"{where}:{line}"


def refuse_injection(pin: Pin, source: Source) -> None:
    """Refuse what an installer would read as more than one requirement: a line break, an option."""
    where = source.where if pin.manifest == source.path else f"{source.where} includes {show(pin.manifest)}"
    place = placed(where, pin.line)
    if pin.name and not _NAME.fullmatch(pin.name):
        raise ConfigurationError(f"{place}: {show(pin.name)!r} is not the name of a package.")
    text = pin.text.removeprefix("-e ")
    if not text or text.startswith("-") or not text.isprintable():
        raise ConfigurationError(f"{place}: {show(pin.text)!r} is not a requirement.")
    if pin.version is not None and not _VERSION.fullmatch(pin.version):
        raise ConfigurationError(f"{place}: {show(pin.version)!r} is not a version.")
