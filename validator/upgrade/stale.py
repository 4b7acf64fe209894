"""Locks that do not satisfy the manifest they were made from: what they install is not what is asked for."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from posixpath import basename, dirname, relpath, splitext

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from validator.upgrade.manifest import LOCKS, DependencyManifest, Kind, Pin
from validator.upgrade.relevant import Relevance
from validator.upgrade.text import show
from validator.upgrade.types import StaleLockReason

_COMMANDS: Mapping[Kind, str] = {
    "uv-lock": "uv lock",
    "poetry-lock": "poetry lock",
    "pdm-lock": "pdm lock",
    "pipfile-lock": "pipenv lock",
    "pylock": "uv export --format pylock.toml --output-file pylock.toml",
}
_MADE_FROM: Mapping[Kind, frozenset[Kind]] = {
    "uv-lock": frozenset({"pyproject", "setup-cfg"}),
    "poetry-lock": frozenset({"pyproject"}),
    "pdm-lock": frozenset({"pyproject"}),
    "pylock": frozenset({"pyproject", "setup-cfg"}),
    "pipfile-lock": frozenset({"pipfile"}),
}
#: Locks that have every extra and group of their manifest in them.
_WHOLE = frozenset[Kind]({"uv-lock", "poetry-lock", "pipfile-lock"})


def stale(
    manifests: Iterable[DependencyManifest], relevance: Relevance, machine: Mapping[str, str]
) -> Iterator[StaleLockReason]:
    """Yield each relevant package of which a lock has no version that its manifest allows."""
    manifests = list(manifests)
    for lock in manifests:
        sources = [each for each in manifests if _is_made_from(lock, each)]
        if not sources:
            continue
        locked: dict[str, list[Pin]] = {}
        for pin in (*lock.pins, *lock.constraints):
            locked.setdefault(pin.name, []).append(pin)
        for manifest in sources:
            for pin in manifest.pins:
                asked = pin.name in relevance and pin.name not in manifest.overridden
                whole = lock.kind in _WHOLE or not pin.sections
                if (
                    asked
                    and whole
                    and _applies(pin, machine)
                    and not _satisfied(pin, locked.get(pin.name, []))
                ):
                    yield _reason(pin, locked.get(pin.name, []), lock, manifest)


def _is_made_from(lock: DependencyManifest, manifest: DependencyManifest) -> bool:
    if lock.kind in LOCKS:
        near = (
            manifest.folder == lock.folder
            or relpath(manifest.folder or ".", lock.folder or ".") in lock.members
        )
        return manifest.kind in _MADE_FROM[lock.kind] and near
    # requirements.txt compiled from requirements.in
    stem, ending = splitext(lock.path)
    return ending in {".txt", ".lock"} and manifest.path == f"{stem}.in"


def _applies(pin: Pin, machine: Mapping[str, str]) -> bool:
    return pin.applies(machine, frozenset())


def _satisfied(asked: Pin, locked: list[Pin]) -> bool:
    if asked.url:
        return any(pin.url for pin in locked)  # at whatever revision: the lock says it in its own form
    try:
        allowed = SpecifierSet(asked.specifier)
    except InvalidSpecifier:  # of Poetry, without a form in PEP 440
        return bool(locked)
    return any(pin.url or (pin.version and allowed.contains(pin.version, prereleases=True)) for pin in locked)


def _reason(
    pin: Pin, locked: list[Pin], lock: DependencyManifest, manifest: DependencyManifest
) -> StaleLockReason:
    versions = sorted({show(each.version or each.text) for each in locked})
    asked = (pin.text.partition(" @ ")[2] or pin.text) if pin.url else pin.specifier or "any version"
    return StaleLockReason(
        package=pin.name,
        asked=show(asked),
        locked=", ".join(versions) or None,
        manifest=show(manifest.path),
        lock=show(lock.path),
        command=show(_command(lock, manifest)),
    )


def _command(lock: DependencyManifest, manifest: DependencyManifest) -> str:
    return _in_folder(_COMMANDS.get(lock.kind) or _compile(lock.path, manifest.path), lock.path)


def refreshes(reason: StaleLockReason) -> bool:
    """Whether the command of a reason is one that brings such a lock up to date, and nothing else."""
    commands = (*_COMMANDS.values(), _compile(reason.lock, reason.manifest))
    return reason.command in {show(_in_folder(command, reason.lock)) for command in commands}


def _compile(lock: str, manifest: str) -> str:
    return shlex.join(["uv", "pip", "compile", basename(manifest), "--output-file", basename(lock)])


def _in_folder(command: str, lock: str) -> str:
    folder = dirname(lock)
    return f"cd {shlex.quote(folder)} && {command}" if folder else command
