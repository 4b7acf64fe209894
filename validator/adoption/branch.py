"""What the branch that is checked out moves: the Keras that was pinned where it branched off."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from validator.adoption.scan import read_pins
from validator.errors import ConfigurationError
from validator.upgrade import GitError, Repository, Snapshot

#: Branches that others are merged into, the surest first.
_TARGETS = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


@dataclass(frozen=True)
class MovingBranch:
    """A branch that moves Keras. `target`: what it will be merged into; `keras`: what that pins."""

    target: str
    keras: str


def branch_that_moves(folder: Path, manifest: str, keras: str) -> MovingBranch | None:
    """The branch, where `manifest`, relative to `folder`, pinned another Keras than now; None where not.

    Also None where there is no git, or no branch of a usual name to compare with.
    """
    try:
        repository = Repository(folder)
        head = repository.commit("HEAD")
        path = (folder / manifest).resolve().relative_to(repository.root).as_posix()
        target = next((each for each in _TARGETS if repository.commit(each)), "")
        fork = repository.merge_base(target, head) if head and target else None
        if fork is None or fork == head:
            return None
        before = _pinned(Snapshot(repository, fork, "base").read(path), path)
    except (ConfigurationError, GitError, OSError, ValueError):
        return None
    return MovingBranch(target, before) if before not in ("", keras) else None


def _pinned(content: bytes, path: str) -> str:
    """The Keras that a manifest pins; readers know manifests by their names."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return read_pins(file).get("keras", "")
