"""What moved between the two sides: packages, versions, ranges, and the Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import zip_longest
from posixpath import splitext
from typing import NamedTuple

from packaging.version import InvalidVersion, Version

from validator.base import Frozen
from validator.upgrade.manifest import LOCKS, DependencyManifest, Kind, Pin
from validator.upgrade.text import show
from validator.upgrade.types import Index, PackageChange, PythonReason


class ProjectSide(Frozen):
    """The manifests of one folder on one side, taken together, without the project's own folders.

    `locked` are the pins whose versions are final, `asked` what people wrote, `limits` constraints.
    `resolved` holds what the ranges resolved to, where that was asked.
    """

    manifests: tuple[DependencyManifest, ...] = ()
    locked: tuple[Pin, ...] = ()
    asked: tuple[Pin, ...] = ()
    limits: tuple[Pin, ...] = ()
    resolved: dict[str, str] | None = None

    @property
    def open(self) -> bool:
        """Whether its versions depend on the day."""
        closed = all(manifest.closed for manifest in self.manifests if manifest.pins)
        return bool(self.asked) and not self.locked and not closed

    @property
    def index(self) -> Index:
        """Where its packages come from."""
        return sum((manifest.index for manifest in self.manifests), Index())

    def asks(self) -> tuple[object, ...]:
        """Return what decides whether a resolver is asked, whatever the order of the lines."""
        asked, limits = (sorted(pin.text for pin in pins) for pins in (self.asked, self.limits))
        return asked, limits, bool(self.locked), self.index

    def names(self) -> frozenset[str]:
        """Return every package that it names."""
        pins = (*self.locked, *self.asked, *self.limits)
        return frozenset(pin.key for pin in pins) | frozenset(self.resolved or ())

    @cached_property
    def _by_name(self) -> tuple[dict[str, list[Pin]], ...]:
        """The pins of each package: locked, asked, limits."""
        groups: tuple[dict[str, list[Pin]], ...] = ({}, {}, {})
        for group, pins in zip(groups, (self.locked, self.asked, self.limits), strict=True):
            for pin in pins:
                group.setdefault(pin.key, []).append(pin)
        return groups

    def package(self, name: str) -> _Package:
        """Return one package, whether this side has it or not."""
        locked, asked, limits = (pins.get(name, []) for pins in self._by_name)
        resolved = (self.resolved or {}).get(name)
        if self.resolved is not None and resolved is None:
            limits = []  # limited, and not installed
        versions: dict[str, Pin | None] = {}
        if self.locked:
            versions.update((pin.version or _reference(pin), pin) for pin in locked)
        elif resolved is not None and not any(pin.url for pin in asked):
            versions[resolved] = next((pin for pin in asked if pin.version == resolved), None)
        else:
            # A limit to one version is that version, for whoever needs the package.
            exact = [[pin for pin in pins if pin.version or pin.url] for pins in (asked, limits)]
            versions.update((pin.version or _reference(pin), pin) for pin in exact[0] or exact[1])
        return _Package(
            written={pin.text: pin for pin in (*asked, *limits)},
            versions=versions,
            settled=bool(self.locked) or resolved is not None,
            direct=bool(asked) if self.asked else any(pin.direct for pin in locked),
            manifest=next((pin.manifest for pin in (*asked, *locked, *limits)), None),
        )


class _Package(NamedTuple):
    """What one side says about a package.

    `written` is what people wrote, by its text; `versions` are several where markers tell them apart, none if
    unknown, and `settled` if they are final whatever the ranges say. `direct`: the project itself names it; a
    lock alone says that as well as it can.
    """

    written: dict[str, Pin]
    versions: dict[str, Pin | None]
    settled: bool
    direct: bool
    manifest: str | None


class Move(NamedTuple):
    """One change, and whether a version moved or only a range."""

    change: PackageChange
    moved: bool


def project_side(manifests: list[DependencyManifest]) -> ProjectSide:
    """Return the manifests of one folder, in the order of their names, as one project.

    Where several locks lie side by side the first of `LOCKS` counts. A requirements.txt compiled from the
    requirements.in beside it is its lock.
    """
    best = next((kind for kind in LOCKS if any(manifest.kind == kind for manifest in manifests)), None)
    sources = {each.path for each in manifests if each.path.endswith(".in")}
    locks: list[DependencyManifest] = []
    others: list[DependencyManifest] = []
    for manifest in manifests:
        stem, ending = splitext(manifest.path)
        compiled = ending == ".lock" or (ending == ".txt" and f"{stem}.in" in sources)
        if manifest.kind == best or (compiled and manifest.kind not in LOCKS):
            locks.append(manifest)
        elif manifest.kind not in LOCKS:
            others.append(manifest)
    return ProjectSide(
        manifests=tuple(manifests),
        locked=tuple(pin for manifest in locks for pin in manifest.pins if pin.installed),
        asked=tuple(pin for manifest in others for pin in manifest.pins if pin.installed),
        limits=tuple(pin for manifest in others for pin in manifest.constraints if pin.installed),
    )


def moves(base: ProjectSide, head: ProjectSide) -> Iterator[Move]:
    """Yield what moved, by name, and within a name by version."""
    manifests = (*head.manifests, *base.manifests)
    anywhere = next((manifest.path for manifest in manifests if manifest.pins), "")
    for name in sorted(base.names() | head.names()):
        yield from _PackageMoves(name, base.package(name), head.package(name), anywhere).moves()


class _PackageMoves(NamedTuple):
    """The moves of one package, placed in the line a person edited, else in the lock's, else `anywhere`."""

    name: str
    old: _Package
    new: _Package
    anywhere: str

    def moves(self) -> Iterator[Move]:
        before, after = self.old.written, self.new.written
        old, new = self.old.versions, self.new.versions
        rewritten = before.keys() ^ after.keys()
        if (old or not before) and (new or not after):
            pairs = list(_pairs(set(old), set(new)))
            for was, now in pairs:
                yield self._move(was, now, new.get(now or ""))
            if not pairs and rewritten and before and after:
                # A range was rewritten beside an exact version: it may decide one as well.
                settled = self.old.settled and self.new.settled
                ranges = any((before | after)[text].version is None for text in rewritten)
                yield self._range(before, after, moved=ranges and not settled)
        elif rewritten or bool(old) != bool(new):
            yield self._range(before or old, after or new)

    def _range(
        self, before: Mapping[str, Pin | None], after: Mapping[str, Pin | None], *, moved: bool = True
    ) -> Move:
        was, now = _joined(before), _joined(after)
        if was == now:  # only markers or extras differ, so these must be seen
            was, now = (" | ".join(sorted(map(show, each))) or None for each in (before, after))
        pin = next((pin for text, pin in after.items() if text not in before), None)
        return self._move(was, now, pin, moved=moved)

    def _move(self, old: str | None, new: str | None, pin: Pin | None, *, moved: bool = True) -> Move:
        edited = (pin for text, pin in self.new.written.items() if text not in self.old.written)
        place = next(edited, pin)
        change = PackageChange(
            name=show(self.name),
            old=old,
            new=new,
            direct=self.new.direct or (new is None and self.old.direct),
            manifest=place.manifest if place is not None else self.old.manifest or self.anywhere,
            line=place.line if place is not None else None,
        )
        return Move(change, moved)


def _joined(texts: Mapping[str, Pin | None]) -> str | None:
    """Return ranges and references as one text: `==3.3.3 | >=3.4`."""
    if not texts:
        return None
    parts = {_reference(pin) for pin in texts.values() if pin is not None}
    return " | ".join(sorted(parts) or map(show, texts))


def _pairs(old: set[str], new: set[str]) -> Iterator[tuple[str | None, str | None]]:
    """Pair the versions that went with those that came, newest with newest where one has no partner."""
    gone, came = sorted(old - new, key=_order), sorted(new - old, key=_order)
    newest = [max(versions, key=_order, default=None) for versions in (old, new)]
    for was, now in zip_longest(gone, came):
        yield (newest[0] if was is None else was, newest[1] if now is None else now)


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version


def _reference(pin: Pin) -> str:
    """Return a range, or a direct reference without the name before it and without credentials."""
    return show((pin.text.partition(" @ ")[2] or pin.text) if pin.url else pin.specifier or "any")


def pythons(base: ProjectSide, head: ProjectSide) -> Iterator[PythonReason]:
    """Yield each Python that a kind of manifest asked for and now asks for otherwise."""
    manifests = (*head.manifests, *base.manifests)
    # A lock repeats the Python of its manifest; where one beside it has a Python, that is the place.
    repeated = any(each.kind not in LOCKS and (each.python or each.requires_python) for each in manifests)
    for kind in dict.fromkeys(manifest.kind for manifest in (*base.manifests, *head.manifests)):
        old, new = (_python(side.manifests, kind) for side in (base, head))
        if old != new and not (kind in LOCKS and repeated):
            place = next(manifest.path for manifest in manifests if manifest.kind == kind)
            yield PythonReason(old=old, new=new, manifest=place)


def _python(manifests: Iterable[DependencyManifest], kind: Kind) -> str | None:
    asked = (each.python or each.requires_python for each in manifests if each.kind == kind)
    return next((show(python) for python in asked if python), None)
