"""Which manifests speak: those that changed, their counterparts, and those an environment is built from."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.git import Changed
from validator.upgrade.manifests import LOCKS, Kind, Manifest, Reader, kind_of, required_kind
from validator.upgrade.relevant import FRAMEWORKS, LIBRARIES, Relevance
from validator.upgrade.text import join, show

_PRIMARY = ("requirements.txt", "pyproject.toml", "environment.yml", "environment.yaml", "Pipfile")


class Selection(Frozen):
    """The manifests of one side: path → kind. `projects` maps a path to its folder on the head side."""

    compared: dict[str, Kind]
    installed: dict[str, Kind]
    projects: dict[str, str]

    def by_project(self) -> dict[str, list[str]]:
        """Return the compared paths of each project, in the order of their names."""
        found: dict[str, list[str]] = {}
        for path in sorted(self.compared):
            found.setdefault(self.projects[path], []).append(path)
        return found


def select(
    base: Reader,
    head: Reader,
    changed: Iterable[Changed],
    listed: tuple[str, ...] | None,
    relevance: Relevance,
) -> tuple[Selection, Selection]:
    """Return what is read on both sides.

    Args:
        base: the base side.
        head: the head side.
        changed: what differs between them; a renamed manifest is one manifest.
        listed: the manifests of the configuration, relative to the root of the repository; None finds them.
        relevance: the packages that make a manifest worth building an environment from.

    Raises:
        ConfigurationError: a listed manifest exists on neither side, or a manifest cannot be read.
    """
    changes = list(changed)
    renamed = {
        change.old: change.new for change in changes if change.old and change.new and change.old != change.new
    }
    if listed is not None:
        return _listed(base, head, listed, renamed)
    touched = {path for change in changes for path in (change.old, change.new) if path is not None}
    known = [reader.known() for reader in (base, head)]
    moved: dict[str, Kind] = {}
    for reader, kinds in zip((base, head), known, strict=True):
        moved |= _moved(reader, kinds, touched)
    for old, new in renamed.items():
        for path, other, kinds in ((old, new, known[1]), (new, old, known[0])):
            if path in moved and other in kinds:
                moved[other] = kinds[other]
    movement = _Movement(moved=moved, renamed=renamed)
    return _selection(base, known[0], movement, relevance), _selection(head, known[1], movement, relevance)


class _Movement(Frozen):
    """The manifests that moved, of both sides, and the new names of those renamed."""

    moved: dict[str, Kind]
    renamed: dict[str, str]

    def project(self, path: str) -> str:
        return posixpath.dirname(self.renamed.get(path, path))

    def compares(self, path: str, kind: Kind) -> bool:
        """Whether a manifest moved or belongs to one that did: lock and manifest, .in and .txt."""
        if path in self.moved:
            return True
        for other, other_kind in self.moved.items():
            if self.project(other) != self.project(path):
                continue
            if (kind in LOCKS) != (other_kind in LOCKS) and {kind, other_kind} & {"pyproject", "pipfile"}:
                return True
            stems = posixpath.splitext(other)[0], posixpath.splitext(path)[0]
            if stems[0] == stems[1] and {kind, other_kind} <= {"requirements", "constraints"}:
                return True
        return False


def _listed(
    base: Reader, head: Reader, listed: tuple[str, ...], renamed: dict[str, str]
) -> tuple[Selection, Selection]:
    before = {new: old for old, new in renamed.items()}
    kinds = {join("", path, "manifests"): required_kind(path) for path in listed}
    heads = {path: kind for path, kind in kinds.items() if head.exists(path)}
    bases: dict[str, Kind] = {}
    for path, kind in kinds.items():
        old = path if base.exists(path) else before.get(path, path)
        if base.exists(old):
            bases[old] = kind_of(old) or kind
        elif path not in heads:
            raise ConfigurationError(
                f"manifests: {show(path)} exists neither at the base nor at the head; correct the path."
            )
    movement = _Movement(moved={}, renamed=renamed)
    base_side, head_side = (
        Selection(compared=side, installed=side, projects={path: movement.project(path) for path in side})
        for side in (bases, heads)
    )
    return base_side, head_side


def _moved(reader: Reader, known: Mapping[str, Kind], touched: set[str]) -> dict[str, Kind]:
    """Return the manifests that changed themselves or include a file that did."""
    moved: dict[str, Kind] = {}
    for path, kind in known.items():
        read = {path}
        if path not in touched and kind in {"requirements", "constraints", "conda"}:
            manifest = _quietly(reader, path, kind)
            read.update(manifest.includes if manifest is not None else ())
        # A symbolic link is the same while the file that it names changes.
        if touched & (read | {reader.snapshot.real(each) for each in read}):
            moved[path] = kind
    return moved


def _quietly(reader: Reader, path: str, kind: Kind) -> Manifest | None:
    # An untouched manifest somewhere that cannot be read is not this pull request's fault.
    try:
        return reader.manifest(path, kind)
    except ConfigurationError:
        return None


def _selection(
    reader: Reader, known: Mapping[str, Kind], movement: _Movement, relevance: Relevance
) -> Selection:
    compared = {path: kind for path, kind in known.items() if movement.compares(path, kind)}
    return Selection(
        compared=compared,
        installed=_installed(reader, known, compared, relevance),
        projects={path: movement.project(path) for path in known},
    )


def _installed(
    reader: Reader, known: Mapping[str, Kind], compared: Mapping[str, Kind], relevance: Relevance
) -> dict[str, Kind]:
    """Return what an environment is built from: folders that moved and hold a framework, or any that do."""
    manifests = {path: _quietly(reader, path, kind) for path, kind in known.items()}
    names = {
        path: {pin.name for pin in one.pins} if one is not None else set() for path, one in manifests.items()
    }
    worth = FRAMEWORKS | LIBRARIES | relevance.names
    holds = {path for path in known if names[path] & worth}
    if not holds:
        for path, kind in known.items():
            if manifests[path] is None:
                reader.manifest(path, kind)  # the file that should hold one cannot be read: say so
    folders = {posixpath.dirname(path) for path in holds}
    wanted = {posixpath.dirname(path) for path in compared} & folders
    if not wanted:
        wanted = {""} & folders or folders
    chosen: dict[str, Kind] = {}
    for folder in sorted(wanted):
        inside = {path: kind for path, kind in known.items() if posixpath.dirname(path) == folder}
        chosen |= _of_folder(
            inside, compared, holds, {path for path in inside if _any_in(names[path], relevance)}
        )
    # A version of Python asked for here or at the root counts for whatever is installed.
    python = {path: kind for path, kind in known.items() if kind == "python-version"}
    return chosen | {path: kind for path, kind in python.items() if posixpath.dirname(path) in {"", *wanted}}


def _any_in(names: Iterable[str], relevance: Relevance) -> bool:
    return any(name in relevance for name in names)


def _of_folder(
    inside: Mapping[str, Kind], compared: Mapping[str, Kind], holds: set[str], relevant: set[str]
) -> dict[str, Kind]:
    for lock in LOCKS:
        locks = {path: kind for path, kind in inside.items() if kind == lock and path in holds}
        if locks:
            moved = {path: kind for path, kind in locks.items() if path in compared}
            return _with_manifests(moved or locks, inside)
    plain = {path: kind for path, kind in inside.items() if path in holds}
    moved = {path: kind for path, kind in plain.items() if path in compared}
    primary = {path: kind for path, kind in plain.items() if posixpath.basename(path) in _PRIMARY}
    chosen = moved or primary or plain
    # A constraints file that nothing includes, or a second file with numpy in it, moves numbers as well.
    extra = {path: kind for path, kind in inside.items() if path in compared and path in relevant}
    return _without_sources({**chosen, **extra}, inside)


def _with_manifests(locks: Mapping[str, Kind], inside: Mapping[str, Kind]) -> dict[str, Kind]:
    # The manifest beside a lock says which of its packages are direct and which extras and groups there are.
    return {**locks, **{path: kind for path, kind in inside.items() if kind in {"pyproject", "pipfile"}}}


def _without_sources(chosen: dict[str, Kind], inside: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return `chosen` without each requirements.in whose compiled .txt stands beside it."""
    result = dict(chosen)
    for path in chosen:
        compiled = path.removesuffix(".in") + ".txt"
        if path.endswith(".in") and compiled in inside:
            del result[path]
            result[compiled] = inside[compiled]
    return result
