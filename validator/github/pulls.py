"""Which pull request the results belong to: asked of GitHub, never of an artifact."""

from __future__ import annotations

from dataclasses import dataclass

from validator.github.answers import ApiCall
from validator.github.client import Client
from validator.github.context import Author, Branch, Context, Payload, RepositoryName
from validator.text import plain

_READ = "pull-requests: read"


class _Pull(Payload):
    number: int
    head: Branch


class _Number(Payload):
    number: int


class _HeadRepository(RepositoryName):
    owner: Author


class _Run(Payload):
    head_sha: str
    event: str
    head_branch: str | None = None
    head_repository: _HeadRepository | None = None
    pull_requests: tuple[_Number, ...] | None = None


@dataclass(frozen=True)
class Target:
    """Where results go.

    `number` is null where there is no pull request to write to, and `note` then says why. `current` is false
    when the pull request has moved on to another commit: nothing is written to it then.
    """

    number: int | None = None
    current: bool = True
    note: str = ""


def resolve(client: Client, context: Context) -> Target:
    """The pull request of this workflow run and whether its head is still the commit of the run.

    An event without a pull request needs no request. Raises GitHubError.
    """
    if context.event.workflow_run is not None:
        return _of_run(client, context, context.event.workflow_run.id)
    event = context.event.pull_request
    if event is None:
        return Target(note=f"The event {context.event.name!r} belongs to no pull request")
    path = f"/repos/{context.repository}/pulls/{event.number}"
    call = ApiCall(f"read pull request #{event.number}", _READ, "GET", path)
    return _target(context, client.fetch(call, _Pull))


def _target(context: Context, pull: _Pull) -> Target:
    if pull.head.sha == context.head_sha:
        return Target(pull.number)
    note = (
        f"Pull request #{pull.number} has moved on from {context.head_sha[:9]} to {pull.head.sha[:9]}; "
        "the run of that commit reports"
    )
    return Target(pull.number, current=False, note=note)


def _of_run(client: Client, context: Context, run_id: int) -> Target:
    path = f"/repos/{context.repository}/actions/runs/{run_id}"
    run = client.fetch(ApiCall(f"read workflow run {run_id}", "actions: read", "GET", path), _Run)
    head = context.head_sha
    if run.event not in ("pull_request", "pull_request_target"):
        note = f"Workflow run {run_id} was started by {run.event!r} and belongs to no pull request"
        return Target(note=note)
    if run.head_sha != head or run.head_repository is None or run.head_branch is None:
        return Target(note=f"The branch of workflow run {run_id} is gone, and so is its pull request")
    pulls = _open_pulls(client, context, run.head_repository, run.head_branch)
    matching = [pull for pull in pulls if pull.head.sha == head]
    if len(matching) > 1:
        known = {pull.number for pull in run.pull_requests or ()}
        matching = [pull for pull in matching if pull.number in known] or matching
    if len(matching) > 1:
        numbers = ", ".join(f"#{pull.number}" for pull in matching)
        note = f"The pull requests {numbers} have the same head {head[:9]}; which one ran is unknown"
        return Target(note=note)
    if matching or len(pulls) == 1:
        return _target(context, (matching or pulls)[0])
    return Target(note=f"No open pull request has {head[:9]} as its head")


def _open_pulls(client: Client, context: Context, source: _HeadRepository, branch: str) -> list[_Pull]:
    """Open pull requests from `branch` of `source`; an owner may have it in two repositories."""
    what = f"find the pull request of branch {plain(branch, 100)!r}"
    path = f"/repos/{context.repository}/pulls"
    query = {"state": "open", "head": f"{source.owner.login}:{branch}"}
    pulls = client.pages(ApiCall(what, _READ, "GET", path, query), _Pull)
    return [pull for pull in pulls if pull.head.repo and pull.head.repo.full_name == source.full_name]
