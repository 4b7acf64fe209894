"""Known changes that are accepted: which count for a run, and how a person accepts more of them."""

from __future__ import annotations

from pathlib import Path

from validator.config.settings import Settings
from validator.errors import ConfigurationError
from validator.pipeline.pull_request import PullRequest
from validator.upgrade import GitError, Repository, Snapshot
from validator.verdict import acceptance_file
from validator.verdict.acceptances import Acceptance
from validator.verdict.accepting import Register


def register(path: Path, settings: Settings, change: PullRequest | None) -> Register:
    """The acceptances that count for a run of a validator.yml: those of the head, which may add them itself.

    Args:
        path: the validator.yml, absolute.
        settings: all of it, whatever a command selects.
        change: where commits are compared, the base's file says which acceptances are new.

    Raises:
        ConfigurationError: the file cannot be used, or lies where nobody reviews it.
    """
    place = path.parent / settings.acceptances
    entries = acceptance_file.read(place)
    models = {model.name for model in settings.models}
    return Register(
        entries=entries,
        before=_of_base(path.parent, place, change) if change is not None and entries else None,
        unknown=frozenset(entry.cell for entry in entries if entry.model not in models),
        relevant=settings.upgrade.relevant,
    )


def _of_base(folder: Path, place: Path, change: PullRequest) -> tuple[Acceptance, ...]:
    """The entries that the base has; none where it has no such file, or one that cannot be read."""
    repository, place = Repository(folder), place.resolve()
    root = repository.root.resolve()
    if not place.is_relative_to(root):
        raise ConfigurationError(
            f"acceptances: {place} lies outside the repository, where nobody reviews it; name a file inside"
        )
    name = place.relative_to(root).as_posix()
    base = Snapshot(repository, change.detected.revisions.base, "base")
    try:
        if not base.exists(name):
            return ()
        return acceptance_file.parse(base.source(name).text, base.where(name))
    except (ConfigurationError, GitError):
        return ()
