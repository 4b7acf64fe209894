"""Which manifests count: those that changed, their counterparts, and those an environment is built from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from posixpath import basename, dirname, splitext

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.git import Changes
from validator.upgrade.manifest import LOCKS, SOURCES, kind_of, required_kind
from validator.upgrade.reader import Reader
from validator.upgrade.relevant import FRAMEWORKS, LIBRARIES, Relevance
from validator.upgrade.text import join, show

_PRIMARY = frozenset({"requirements.txt", "pyproject.toml", "environment.yml", "environment.yaml", "Pipfile"})


class Selection(Frozen):
    """The paths of one side: those compared, by their project's folder at the head, and those installed."""

    compared: dict[str, tuple[str, ...]]
    installed: frozenset[str]


def select(
    readers: tuple[Reader, Reader], changes: Changes, listed: tuple[str, ...] | None, relevance: Relevance
) -> tuple[Selection, Selection]:
    """Return what is read on the base and the head side; a renamed manifest is one manifest.

    `listed` are the manifests of the configuration, relative to the root of the repository; None finds them.
    A package of `relevance` makes a manifest worth building an environment from.
    """
    renamed = changes.renamed
    if listed is not None:
        base, head = _listed(*readers, listed, renamed)
        return _selection(base, base, renamed), _selection(head, head, renamed)
    moved = {path for reader in readers for path in _moved(reader, changes.touched)}
    base, head = ({path for path in reader.known if _compares(path, moved, renamed)} for reader in readers)
    return (
        _selection(base, _installed(readers[0], base, relevance), renamed),
        _selection(head, _installed(readers[1], head, relevance), renamed),
    )


def _listed(
    base: Reader, head: Reader, listed: Iterable[str], renamed: dict[str, str]
) -> tuple[set[str], set[str]]:
    before = {new: old for old, new in renamed.items()}
    bases, heads = set(), set()
    for path in (join("", each, "manifests") for each in listed):
        kind = required_kind(path)
        old = path if base.snapshot.exists(path) else before.get(path, path)
        if head.snapshot.exists(path):
            heads.add(path)
        if base.snapshot.exists(old):
            bases.add(old)
            base.kinds[old] = kind_of(old) or kind
        elif path not in heads:
            raise ConfigurationError(
                f"manifests: {show(path)} exists neither at the base nor at the head; correct the path."
            )
    return bases, heads


def _selection(compared: set[str], installed: set[str], renamed: dict[str, str]) -> Selection:
    projects: dict[str, tuple[str, ...]] = {}
    for path in sorted(compared):
        project = _project(path, renamed)
        projects[project] = (*projects.get(project, ()), path)
    return Selection(compared=projects, installed=frozenset(installed))


def _project(path: str, renamed: dict[str, str]) -> str:
    return dirname(renamed.get(path, path))


def _moved(reader: Reader, touched: AbstractSet[str]) -> Iterator[str]:
    """Yield the manifests that changed themselves or include a file that did."""
    for path in reader.known:
        paths = {path}
        if path not in touched and kind_of(path) in {"requirements", "constraints", "conda"}:
            manifest = reader.readable(path)
            paths.update(manifest.includes if manifest is not None else ())
        # A symbolic link is the same while the file that it names changes.
        if touched & (paths | {reader.snapshot.real(each) for each in paths}):
            yield path


def _compares(path: str, moved: set[str], renamed: dict[str, str]) -> bool:
    """Whether a manifest moved or belongs to one that did: lock and manifest, .in and .txt."""
    project = _project(path, renamed)
    return path in moved or any(
        _project(other, renamed) == project and _belong(path, other) for other in moved
    )


def _belong(path: str, other: str) -> bool:
    kinds = {kind_of(path), kind_of(other)}
    if kinds & SOURCES and kinds & set(LOCKS):
        return True
    return kinds <= {"requirements", "constraints"} and splitext(path)[0] == splitext(other)[0]


def _installed(reader: Reader, compared: set[str], relevance: Relevance) -> set[str]:
    """Return what an environment is built from: folders that moved and hold a framework, or any that do."""
    manifests = {path: reader.readable(path) for path in reader.known}
    names = {path: {pin.name for pin in each.pins} for path, each in manifests.items() if each is not None}
    holding = {path for path in names if names[path] & (FRAMEWORKS | LIBRARIES | relevance.names)}
    if not holding:
        for path in reader.known - names.keys():
            reader.manifest(path)  # the file that should hold one cannot be read: say so
    relevant = {path for path in names if any(name in relevance for name in names[path])}
    folders = {dirname(path) for path in holding}
    folders = {dirname(path) for path in compared} & folders or {""} & folders or folders
    chosen: set[str] = set()
    for folder in folders:
        inside = {path for path in reader.known if dirname(path) == folder}
        chosen |= _of_folder(inside, compared, holding, relevant)
    # A version of Python asked for in these folders or at the root counts for whatever is installed.
    pythons = {path for path in reader.known if kind_of(path) == "python-version"}
    return chosen | {path for path in pythons if dirname(path) in {"", *folders}}


def _of_folder(inside: set[str], compared: set[str], holding: set[str], relevant: set[str]) -> set[str]:
    plain = inside & holding
    for kind in LOCKS:
        locks = {path for path in plain if kind_of(path) == kind}
        if locks:
            # The manifest beside a lock says which packages are direct and which extras and groups exist.
            return (locks & compared or locks) | {path for path in inside if kind_of(path) in SOURCES}
    primary = {path for path in plain if basename(path) in _PRIMARY}
    # A constraints file that nothing includes, or a second file with numpy in it, moves numbers as well.
    chosen = (plain & compared or primary or plain) | (inside & compared & relevant)
    # A requirements.in counts by the .txt that was compiled from it and stands beside it.
    compiled = {path: f"{path.removesuffix('.in')}.txt" for path in chosen if path.endswith(".in")}
    return {compiled[path] if compiled.get(path) in inside else path for path in chosen}
