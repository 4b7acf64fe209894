"""Which two commits a run compares: what merging would change, and nothing else."""

from __future__ import annotations

from validator.errors import ConfigurationError
from validator.upgrade.git import Repository
from validator.upgrade.text import show
from validator.upgrade.types import Revisions, Trigger

_DEEPEN = (50, 250, 1000)  # commits fetched, step by step, in search of a merge base
_ORIGIN = "refs/remotes/origin/"
_DEFAULTS = (f"{_ORIGIN}HEAD", f"{_ORIGIN}main", f"{_ORIGIN}master", "main", "master")
_DEFAULT_BRANCH = "the default branch (origin/HEAD, main or master)"
_DEPTH_2 = "give actions/checkout `with: fetch-depth: 2`"
_DEPTH_0 = "give actions/checkout `with: fetch-depth: 0`"


def find(repository: Repository, trigger: Trigger) -> Revisions:
    """Return the commits of both sides. `tip` is the commit a person or bot wrote, whose message labels it.

    Raises:
        ConfigurationError: a commit is missing and cannot be fetched; the sentence names the exact fix.
    """
    head = repository.commit("HEAD")
    if head is None:
        raise ConfigurationError("The repository has no commit yet; there is nothing to compare.")
    match trigger.event:
        case "pull_request" | "pull_request_target":
            return _pull_request(repository, trigger, head)
        case "merge_group" if trigger.base_sha is not None:
            base = _need(repository, trigger.base_sha, "The base of the merge group", _DEPTH_0)
            if trigger.head_sha is not None:
                head = _need(repository, trigger.head_sha, "The head of the merge group", _DEPTH_0)
            return Revisions(base=base, head=head, tip=head)
        case "push":
            return _push(repository, trigger, head)
    return _branch(repository, trigger, head)


def _pull_request(repository: Repository, trigger: Trigger, head: str) -> Revisions:
    parents = repository.parents(head)
    # A branch that merged its base is checked out by its own sha: its HEAD^1 is the branch, not the base.
    if len(parents) >= 2 and head != trigger.head_sha:
        base = _need(repository, parents[0], f"The first parent of the merge commit {head[:12]}", _DEPTH_2)
        return Revisions(base=base, head=head, tip=parents[1])
    if trigger.base_sha is None:
        return _branch(repository, trigger, head)
    base = _need(repository, trigger.base_sha, "The base of the pull request", _DEPTH_0)
    return _ancestor(repository, base, head)


def _push(repository: Repository, trigger: Trigger, head: str) -> Revisions:
    after, before = trigger.head_sha or "", trigger.base_sha or ""
    if after.strip("0"):
        head = _need(repository, after, "The pushed commit", _DEPTH_2)
    base = _get(repository, before) if before.strip("0") else None
    # A new branch has no commit before, and a force push may have removed it: what the branch adds counts.
    return Revisions(base=base, head=head, tip=head) if base else _branch(repository, trigger, head)


def _branch(repository: Repository, trigger: Trigger, head: str) -> Revisions:
    name = trigger.base_ref
    names = _DEFAULTS if name is None else (f"{_ORIGIN}{name}", name)
    base = next(filter(None, map(repository.commit, names)), None)
    if base is None and name is not None:
        depth = ("--depth=1",) if repository.shallow else ()
        if repository.fetch(*depth, "origin", f"refs/heads/{name}:{_ORIGIN}{name}"):
            base = repository.commit(names[0])
    if base is None:
        raise ConfigurationError(
            f"There is no {_DEFAULT_BRANCH if name is None else show(name)} in this repository to compare "
            f"with; {_DEPTH_0}, or name the base revision."
        )
    return _ancestor(repository, base, head)


def _ancestor(repository: Repository, base: str, head: str) -> Revisions:
    for depth in (0, *_DEEPEN):
        if depth and not (repository.shallow and repository.fetch(f"--deepen={depth}", "origin")):
            break
        ancestor = repository.merge_base(base, head)
        if ancestor is not None:
            return Revisions(base=ancestor, head=head, tip=head)
    complete = ", so there is nothing to compare with; name another base"
    raise ConfigurationError(
        f"The commits {base[:12]} and {head[:12]} have no common ancestor in this clone"
        f"{f'; {_DEPTH_0}' if repository.shallow else complete}."
    )


def _get(repository: Repository, sha: str) -> str | None:
    commit = repository.commit(sha)
    if commit is not None:
        return commit
    # A depth in a complete clone would make it shallow; there the plain fetch brings what is missing.
    shallow = (("--depth=1", "origin", sha), ("--deepen=1", "origin"))
    for arguments in shallow if repository.shallow else (("origin", sha),):
        if repository.fetch(*arguments) and (commit := repository.commit(sha)) is not None:
            return commit
    return None


def _need(repository: Repository, sha: str, what: str, fix: str) -> str:
    commit = _get(repository, sha)
    if commit is None:
        raise ConfigurationError(
            f"{what}, {show(sha)[:12]}, is not in this clone and could not be fetched; {fix}."
        )
    return commit
