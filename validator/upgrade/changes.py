"""What moved between the two sides: packages, versions, ranges, and the Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest

from packaging.version import InvalidVersion, Version

from validator.base import Frozen
from validator.results import PackageChange
from validator.upgrade.manifests import LOCKS, Kind, Manifest, Pin, Reader
from validator.upgrade.text import show


class Project(Frozen):
    """The manifests of one folder on one side, taken together.

    `locked` are the pins whose versions are final, `asked` what people wrote, `limits` constraints.
    `resolved` holds what the ranges resolved to, where that was asked.
    """

    folder: str
    manifests: tuple[Manifest, ...] = ()
    locked: tuple[Pin, ...] = ()
    asked: tuple[Pin, ...] = ()
    limits: tuple[Pin, ...] = ()
    resolved: dict[str, str] | None = None

    @property
    def open(self) -> bool:
        """Whether its versions depend on the day."""
        return (
            bool(self.asked) and not self.locked and not all(one.closed for one in self.manifests if one.pins)
        )

    def names(self) -> frozenset[str]:
        """Return every package it speaks of."""
        pins = (*self.locked, *self.asked, *self.limits)
        return frozenset(pin.name or pin.text for pin in pins if not pin.local) | frozenset(
            self.resolved or ()
        )

    def versions(self, name: str) -> Mapping[str, Pin | None]:
        """Return the versions of a package: several where markers tell them apart, none if unknown."""
        if self.locked:
            return {
                pin.version or _reference(pin): pin for pin in self.locked if (pin.name or pin.text) == name
            }
        written = [pin for pin in self.asked if (pin.name or pin.text) == name]
        if self.resolved is not None and name in self.resolved and not any(pin.url for pin in written):
            version = self.resolved[name]
            return {version: next((pin for pin in written if pin.version == version), None)}
        if not written and self.resolved is not None:
            return {}  # limited, and not installed
        exact = {pin.version or _reference(pin): pin for pin in written if pin.version is not None or pin.url}
        # A limit to one version is that version, for whoever needs the package.
        limits = {pin.version: pin for pin in self.limits if pin.name == name and pin.version is not None}
        return exact or limits

    def settles(self, name: str) -> bool:
        """Whether the versions of a package are final, whatever the ranges say."""
        return bool(self.locked) or name in (self.resolved or ())

    def words(self, name: str) -> dict[str, Pin]:
        """Return what people wrote about a package, by its text."""
        limits = self.limits if self.resolved is None or name in self.resolved else ()
        pins = (*self.asked, *limits)
        return {pin.text: pin for pin in pins if (pin.name or pin.text) == name and not pin.local}

    def direct(self, name: str) -> bool:
        """Whether the project itself names the package. A lock alone says it as well as it can."""
        if self.asked:
            return any((pin.name or pin.text) == name for pin in self.asked)
        return any(pin.direct for pin in self.locked if pin.name == name)


class Move(Frozen):
    """One change, and whether a version moved or only a range."""

    change: PackageChange
    moved: bool


def project(reader: Reader, folder: str, paths: Iterable[str], kinds: Mapping[str, Kind]) -> Project:
    """Return the manifests of one folder, read once, as one project.

    Where several locks lie side by side the first of `LOCKS` speaks. A requirements.txt compiled from the
    requirements.in beside it is its lock.
    """
    names = list(paths)
    manifests = [reader.manifest(path, kinds[path]) for path in names]
    best = next((kind for kind in LOCKS if any(one.kind == kind for one in manifests)), None)
    compiled = {
        path for path in names if path.endswith(".txt") and path.removesuffix(".txt") + ".in" in names
    }
    locks = [one for one in manifests if one.path in compiled or (best is not None and one.kind == best)]
    others = [one for one in manifests if one not in locks and one.kind not in LOCKS]
    return Project(
        folder=folder,
        manifests=tuple(manifests),
        locked=tuple(pin for one in locks for pin in one.pins if not pin.local),
        asked=tuple(pin for one in others for pin in one.pins if not pin.local),
        limits=tuple(pin for one in others for pin in one.constraints),
    )


def moves(base: Project, head: Project) -> Iterator[Move]:
    """Yield what moved, by name, and within a name by version."""
    for name in sorted(base.names() | head.names()):
        old, new = base.versions(name), head.versions(name)
        before, after = base.words(name), head.words(name)
        place = _Place(base, head, name, before, after)
        if (old or not before) and (new or not after):
            pairs = list(_pairs(set(old), set(new)))
            yield from (place.move(was, now, new.get(now or "")) for was, now in pairs)
            if not pairs and set(before) != set(after) and before and after:
                rewritten = [
                    pin
                    for text, pin in (*before.items(), *after.items())
                    if (text in before) != (text in after)
                ]
                settled = base.settles(name) and head.settles(name)
                moved = not settled and any(pin.version is None for pin in rewritten)
                yield _range(place, before, after, moved=moved)
        elif set(before) != set(after) or bool(old) != bool(new):
            yield _range(place, before or old, after or new, moved=True)


def _range(
    place: _Place, before: Mapping[str, Pin | None], after: Mapping[str, Pin | None], *, moved: bool
) -> Move:
    was, now = _spoken(before), _spoken(after)
    if was == now:  # only markers or extras differ, so these must be seen
        was, now = (" | ".join(sorted(map(show, each))) or None for each in (before, after))
    pin = next((pin for text, pin in after.items() if text not in before), None)
    found = place.move(was, now, pin)
    return found.model_copy(update={"moved": moved})


def _spoken(words: Mapping[str, Pin | None]) -> str | None:
    if not words:
        return None
    said = sorted(
        {
            pin.specifier or (_reference(pin) if pin.url else "any")
            for pin in words.values()
            if pin is not None
        }
    )
    return " | ".join(map(show, said or words))


class _Place:
    """Where a change is told: in the line a person edited, else in the lock's."""

    def __init__(
        self, base: Project, head: Project, name: str, before: Mapping[str, Pin], after: Mapping[str, Pin]
    ) -> None:
        self._base, self._head, self._name = base, head, name
        self._edited = next((pin for text, pin in after.items() if text not in before), None)

    def move(self, old: str | None, new: str | None, pin: Pin | None) -> Move:
        told = self._edited or pin
        gone = None if told is not None else self._last()
        manifest = (
            told.manifest if told is not None else gone or self._any(self._head) or self._any(self._base)
        )
        change = PackageChange(
            name=show(self._name),
            old=old,
            new=new,
            direct=self._head.direct(self._name) or (new is None and self._base.direct(self._name)),
            manifest=manifest,
            line=told.line if told is not None else None,
        )
        return Move(change=change, moved=True)

    def _last(self) -> str | None:
        """Return where the package stood, if it is gone from there."""
        pins = (*self._base.asked, *self._base.locked, *self._base.limits)
        return next((pin.manifest for pin in pins if (pin.name or pin.text) == self._name), None)

    @staticmethod
    def _any(project: Project) -> str:
        return next((one.path for one in project.manifests if one.pins), "")


def _pairs(old: set[str], new: set[str]) -> Iterator[tuple[str | None, str | None]]:
    """Pair the versions that went with those that came, newest with newest where one has no partner."""
    gone, came = sorted(old - new, key=_order), sorted(new - old, key=_order)
    for was, now in zip_longest(gone, came):
        yield (
            was if was is not None else max(old, key=_order, default=None),
            now if now is not None else max(new, key=_order, default=None),
        )


def _order(version: str) -> tuple[bool, Version, str]:
    try:
        return True, Version(version), version
    except InvalidVersion:
        return False, Version("0"), version


def _reference(pin: Pin) -> str:
    """Return a direct reference without the name before it and without credentials."""
    if not pin.url:
        return show(pin.specifier or "any")
    return show(pin.text.partition(" @ ")[2] or pin.text)


def pythons(base: Project, head: Project) -> Iterator[str]:
    """Yield one sentence for each Python that a manifest asked for and now asks for otherwise."""
    for kind in dict.fromkeys(one.kind for one in (*base.manifests, *head.manifests)):
        old, new = (_python(each.manifests, kind) for each in (base, head))
        if old != new and not (kind in LOCKS and _told(base, head)):
            place = next((one.path for one in (*head.manifests, *base.manifests) if one.kind == kind), "")
            yield f"Python {show(old) or 'unset'} → {show(new) or 'unset'} in {show(place)}"


def _python(manifests: Iterable[Manifest], kind: Kind) -> str:
    found = (one.python or one.requires_python for one in manifests if one.kind == kind)
    return next((python for python in found if python), "")


def _told(base: Project, head: Project) -> bool:
    """Whether a manifest beside the lock tells the same change."""
    return any(
        one.kind not in LOCKS and (one.python or one.requires_python)
        for one in (*base.manifests, *head.manifests)
    )
