"""Which two commits a run compares, and what changes between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from validator.config import is_remote, named_files
from validator.config.settings import Settings
from validator.errors import ConfigurationError
from validator.github import Context
from validator.upgrade import Detected, GitError, Installer, Options, Repository, Trigger, detect


@dataclass(frozen=True)
class PullRequest:
    """What changes between two commits, ranges resolved at `instant` (RFC 3339); `commit` is reported on."""

    detected: Detected
    instant: str
    commit: str


@dataclass(frozen=True)
class ComparedCommits:
    """Which two commits are compared. `commit` is the one the report is about; None for the head."""

    trigger: Trigger
    commit: str | None = None


def asked_by_revisions(base: str | None, head: str | None) -> ComparedCommits | None:
    """Return what `--base` and `--head` ask for; None where neither is given.

    With a base alone, what HEAD changes since it branched off; with both, exactly these two commits.

    Raises:
        ConfigurationError: a head without a base.
    """
    if head is None:
        return None if base is None else ComparedCommits(Trigger(base_ref=base))
    if base is None:
        raise ConfigurationError("--head needs --base: name both revisions, or --base alone for HEAD")
    return ComparedCommits(Trigger(event="merge_group", base_sha=base, head_sha=head))


def asked_by_actions(context: Context, base: str | None = None) -> ComparedCommits | None:
    """Return what the event of this job of GitHub Actions asks for; None where it changes nothing.

    With a `base`, HEAD is compared with this revision, whatever the event is.
    """
    if base is not None:
        return ComparedCommits(Trigger(base_ref=base), context.head_sha)
    trigger = context.event.trigger()
    return None if trigger is None else ComparedCommits(trigger, context.head_sha)


def find(path: Path, settings: Settings, asked: ComparedCommits, installer: Installer) -> PullRequest:
    """Find what changes and what both sides are built from.

    `path` is the validator.yml, absolute, inside the checkout; `installer` resolves ranges and exports locks.
    """
    instant = settings.install.exclude_newer or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    detected = detect(path.parent, asked.trigger, _options(settings, path, instant), installer)
    return PullRequest(detected, instant, asked.commit or detected.revisions.head)


def persisted_credentials(path: Path) -> bool:
    """Whether the checkout around `path` keeps a token where the models' own code can read it."""
    pattern = r"^(http\..*\.extraheader|includeif\..*)$"  # checkout 4 and 5, checkout 6
    try:
        names = Repository(path.parent).run("config", "--local", "--name-only", "--get-regexp", pattern)
    except (GitError, ConfigurationError):
        return False  # git fails where nothing matches; no repository is the run's to report
    return bool(names.strip())


def _options(settings: Settings, path: Path, instant: str) -> Options:
    root = Repository(path.parent).root
    return Options(
        **dict(settings.upgrade),
        python=settings.python,
        configuration=next(_inside(root, [path]), None),
        artifacts=tuple(dict.fromkeys(_inside(root, _files(settings, path.parent)))),
        exclude_newer=instant,
    )


def _files(settings: Settings, folder: Path) -> Iterator[Path]:
    for model in settings.models:
        for name in named_files(model).values():
            if not is_remote(name):
                yield folder / name


def _inside(root: Path, paths: Iterable[Path]) -> Iterator[str]:
    """Yield the paths within the repository, as git names them."""
    for path in paths:
        absolute = path.resolve()
        if absolute.is_relative_to(root):
            yield absolute.relative_to(root).as_posix()
