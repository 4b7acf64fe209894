"""Requirements that are paths of the repository: taken from their own commit, and installed from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from validator.failure import Failure
from validator.matrix import Environment
from validator.pipeline.project import Project
from validator.upgrade import GitError, Repository, Snapshot

_LFS = b"version https://git-lfs.github.com/spec/"


def placed(project: Project, environment: Environment) -> Environment | Failure:
    """The environment with absolute paths in place of those of the repository, whose files are written there.

    Only the head is checked out, so both sides come from git's objects.
    """
    side, change = project.side(environment.installed_as), project.pull_request
    if side is None or change is None or not side.local:
        return environment
    commit = getattr(change.detected.revisions, side.name)
    snapshot = Snapshot(Repository(project.folder), commit, side.name)
    root = project.work / "references" / commit[:12]
    lines = {}
    for text, path in side.local.items():
        problem = _written(snapshot, path, root / path)
        if problem:
            message = (
                f"{text}, a path of the repository, cannot be installed at the {side.name} commit: {problem}"
            )
            return Failure(stage="resolve", error="Reference", message=message)
        lines[text] = _moved(text, root / path)
    requirements = tuple(lines.get(line, line) for line in environment.requirements)
    return replace(environment, requirements=requirements)


def _written(snapshot: Snapshot, path: str, target: Path) -> str:
    """Write a file or folder of a commit; why it cannot be had, or nothing."""
    names = snapshot.below(path)
    if not names:
        return "it is not in the repository"
    for name in names:
        try:
            data = snapshot.content(name)
        except GitError as error:
            return str(error)
        if data.startswith(_LFS):
            return f"{name} is a pointer of Git LFS; name the package by its version or address"
        file = target / name[len(path) :].lstrip("/") if name != path else target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return ""


def _moved(text: str, target: Path) -> str:
    """The line with an absolute path: `keras @ ./wheels/k.whl` is `keras @ file:///…/k.whl`."""
    name, at, _ = text.partition(" @ ")
    return f"{name} @ {target.as_uri()}" if at else str(target)
