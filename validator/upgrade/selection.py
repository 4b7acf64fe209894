"""Which manifests count: those that the configuration lists, else those of the project nearest to it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from posixpath import dirname, splitext

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.git import Changes
from validator.upgrade.manifest import LOCKS, SOURCES, DependencyManifest, Pin, kind_of, required_kind
from validator.upgrade.places import Nearest, home, is_aside, nearest, order, upwards
from validator.upgrade.reader import Reader
from validator.upgrade.relevant import FOUNDATIONS, FRAMEWORKS, LIBRARIES, Relevance
from validator.upgrade.text import join, show
from validator.upgrade.types import Options

_Paths = set[str]


class Selection(Frozen):
    """The paths of one side: those compared, project by project, and those an environment is built from.

    Of `beside` only the Python counts. `folder` is that of the deciding project; `rivals` are manifests of
    which either could decide; `homes` are the folders of every project that names a framework.
    """

    compared: dict[str, tuple[str, ...]] = {}
    installed: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    folder: str | None = None
    rivals: tuple[str, ...] = ()
    homes: frozenset[str] = frozenset()


def select(
    readers: tuple[Reader, Reader], changes: Changes, options: Options, relevance: Relevance
) -> tuple[Selection, Selection]:
    """Return what is read on the base and the head side; a renamed manifest is one manifest.

    Without a list of manifests, the project nearest to the configuration decides, whatever changed.
    """
    if options.manifests is not None:
        bases, heads = _listed(*readers, options.manifests, changes.renamed)
        return _grouped(bases, changes.renamed), _grouped(heads, changes.renamed)
    start = dirname(options.configuration or "")
    base, head = _Side(readers[0], start, relevance, changes.renamed), _Side(readers[1], start, relevance, {})
    before, now = _places(base, head, start)
    for side, place in ((base, before), (head, now)):
        side.refuse_unreadable(place, changes.touched)
    return base.selection(before, changes.touched), head.selection(now, changes.touched)


def _listed(
    base: Reader, head: Reader, listed: Iterable[str], renamed: dict[str, str]
) -> tuple[_Paths, _Paths]:
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


def _grouped(paths: _Paths, renamed: dict[str, str]) -> Selection:
    projects: dict[str, tuple[str, ...]] = {}
    for path in sorted(paths):
        project = dirname(renamed.get(path, path))
        projects[project] = (*projects.get(project, ()), path)
    return Selection(compared=projects, installed=frozenset(paths))


def _places(base: _Side, head: _Side, start: str) -> tuple[Nearest, Nearest]:
    """Return the deciding folder of each side: the same one, unless the project itself moved."""
    now, before = nearest(head.homes, start), nearest(base.homes, start)
    if now.folder is None or now.folder in base.homes:
        same = now.folder is not None
        return (Nearest(folder=now.folder) if same else before), now
    # Another service's requirements are still its own, and not what this project had before.
    if before.folder in head.homes and before.folder not in upwards(start):
        before = Nearest()
    return before, now


class _Side:
    """The manifests of one side. `renamed` leads from a path of it to the one of the head."""

    def __init__(self, reader: Reader, start: str, relevance: Relevance, renamed: dict[str, str]) -> None:
        self._reader, self._start, self._relevance, self._renamed = reader, start, relevance, renamed
        self._paths = {path for path in reader.known if not is_aside(path, start)}
        self._holding_paths = self._holding(FRAMEWORKS) or self._holding(
            LIBRARIES | FOUNDATIONS | relevance.names
        )
        self.homes = {self._home(path) for path in self._holding_paths}

    def refuse_unreadable(self, place: Nearest, touched: _Paths) -> None:
        """Say why the file that should decide cannot be read, rather than let another stand in for it."""
        for path in sorted(self._paths if not self._holding_paths else self._paths & touched):
            if place.folder is None or self._home(path) in {*upwards(self._start), place.folder}:
                self._reader.manifest(path)

    def _home(self, path: str) -> str:
        return home(self._renamed.get(path, path))

    def _holding(self, names: frozenset[str]) -> _Paths:
        paths = (path for path in self._paths if self._reader.may_name(path, names))
        return {path for path in paths if names & {pin.name for pin in self._pins(path)}}

    def _manifest(self, path: str) -> DependencyManifest | None:
        return self._reader.readable(path)

    def _pins(self, path: str) -> tuple[Pin, ...]:
        manifest = self._manifest(path)
        return manifest.pins if manifest is not None else ()

    def selection(self, place: Nearest, touched: _Paths) -> Selection:
        """Return what counts in the deciding folder, whatever the order in which its files are listed."""
        if place.folder is None:
            near = (path for path in self._holding_paths if self._home(path) in place.rivals)
            return Selection(rivals=tuple(sorted(near)), homes=frozenset(self.homes))
        own = (path for path in self._paths if self._home(path) == place.folder)
        inside = {path for path in own if self._manifest(path) is not None}
        chosen, rivals = self._chosen(inside, place.folder)
        if rivals:
            homes = frozenset(self.homes)
            return Selection(rivals=tuple(sorted(rivals)), folder=place.folder, homes=homes)
        # A second file with numpy in it moves numbers as well.
        chosen |= {path for path in inside & touched if order(path) < 3 and self._is_beside(path, chosen)}
        included = {name for path in chosen for name in self._reader.manifest(path).includes}
        chosen -= included
        # A lock is held against the manifest beside it, and a Python asked for here or above counts.
        companions = {path for path in inside if any(_belong(path, other) for other in chosen)}
        pythons = {
            path
            for path in self._reader.known
            if kind_of(path) == "python-version" and dirname(path) in upwards(place.folder)
        }
        beside = pythons | {path for path in inside if kind_of(path) in SOURCES | {"conda"}} - chosen
        return Selection(
            compared={"": tuple(sorted(chosen | companions | beside))},
            installed=frozenset(chosen),
            beside=frozenset(beside),
            folder=place.folder,
            homes=frozenset(self.homes),
        )

    def _chosen(self, inside: _Paths, folder: str) -> tuple[_Paths, _Paths]:
        """Return the manifests that a project is installed from, or those of which either could be."""
        holding = inside & self._holding_paths
        sources = {path for path in inside if kind_of(path) in SOURCES}
        locks = self._locks(inside, holding, folder)
        if locks:
            return locks | sources, set()
        limits = {path for path in inside if kind_of(path) == "constraints" and order(path) < 3}
        first = min((order(path) for path in holding), default=0)
        chosen = {path for path in holding if order(path) == first}
        if first and self._contradict(chosen):
            return set(), chosen
        # A requirements.in counts by the .txt that was compiled from it and stands beside it.
        compiled = {path: f"{path.removesuffix('.in')}.txt" for path in chosen if path.endswith(".in")}
        chosen = {compiled[path] if compiled.get(path) in inside else path for path in chosen}
        locked = {path for path in chosen if path.endswith(".lock")}
        return (locked or chosen | limits), set()

    def _locks(self, inside: _Paths, holding: _Paths, folder: str) -> _Paths:
        """Return the lock of a project, also that of the workspace around it."""
        for kind in LOCKS:
            sources = {path for path in holding if kind_of(path) in _MADE_FROM[kind]}
            own = {path for path in inside if kind_of(path) == kind and (path in holding or sources)}
            if own:
                first = min(map(order, own))
                return {path for path in own if order(path) == first}
        for above in upwards(folder):
            path = posixpath.join(above, "uv.lock")
            manifest = self._manifest(path) if path in self._paths else None
            if manifest is not None and posixpath.relpath(folder, above or ".") in manifest.members:
                return {path}
        return set()

    def _contradict(self, paths: _Paths) -> bool:
        """Whether manifests pin a framework to different versions."""
        versions: dict[str, set[str]] = {}
        for pin in (pin for path in paths for pin in self._pins(path)):
            if pin.name in FRAMEWORKS and not pin.marker:
                versions.setdefault(pin.name, set()).add(pin.version or pin.text)
        return any(len(each) > 1 for each in versions.values())

    def _is_beside(self, path: str, chosen: _Paths) -> bool:
        """Whether a file names relevant packages of which the chosen ones name none."""
        if kind_of(path) not in {"requirements", "conda"} or any(kind_of(each) in LOCKS for each in chosen):
            return False
        names = {pin.name for each in chosen for pin in self._pins(each)}
        own = {pin.name for pin in self._pins(path) if pin.name in self._relevance}
        return bool(own) and not own & names


#: Which manifests a lock is made from. One compiled by pip or exported may be made from any.
_MADE_FROM: dict[str, frozenset[str | None]] = {
    "uv-lock": frozenset({"pyproject", "setup-cfg"}),
    "poetry-lock": frozenset({"pyproject"}),
    "pdm-lock": frozenset({"pyproject"}),
    "pipfile-lock": frozenset({"pipfile"}),
    "pylock": frozenset(),
}


def _belong(path: str, other: str) -> bool:
    """Whether two manifests of a project are lock and manifest, or .in and .txt."""
    kinds = {kind_of(path), kind_of(other)}
    if kinds & SOURCES and kinds & set(LOCKS):
        return True
    return kinds <= {"requirements", "constraints"} and splitext(path)[0] == splitext(other)[0]
