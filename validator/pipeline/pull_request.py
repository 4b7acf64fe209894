"""What a run compares on a pull request: asked by the event or by revisions, found once, kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from validator import config
from validator.base import Frozen
from validator.config.settings import Settings, UpgradeSettings
from validator.errors import ConfigurationError
from validator.github import read_context
from validator.text import plain
from validator.upgrade import Detected, Event, Options, UvResolver, Wanted, detect
from validator.upgrade.git import GitError, Repository

#: Events that change something between two commits. All others run the matrix.
COMPARED = frozenset({"pull_request", "pull_request_target", "merge_group", "push"})
_EVENT_BYTES = 25 * 1024 * 1024  # GitHub caps a webhook payload at 25 MB


class Found(Frozen):
    """`upgrade.json` of a run: both sides as they were found, for every process of the run.

    `instant` (RFC 3339) is when ranges were resolved; `commit` is the one the report is about.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    detected: Detected
    instant: str
    commit: str


@dataclass(frozen=True)
class Asked:
    """Which two commits are compared. `commit` is the one the report is about; None for the head."""

    event: Event
    commit: str | None = None


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Ref(_Payload):
    sha: str
    ref: str = ""


class _PullRequest(_Payload):
    base: _Ref
    head: _Ref


class _MergeGroup(_Payload):
    base_sha: str
    head_sha: str
    head_ref: str = ""


class _Event(_Payload):
    pull_request: _PullRequest | None = None
    merge_group: _MergeGroup | None = None
    before: str | None = None
    after: str | None = None
    ref: str | None = None


def asked_by_revisions(base: str | None, head: str | None) -> Asked | None:
    """What `--base` and `--head` ask for; None where neither is given.

    With a base alone, what HEAD changes since it branched off; with both, exactly these two commits.

    Raises:
        ConfigurationError: a head without a base.
    """
    if head is None:
        return None if base is None else Asked(Event(base_ref=base))
    if base is None:
        raise ConfigurationError("--head needs --base: name both revisions, or --base alone for HEAD")
    return Asked(Event(name="merge_group", base_sha=base, head_sha=head))


def asked_by_actions(environ: Mapping[str, str], base: str | None = None) -> Asked | None:
    """What the event of this job of GitHub Actions asks for; None where it changes nothing.

    Args:
        environ: the variables of the job.
        base: a revision to compare HEAD with, whatever the event says.

    Raises:
        ConfigurationError: this is no job of GitHub Actions, or its event cannot be read.
    """
    context = read_context(environ)
    if base is not None:
        return Asked(Event(base_ref=base), context.head_sha)
    name = context.event.name
    if name not in COMPARED:
        return None
    payload = _payload(environ.get("GITHUB_EVENT_PATH", ""))
    return Asked(_event(name, payload), context.head_sha)


def commit_of(environ: Mapping[str, str]) -> str | None:
    """The commit that this job's report is about; None outside GitHub Actions."""
    try:
        return read_context(environ).head_sha
    except ConfigurationError:
        return None


def find(path: Path, asked: Asked, environ: Mapping[str, str]) -> Found:
    """Find what changes and what both sides are built from.

    Args:
        path: the validator.yml, inside the checkout.
        asked: which commits.
        environ: what uv may see where ranges have to be resolved.

    Raises:
        ConfigurationError: the configuration, a commit or a manifest cannot be used.
    """
    settings = config.load(path)
    root = _root(path)
    instant = settings.install.exclude_newer or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    options = _options(settings, path, root).model_copy(update={"exclude_newer": instant})
    detected = detect(path.parent, asked.event, options, UvResolver(environ))
    return Found(detected=detected, instant=instant, commit=asked.commit or detected.revisions.head)


def load(path: Path) -> Found:
    """Read an `upgrade.json`.

    Raises:
        ConfigurationError: it is not one of this version.
    """
    try:
        return Found.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError:
        raise ConfigurationError(f"{path}: not written by this version; run the command again") from None


def dump(found: Found) -> str:
    """The text of an `upgrade.json`."""
    return found.model_dump_json(by_alias=True, indent=1) + "\n"


def persisted_credentials(path: Path) -> bool:
    """Whether the checkout around `path` keeps a token where the models' own code can read it."""
    try:
        pattern = r"^(http\..*\.extraheader|includeif\..*)$"  # checkout 4 and 5, checkout 6
        found = Repository(path.parent).run("config", "--local", "--name-only", "--get-regexp", pattern)
    except (GitError, ConfigurationError):  # git fails when there is none, or is told of by the run
        return False
    return bool(found.strip())


def _root(path: Path) -> Path:
    shown = Repository(path.parent).run("rev-parse", "--show-toplevel")
    return Path(shown.decode("utf-8", "surrogateescape").rstrip("\n"))


def _options(settings: Settings, path: Path, root: Path) -> Options:
    upgrade = settings.upgrade
    names, prefixes = _relevant(upgrade)
    return Options(
        manifests=upgrade.manifests,
        wanted=Wanted(extras=upgrade.extras, groups=upgrade.groups, default_python=settings.python),
        relevant=names,
        relevant_prefixes=prefixes,
        configuration=next(_inside(root, [path]), None),
        artifacts=tuple(dict.fromkeys(_inside(root, _files(settings, path.parent)))),
    )


def _relevant(upgrade: UpgradeSettings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names = tuple(name for name in upgrade.relevant if not name.endswith("*"))
    prefixes = tuple(name.removesuffix("*") for name in upgrade.relevant if name.endswith("*"))
    if "" in prefixes:
        raise ConfigurationError("upgrade.relevant: `*` alone would be every package; write `name-*`")
    return names, prefixes


def _files(settings: Settings, folder: Path) -> Iterator[Path]:
    for model in settings.models:
        for name in (model.artifact, model.weights, model.inputs, model.labels):
            if name is not None:
                yield folder / name


def _inside(root: Path, paths: Iterator[Path] | list[Path]) -> Iterator[str]:
    """The paths within the repository, as git names them."""
    for path in paths:
        absolute = path.resolve()
        if absolute.is_relative_to(root.resolve()):
            yield absolute.relative_to(root.resolve()).as_posix()


def _payload(path: str) -> _Event:
    try:
        file = Path(path)
        if file.stat().st_size > _EVENT_BYTES:
            raise ConfigurationError(f"The event file {plain(path, 300)} is larger than GitHub's events are")
        return _Event.model_validate(json.loads(file.read_bytes()))
    except OSError as error:
        reason = error.strerror
        raise ConfigurationError(f"The event file {plain(path, 300)} cannot be read ({reason})") from None
    except (ValueError, RecursionError):
        raise ConfigurationError(f"The event file {plain(path, 300)} is not an event of GitHub's") from None


def _event(name: str, payload: _Event) -> Event:
    if payload.pull_request is not None:
        base, head = payload.pull_request.base, payload.pull_request.head
        return Event(name=name, base_sha=base.sha, head_sha=head.sha, ref=head.ref)
    if payload.merge_group is not None:
        group = payload.merge_group
        return Event(name=name, base_sha=group.base_sha, head_sha=group.head_sha, ref=group.head_ref)
    return Event(name=name, base_sha=payload.before, head_sha=payload.after, ref=payload.ref or "")
