"""Why nothing can be said about an upgrade: what was not read, and what contradicts itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import dirname

from validator.upgrade import unread
from validator.upgrade.git import Changes
from validator.upgrade.manifest import name_of
from validator.upgrade.reader import Reader
from validator.upgrade.relevant import FRAMEWORKS, Relevance
from validator.upgrade.selection import Selection
from validator.upgrade.sides import machine_of
from validator.upgrade.stale import stale
from validator.upgrade.text import show
from validator.upgrade.types import (
    AmbiguousReason,
    NoFrameworkReason,
    Options,
    Side,
    SideName,
    StaleLockReason,
    UndecidedReason,
    UnreadReason,
)


@dataclass(frozen=True)
class ReadSides:
    """What was read of both sides, base first, and by which rules."""

    readers: tuple[Reader, Reader]
    selections: tuple[Selection, Selection]
    sides: tuple[Side, Side]
    changes: Changes
    options: Options
    relevance: Relevance

    def reasons(self, *, relevant: bool) -> Iterator[UndecidedReason]:
        """Yield why the upgrade is not known; `relevant` if what was read of it moves a model's numbers."""
        rivals = self._rivals()
        files = tuple(self._unread())
        yield from rivals
        yield from files
        if not rivals:
            yield from self._without_framework(files)
        yield from self._stale(relevant=relevant)

    def _rivals(self) -> tuple[AmbiguousReason, ...]:
        """Manifests of which either could decide, and one of which moves what matters."""
        if not any(selection.rivals for selection in self.selections):
            return ()
        asked = [
            {path: self._relevant(reader, path) for path in selection.rivals}
            for reader, selection in zip(self.readers, self.selections, strict=True)
        ]
        if asked[0] == asked[1]:
            return ()
        paths = sorted(asked[0].keys() | asked[1].keys())
        return (AmbiguousReason(manifests=tuple(map(show, paths))),)

    def _relevant(self, reader: Reader, path: str) -> frozenset[str]:
        return frozenset(pin.text for pin in reader.manifest(path).pins if pin.name in self.relevance)

    def _unread(self) -> Iterator[UnreadReason]:
        if self.options.manifests is not None:
            return iter(())  # the list says what counts
        snapshots = (self.readers[0].snapshot, self.readers[1].snapshot)
        return unread.changed(snapshots, self.changes, self.sides, self._counting())

    def _counting(self) -> unread.Counts:
        before, now = self.selections
        folder = now.folder if now.folder is not None else before.folder
        start = dirname(self.options.configuration or "")
        return unread.counting(start, folder, before.homes | now.homes, self.options.ignore)

    def _without_framework(self, files: tuple[UnreadReason, ...]) -> Iterator[NoFrameworkReason]:
        """Yield that a side names no framework, unless a file that says so by its change is named already."""
        lacking: list[SideName] = [
            side.name
            for side, selection in zip(self.sides, self.selections, strict=True)
            if side.name not in self.options.named
            and not selection.rivals
            and not FRAMEWORKS & {name_of(line) for line in side.requirements}
        ]
        if not lacking or (files and len(lacking) > 1):
            return
        reader = self.readers[0 if lacking == ["base"] else 1]
        yield NoFrameworkReason(
            side=lacking[0] if len(lacking) == 1 else None,
            path=unread.naming(reader.snapshot, self._counting()),
        )

    def _stale(self, *, relevant: bool) -> Iterator[StaleLockReason]:
        """Yield what this change left behind in a lock; where models would run, all that the lock lacks."""
        before, now = (set(self._stale_of(number)) for number in (0, 1))
        yield from sorted(now if relevant else now - before, key=lambda reason: reason.package)

    def _stale_of(self, number: int) -> Iterator[StaleLockReason]:
        reader, selection = self.readers[number], self.selections[number]
        machine = machine_of(self.sides[number].python)
        for paths in selection.compared.values():
            yield from stale((reader.manifest(path) for path in paths), self.relevance, machine)
