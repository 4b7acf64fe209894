from __future__ import annotations

import pytest

from tests.github.cases import HEAD, MERGE, OTHER, Job, pull_request_event, workflow_run_event
from tests.github.fake import REPOSITORY, pull, run
from validator.errors import ConfigurationError
from validator.github.answers import GitHubError
from validator.github.client import Client
from validator.github.context import read_context
from validator.github.pulls import Target, resolve
from validator.upgrade import Trigger

FORK = "stranger/widget"


def target(job: Job) -> Target:
    context = job.context
    return resolve(Client(context.api_url, context.token, job.time.clock()), context)


def from_run(job: Job, **more: object) -> None:
    job.name, job.payload = "workflow_run", workflow_run_event()
    job.github.pulls.clear()
    job.github.runs = [{**run(99, HEAD, "patch", FORK), **more}]


def test_a_pull_request_is_that_of_the_event(job: Job) -> None:
    assert target(job) == Target(3)


def test_a_pull_request_of_a_fork(job: Job) -> None:
    job.github.pulls = [pull(3, HEAD, repo=FORK)]
    assert target(job) == Target(3)


def test_a_head_that_moved_on_is_stale(job: Job) -> None:
    job.github.pulls = [pull(3, OTHER)]
    found = target(job)
    assert not found.current
    assert "moved on from aaaaaaaaa to bbbbbbbbb" in found.note


def test_a_pull_request_that_is_gone(job: Job) -> None:
    job.github.pulls.clear()
    with pytest.raises(GitHubError, match="pull request #3") as caught:
        target(job)
    assert caught.value.kind == "not-found"


@pytest.mark.parametrize("name", ["push", "schedule", "merge_group", "workflow_dispatch"])
def test_other_events_have_no_pull_request_and_ask_nobody(job: Job, name: str) -> None:
    job.name, job.payload = name, {"ref": "refs/heads/main"}
    found = target(job)
    assert (found.number, job.context.head_sha) == (None, MERGE)
    assert name in found.note
    assert job.github.requests == []


def test_a_fork_is_found_through_the_run(job: Job) -> None:
    from_run(job)
    job.github.pulls = [pull(4, OTHER, "other", FORK), pull(5, HEAD, "patch", FORK), pull(6, HEAD, "patch")]
    assert target(job) == Target(5)


def test_the_same_branch_in_another_repository_of_the_owner_does_not_count(job: Job) -> None:
    from_run(job)
    job.github.pulls = [pull(5, HEAD, "patch", "stranger/another")]
    assert target(job).number is None


def test_a_run_of_an_older_head_is_stale(job: Job) -> None:
    from_run(job)
    job.github.pulls = [pull(5, OTHER, "patch", FORK)]
    assert target(job).current is False


def test_a_closed_pull_request_is_not_written_to(job: Job) -> None:
    from_run(job)
    job.github.pulls = [{**pull(5, HEAD, "patch", FORK), "state": "closed"}]
    assert target(job).note == "No open pull request has aaaaaaaaa as its head"


def test_two_pull_requests_of_one_head_are_told_apart_by_the_run(job: Job) -> None:
    from_run(job)
    job.github.pulls = [pull(5, HEAD, "patch", FORK), pull(6, HEAD, "patch", FORK)]
    assert "#5, #6" in target(job).note
    assert target(job).number is None
    job.github.runs[0]["pull_requests"] = [6]
    assert target(job).number == 6


@pytest.mark.parametrize(
    "more", [{"repo": None}, {"branch": None}, {"head_sha": OTHER}, {"event": "push"}, {"event": "schedule"}]
)
def test_a_run_without_a_pull_request(job: Job, more: dict[str, object]) -> None:
    from_run(job, **more)
    job.github.pulls = [pull(5, HEAD, "patch", FORK)]
    found = target(job)
    assert found.number is None
    assert "99" in found.note


def test_the_run_may_not_be_read(job: Job) -> None:
    from_run(job)
    job.github.private = True
    job.github.allow(pull_requests="write")
    with pytest.raises(GitHubError) as caught:
        target(job)
    assert (caught.value.kind, caught.value.permission) == ("permission", "actions: read")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REPOSITORY", ""),
        ("GITHUB_REPOSITORY", "no-owner"),
        ("GITHUB_REPOSITORY", "a/b/../../user"),
        ("GITHUB_REPOSITORY", "a/b?x"),
        ("GITHUB_SHA", "main"),
        ("GITHUB_SHA", ""),
        ("GITHUB_RUN_ID", "x"),
        ("GITHUB_RUN_ID", "-1"),
    ],
)
def test_a_broken_environment_names_the_variable(job: Job, name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_context({**job.environment(), name: value})


@pytest.mark.parametrize(
    "payload",
    [
        [],
        {"pull_request": {"number": "x; rm -rf /", "head": {"sha": HEAD}}},
        {"pull_request": {"number": 0, "head": {"sha": HEAD}}},
        {"pull_request": {"number": 3, "head": {"sha": "../../main"}}},
        {"pull_request": {"number": 3}},
        {"pull_request": {"number": 3, "head": {"sha": HEAD}, "base": {"sha": "main"}}},
        {"merge_group": {"base_sha": HEAD, "head_sha": "--upload-pack=x"}},
        {"before": "HEAD^", "after": HEAD},
        {"workflow_run": {"id": 1, "head_sha": None}},
    ],
)
def test_an_event_that_is_none(job: Job, payload: object) -> None:
    job.payload = payload  # type: ignore[assignment]
    with pytest.raises(ConfigurationError, match="GITHUB_EVENT_PATH"):
        _ = job.context


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"pull_request": ' * 5000])
def test_an_event_file_that_is_no_json(job: Job, text: str) -> None:
    environment = job.environment()
    (job.folder / "event.json").write_text(text)
    with pytest.raises(ConfigurationError, match="is not an event"):
        read_context(environment)


def test_an_event_file_that_is_not_there(job: Job) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_context({**job.environment(), "GITHUB_EVENT_PATH": str(job.folder / "nowhere.json")})
    assert read_context({**job.environment(), "GITHUB_EVENT_PATH": ""}).event.pull_request is None


def test_what_an_event_compares(job: Job) -> None:
    sides = {"base_sha": OTHER, "head_sha": HEAD}
    job.payload["pull_request"]["head"]["ref"] = "topic"
    assert job.context.event.trigger() == Trigger(event="pull_request", ref="topic", **sides)
    group = {**sides, "head_ref": "refs/heads/queue"}
    job.name, job.payload = "merge_group", {"merge_group": group}
    assert job.context.event.trigger() == Trigger(event="merge_group", ref="refs/heads/queue", **sides)
    job.name, job.payload = "push", {"before": OTHER, "after": HEAD, "ref": "refs/heads/main"}
    assert job.context.event.trigger() == Trigger(event="push", ref="refs/heads/main", **sides)


@pytest.mark.parametrize("name", ["schedule", "workflow_dispatch", "workflow_run", ""])
def test_an_event_that_changes_nothing(job: Job, name: str) -> None:
    job.name, job.payload = name, {"ref": "refs/heads/main"}
    assert job.context.event.trigger() is None


def test_without_an_event_file_nothing_can_be_compared(job: Job) -> None:
    context = read_context({**job.environment(), "GITHUB_EVENT_PATH": ""})
    with pytest.raises(ConfigurationError, match="GITHUB_EVENT_PATH"):
        context.event.trigger()


def test_an_event_file_that_is_too_large(job: Job) -> None:
    environment = job.environment()
    with (job.folder / "event.json").open("r+b") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    with pytest.raises(ConfigurationError, match="is larger than"):
        read_context(environment)


@pytest.mark.parametrize("token", ["ghs x", "ghs_\n\nX-Evil: 1", "ghs_é", " ", "\x00"])
def test_a_token_no_header_can_carry_is_none(job: Job, token: str) -> None:
    assert read_context({**job.environment(), "GITHUB_TOKEN": token}).token is None


def test_the_token_is_never_shown(job: Job) -> None:
    job.token = "ghs_secret"
    assert "ghs_secret" not in f"{job.context!r} {job.context} {job.context.model_dump_json()}"


def test_whether_the_event_is_of_a_fork(job: Job) -> None:
    assert job.context.event.pull_request is not None
    assert not job.context.event.pull_request.fork
    job.payload = pull_request_event(fork=True)
    assert job.context.event.pull_request.fork
    job.payload["pull_request"]["head"]["repo"] = None
    assert job.context.event.pull_request.fork
    assert job.context.repository == REPOSITORY
