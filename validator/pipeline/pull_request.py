"""Which two commits a run compares, and what changes between them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from validator.config.settings import EnvironmentSettings, Settings
from validator.errors import ConfigurationError
from validator.github import Context, read_context
from validator.upgrade import (
    FRAMEWORKS,
    Detected,
    GitError,
    Installer,
    Options,
    Repository,
    SideName,
    Trigger,
    detect,
    name_of,
)
from validator.verdict.results import WorkflowRun


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


def find(
    path: Path,
    settings: Settings,
    asked: ComparedCommits,
    installer: Installer,
    instant: str | None = None,
) -> PullRequest:
    """Find what changes and what both sides are built from.

    `path` is the validator.yml, absolute, inside the checkout; `installer` resolves ranges and exports locks,
    as of `instant` unless the settings have one; None for now.
    """
    instant = (
        settings.install.exclude_newer or instant or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    detected = detect(path.parent, asked.trigger, _options(settings, path, instant), installer)
    return PullRequest(detected, instant, asked.commit or detected.revisions.head)


def actions_job() -> tuple[str | None, WorkflowRun | None]:
    """The commit that this job of GitHub Actions reports on, and its run; nothing in any other place."""
    try:
        context = read_context(os.environ)
    except ConfigurationError:
        return None, None  # reported by whoever needs the event
    return context.head_sha, WorkflowRun(id=context.run_id, attempt=context.run_attempt)


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
        python=settings.python if "python" in settings.model_fields_set else None,
        default_python=settings.python,
        named=_named(settings),
        configuration=path.relative_to(root).as_posix() if path.is_relative_to(root) else None,
        settings=settings,
        exclude_newer=instant,
    )


def _named(settings: Settings) -> tuple[SideName, ...]:
    """The sides for which validator.yml itself names a framework."""
    sides: tuple[SideName, ...] = ("base", "head")
    if settings.matrix.keras or settings.matrix.include:
        return sides
    common = settings.requirements if not isinstance(settings.requirements, str) else ()
    own = {side: settings.environments.get(side) or EnvironmentSettings() for side in sides}
    return tuple(
        side for side in sides if FRAMEWORKS & {name_of(line) for line in (*common, *own[side].requirements)}
    )
