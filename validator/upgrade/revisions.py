"""Which two commits a run compares: what merging would change, and nothing else."""

from __future__ import annotations

from pathlib import Path

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.upgrade.git import Repository
from validator.upgrade.text import show

_DEEPEN = (50, 250, 1000)  # commits fetched, step by step, in search of a merge base
_DEFAULTS = (
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "main",
    "master",
)

_DEPTH_2 = "give actions/checkout `with: fetch-depth: 2`"
_DEPTH_0 = "give actions/checkout `with: fetch-depth: 0`"


class Event(Frozen):
    """What started the run, as GitHub names it. All of it arrives as arguments, and none of it is trusted.

    `name` is pull_request, merge_group, push or anything else; `base_sha` and `head_sha` are the event's (for
    a push: before and after); `ref` is the head branch, used for the label only; `base_ref` is the branch or
    revision to compare with where the event names no commits (default: the default branch of origin).
    """

    name: str = ""
    base_sha: str | None = None
    head_sha: str | None = None
    ref: str = ""
    base_ref: str | None = None


class Revisions(Frozen):
    """The two commits, and in words why these."""

    base: str
    head: str
    tip: str
    how: str


def find(folder: Path, event: Event) -> Revisions:
    """Return the commits of both sides. `tip` is the commit a person or bot wrote, whose message labels it.

    Raises:
        ConfigurationError: a commit is missing and cannot be fetched; the sentence names the exact fix.
    """
    repository = Repository(folder)
    head = repository.commit("HEAD")
    if head is None:
        raise ConfigurationError(
            f"The repository in {show(str(folder))} has no commit yet; there is nothing to compare."
        )
    if event.name in {"pull_request", "pull_request_target"}:
        return _pull_request(repository, event, head)
    if event.name == "merge_group":
        return _merge_group(repository, event, head)
    if event.name == "push":
        return _push(repository, event, head)
    return _branch(repository, event, head)


def _pull_request(repository: Repository, event: Event, head: str) -> Revisions:
    parents = repository.parents(head)
    # A branch that merged its base is checked out by its own sha: its HEAD^1 is the branch, not the base.
    if len(parents) >= 2 and head != event.head_sha:
        base = _need(repository, parents[0], f"The first parent of the merge commit {head[:12]}", _DEPTH_2)
        return Revisions(base=base, head=head, tip=parents[1], how="HEAD^1 and HEAD of the merge commit")
    if event.base_sha is None:
        return _branch(repository, event, head)
    base = _need(repository, event.base_sha, "The base of the pull request", _DEPTH_0)
    return _ancestor(repository, base, head)


def _merge_group(repository: Repository, event: Event, head: str) -> Revisions:
    if event.base_sha is None:
        return _branch(repository, event, head)
    base = _need(repository, event.base_sha, "The base of the merge group", _DEPTH_0)
    if event.head_sha is not None:
        head = _need(repository, event.head_sha, "The head of the merge group", _DEPTH_0)
    return Revisions(base=base, head=head, tip=head, how="base and head of the merge group")


def _push(repository: Repository, event: Event, head: str) -> Revisions:
    if event.head_sha is not None and event.head_sha.strip("0"):
        head = _need(repository, event.head_sha, "The pushed commit", _DEPTH_2)
    before = event.base_sha
    if before is not None and before.strip("0"):
        base = _get(repository, before)
        if base is not None:
            return Revisions(base=base, head=head, tip=head, how="before and after the push")
    # A new branch has no commit before, and a force push may have removed it: what the branch adds counts.
    return _branch(repository, event, head)


def _branch(repository: Repository, event: Event, head: str) -> Revisions:
    if event.base_ref is not None:
        names: tuple[str, ...] = (f"refs/remotes/origin/{event.base_ref}", event.base_ref)
    else:
        names = _DEFAULTS
    base = next((sha for sha in map(repository.commit, names) if sha is not None), None)
    if base is None and event.base_ref is not None:
        branch = f"refs/heads/{event.base_ref}:refs/remotes/origin/{event.base_ref}"
        depth = ("--depth=1",) if repository.shallow else ()
        if repository.fetch(*depth, "origin", branch):
            base = repository.commit(names[0])
    if base is None:
        wanted = (
            show(event.base_ref)
            if event.base_ref is not None
            else "the default branch (origin/HEAD, main or master)"
        )
        raise ConfigurationError(
            f"There is no {wanted} in this repository to compare with; {_DEPTH_0}, or name the base revision."
        )
    return _ancestor(repository, base, head)


def _ancestor(repository: Repository, base: str, head: str) -> Revisions:
    for depth in (0, *_DEEPEN):
        if depth and not (repository.shallow and repository.fetch(f"--deepen={depth}", "origin")):
            break
        found = repository.merge_base(base, head)
        if found is not None:
            return Revisions(
                base=found, head=head, tip=head, how=f"the merge base with {base[:12]}, and HEAD"
            )
    raise ConfigurationError(
        f"The commits {base[:12]} and {head[:12]} have no common ancestor in this clone"
        + (
            f"; {_DEPTH_0}."
            if repository.shallow
            else ", so there is nothing to compare with; name another base."
        )
    )


def _get(repository: Repository, sha: str) -> str | None:
    found = repository.commit(sha)
    if found is None:
        # A depth in a complete clone would make it shallow; there the plain fetch brings what is missing.
        depth = ("--depth=1",) if repository.shallow else ()
        for arguments in ((*depth, "origin", sha), ("--deepen=1", "origin") if depth else ()):
            if arguments and repository.fetch(*arguments):
                found = repository.commit(sha)
            if found is not None:
                break
    return found


def _need(repository: Repository, sha: str, what: str, fix: str) -> str:
    found = _get(repository, sha)
    if found is None:
        raise ConfigurationError(
            f"{what}, {show(sha)[:12]}, is not in this clone and could not be fetched; {fix}."
        )
    return found
