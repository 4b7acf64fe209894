"""Which pull request the results belong to: asked of GitHub, never of an artifact."""

from __future__ import annotations

from dataclasses import dataclass

from validator.github.client import Call, Client, Shape
from validator.github.context import Context
from validator.text import plain

_READ = "pull-requests: read"


class _Repository(Shape):
    full_name: str


class _Owner(Shape):
    login: str


class _HeadRepository(Shape):
    full_name: str
    owner: _Owner


class _Head(Shape):
    sha: str
    repo: _Repository | None = None


class _Pull(Shape):
    number: int
    head: _Head


class _PullNumber(Shape):
    number: int


class _Run(Shape):
    head_sha: str
    event: str
    head_branch: str | None = None
    head_repository: _HeadRepository | None = None
    pull_requests: tuple[_PullNumber, ...] | None = None


@dataclass(frozen=True)
class Target:
    """Where results go. `head` is the commit they must be about.

    `number` is null where there is no pull request to write to, and `note` then says why. `current` is false
    when the pull request has moved on to another commit: nothing is written to it then.
    """

    head: str
    number: int | None = None
    current: bool = True
    fork: bool = False
    note: str = ""


def resolve(client: Client, context: Context) -> Target:
    """The pull request of this workflow run and whether its head is still the commit of the run.

    Raises GitHubError when GitHub cannot be asked.
    """
    if context.event.workflow_run is not None:
        return _of_run(client, context, context.event.workflow_run.id)
    event = context.event.pull_request
    if event is None:
        return Target(context.head_sha, note=f"The event {context.event.name!r} belongs to no pull request")
    call = Call(
        f"read pull request #{event.number}",
        _READ,
        "GET",
        f"/repos/{context.repository}/pulls/{event.number}",
    )
    pull = client.fetch(call, _Pull)
    return _target(context, pull)


def _target(context: Context, pull: _Pull) -> Target:
    current = pull.head.sha == context.head_sha
    fork = pull.head.repo is None or pull.head.repo.full_name.casefold() != context.repository.casefold()
    note = ""
    if not current:
        note = (
            f"Pull request #{pull.number} has moved on from {context.head_sha[:9]} to {pull.head.sha[:9]}; "
            "the run of that commit reports"
        )
    return Target(context.head_sha, pull.number, current, fork, note)


def _of_run(client: Client, context: Context, run_id: int) -> Target:
    path = f"/repos/{context.repository}/actions/runs/{run_id}"
    run = client.fetch(Call(f"read workflow run {run_id}", "actions: read", "GET", path), _Run)
    head = context.head_sha
    if run.event not in ("pull_request", "pull_request_target"):
        return Target(
            head, note=f"Workflow run {run_id} was started by {run.event!r} and belongs to no pull request"
        )
    if run.head_sha != head or run.head_repository is None or run.head_branch is None:
        return Target(head, note=f"The branch of workflow run {run_id} is gone, and so is its pull request")
    pulls = _open_pulls(client, context, run.head_repository, run.head_branch)
    matching = [pull for pull in pulls if pull.head.sha == head]
    known = {pull.number for pull in run.pull_requests or ()}
    if len(matching) > 1 and known:
        matching = [pull for pull in matching if pull.number in known]
    if len(matching) == 1:
        return _target(context, matching[0])
    if len(pulls) == 1 and not matching:
        return _target(context, pulls[0])
    if not matching:
        return Target(head, note=f"No open pull request has {head[:9]} as its head")
    numbers = ", ".join(f"#{pull.number}" for pull in matching)
    return Target(
        head, note=f"The pull requests {numbers} have the same head {head[:9]}; it is not known which one ran"
    )


def _open_pulls(client: Client, context: Context, source: _HeadRepository, branch: str) -> list[_Pull]:
    """Open pull requests from `branch` of `source`; an owner may have it in two repositories."""
    call = Call(
        f"find the pull request of branch {plain(branch, 100)!r}",
        _READ,
        "GET",
        f"/repos/{context.repository}/pulls",
        query={"state": "open", "head": f"{source.owner.login}:{branch}"},
    )
    found = client.pages(call, _Pull)
    return [
        pull for pull in found if pull.head.repo is not None and pull.head.repo.full_name == source.full_name
    ]
