from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.github.cases import (
    HEAD,
    HOSTILE,
    OTHER,
    FakeTime,
    Job,
    cell,
    edition,
    passing,
    pull_request_event,
    report,
    workflow_run_event,
    written,
)
from tests.github.fake import REPOSITORY, FakeGitHub, comment, pull, run
from validator.errors import ConfigurationError
from validator.github import Published, PublishOptions, publish_file, read_context
from validator.github.attempts import Attempt, published_attempt, without_stamp
from validator.github.client import ClientLimits
from validator.github.context import Context
from validator.github.edition import COMMENT_LIMIT, characters
from validator.verdict.results import Report, WorkflowRun

MARK = "<!-- keras-validator:default -->"
EVERYTHING = PublishOptions(status=True, check=True, issue=True, summary=True)


def publish(
    result: Report, text: Any, job: Job, options: PublishOptions, context: Context | None = None
) -> Published:
    """Hand a report over in a file, as another job does."""
    context = context or job.context
    file = job.folder / "report.json"
    made = published_attempt(context)
    workflow_run = WorkflowRun(id=made.run, attempt=made.number)
    handed = written(result).model_copy(update={"commit": context.head_sha, "workflow_run": workflow_run})
    file.write_text(handed.model_dump_json(by_alias=True), encoding="utf-8")
    return publish_file(file, lambda found: edition(found, text), context, options, job.outlet)


def go(job: Job, result: Report | None = None, text: str = "## Numbers changed", **options: Any) -> Published:
    return publish(result or report(), text, job, PublishOptions(**options))


def body_of(job: Job) -> str:
    """The first comment, without the attempt that it names."""
    return without_stamp(job.github.comments[0]["body"])


def sentences(published: Published) -> str:
    return "\n".join(str(problem) for problem in published.problems)


def test_one_run_publishes_everywhere(job: Job) -> None:
    published = publish(report(), None, job, EVERYTHING)
    assert published.problems == ()
    assert published.comment == "created"
    assert body_of(job) == f"{MARK}\n## Numbers changed"
    assert [item["sha"] for item in job.github.statuses] == [HEAD]
    assert [item["head_sha"] for item in job.github.checks] == [HEAD]
    assert [item["state"] for item in job.github.issues] == ["open"]
    assert job.summary == "## Numbers changed\n"
    assert job.printed == []
    assert job.outputs == {
        "verdict": "fail",
        "pull-request": "3",
        "comment": "created",
        "comment-url": f"https://github.com/{REPOSITORY}/pull/3#issuecomment-1001",
        "issue-url": f"https://github.com/{REPOSITORY}/issues/4",
        "problems": "0",
    }


def test_the_third_run_writes_nothing(job: Job) -> None:
    actions = []
    for number, text in enumerate(["one {}", "two {}", "two {}"]):
        job.run_id = number + 1
        actions.append(go(job, text=text.format(job.context.run_url)).comment)
    assert actions == ["created", "updated", "unchanged"]
    assert len(job.github.writes()) == 2


@pytest.mark.parametrize(
    ("policy", "result", "action"),
    [
        ("always", passing(), "created"),
        ("changes", passing(), "none"),
        ("changes", report("pass", cell("rounding")), "none"),
        ("changes", report("pass", cell("suspicious")), "created"),
        ("changes", report("warn", cell("metric-only")), "created"),
        ("changes", report("inconclusive", cell("not-compared")), "created"),
        ("failures", report("warn"), "none"),
        ("failures", report("fail"), "created"),
        ("failures", report("inconclusive"), "created"),
        ("never", report("fail"), "none"),
    ],
)
def test_the_policy_says_when_a_comment_is_created(
    job: Job, policy: str, result: Report, action: str
) -> None:
    assert go(job, result, comment=policy).comment == action
    assert len(job.github.comments) == (action == "created")


@pytest.mark.parametrize("policy", ["always", "changes", "failures", "never"])
def test_an_existing_comment_is_brought_up_to_date_under_every_policy(job: Job, policy: str) -> None:
    job.github.comments = [comment(10, 3, f"{MARK}\nIt is broken")]
    assert go(job, passing(), "All is well again", comment=policy).comment == "updated"
    assert body_of(job) == f"{MARK}\nAll is well again"


def test_a_stale_head_gets_no_comment(job: Job) -> None:
    job.github.pulls = [pull(3, OTHER)]
    job.github.comments = [comment(10, 3, f"{MARK}\nof the newer commit")]
    published = go(job)
    assert (published.comment, published.problems) == ("stale", ())
    assert "moved on" in published.notes[0]
    assert job.github.writes() == []
    assert "::notice::Pull request #3 has moved on" in job.stdout.getvalue()


# -- tokens ---------------------------------------------


@pytest.mark.parametrize(
    ("token", "words"),
    [(None, "There is no token"), ("ghs_x", "wrong, expired or revoked"), ("a b", "no token")],
)
def test_a_useless_token_is_one_problem_and_the_summary_has_the_report(
    job: Job, token: str | None, words: str
) -> None:
    job.token = token
    published = go(job, status=True, check=True, issue=True)
    assert len(published.problems) == 1
    assert words in sentences(published)
    assert (published.comment, published.summary) == ("failed", True)
    assert "## Numbers changed" in job.summary
    assert "Not published" in job.summary
    assert len(job.github.requests) <= 1
    assert [line.partition("::")[2].startswith("warning title=Not published::") for line in job.printed] == [
        True
    ]
    assert job.outputs["verdict"] == "fail"


def test_a_read_only_token_gets_the_block_to_add(job: Job) -> None:
    job.github.allow(contents="read")
    published = publish(report(), None, job, EVERYTHING)
    block = "permissions:\n  checks: write\n  issues: write\n  pull-requests: write\n  statuses: write"
    assert [problem.yaml for problem in published.problems] == [block] * 4
    assert f"```yaml\n{block}\n```" in job.summary
    assert "`pull-requests: write`" in published.problems[0].sentence
    assert "%0Apermissions:%0A  checks: write" in job.printed[0]
    assert job.time.waits == []


def test_a_fork_is_told_that_no_block_helps(job: Job) -> None:
    job.payload = pull_request_event(fork=True)
    job.github.pulls = [pull(3, HEAD, repo="stranger/widget")]
    job.github.allow(contents="read")
    published = go(job)
    assert len(published.problems) == 1
    assert published.problems[0].yaml == ""
    assert "workflow_run" in published.problems[0].sentence
    assert published.summary


def test_who_wants_no_comment_is_not_bothered_about_tokens(job: Job) -> None:
    job.github.comments = [comment(10, 3, f"{MARK}\nold")]
    job.github.allow(contents="read")
    assert go(job, comment="never").problems == ()
    job.token = None
    published = go(job, comment="never")
    assert (published.problems, published.comment) == ((), "none")


def test_a_weak_token_does_not_stop_what_it_may_do(job: Job) -> None:
    job.github.allow(statuses="write")
    published = go(job, status=True)
    assert published.comment == "failed"
    assert published.status_url
    assert len(published.problems) == 1


# -- GitHub in trouble ---------------------------------------------

TROUBLE: dict[str, dict[str, Any]] = {
    "401": {"do": "reply", "status": 401, "message": "Bad credentials"},
    "403 integration": {"do": "reply", "status": 403, "message": "Resource not accessible by integration"},
    "403 personal": {
        "do": "reply",
        "status": 403,
        "message": "Resource not accessible by personal access token",
    },
    "403 secondary": {"do": "reply", "status": 403, "message": "You have exceeded a secondary rate limit."},
    "403 primary": {"do": "reply", "status": 403, "headers": {"X-RateLimit-Remaining": "0"}},
    "403 else": {"do": "reply", "status": 403, "message": HOSTILE},
    "404": {"do": "reply", "status": 404, "message": "Not Found"},
    "410": {"do": "reply", "status": 410, "message": "Issues are disabled"},
    "422": {"do": "reply", "status": 422, "message": "Validation Failed"},
    "429": {"do": "reply", "status": 429, "headers": {"Retry-After": "1000000"}},
    "500": {"do": "reply", "status": 500},
    "503": {"do": "reply", "status": 503, "headers": {"Retry-After": "1000000"}},
    "418": {"do": "reply", "status": 418},
    "time-out": {"do": "slow", "seconds": 0.4},
    "cut": {"do": "cut"},
    "drop": {"do": "drop"},
    "garbage": {"do": "garbage"},
    "redirect": {"do": "redirect", "to": "https://evil.example/x"},
}


@pytest.mark.parametrize("match", [".", "POST", "GET .*/comments"])
@pytest.mark.parametrize("trouble", TROUBLE)
def test_no_trouble_changes_the_verdict_or_escapes(job: Job, trouble: str, match: str) -> None:
    job.github.faults = [{"match": match, **TROUBLE[trouble], "times": 999}]
    job.limits = ClientLimits(read=0.1, repetitions=1)
    published = go(job, status=True, summary=True)
    assert published.verdict == "fail"
    assert published.summary
    assert "## Numbers changed" in job.summary
    assert published.problems
    for problem in published.problems:
        assert len(problem.sentence) < 700
        assert not set(problem.sentence) & set("\n\r\x1b\u202e")
    assert sum(job.time.waits) <= 300
    assert job.outputs["verdict"] == "fail"
    assert all(line.startswith(("::error ", "::warning ", "::notice")) for line in job.printed)
    assert len(job.github.comments) <= 3


@pytest.mark.parametrize("trouble", ["500", "cut", "drop", "time-out"])
@pytest.mark.parametrize("skip", range(5))
def test_one_hiccup_anywhere_is_survived(job: Job, trouble: str, skip: int) -> None:
    job.github.faults = [{"match": ".", **TROUBLE[trouble], "skip": skip, "seconds": 1.5}]
    job.limits = ClientLimits(read=0.7)
    assert go(job).problems == ()
    assert len(job.github.comments) == 1


def test_two_jobs_at_once_leave_one_comment(job: Job, tmp_path: Path) -> None:
    other = Job(tmp_path / "other", job.github, FakeTime())
    other.folder.mkdir()
    job.github.faults = [{"match": "GET .*/comments", "do": "meet", "parties": 2, "times": 2}]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(go, [job, other]))
    assert [result.problems for result in results] == [(), ()]
    assert len(job.github.comments) == 1


# -- texts ---------------------------------------------


@pytest.mark.parametrize("letter", ["x", "é", "€", "😀"])
def test_a_comment_fits_however_its_characters_are_counted(job: Job, letter: str) -> None:
    published = publish(report(), lambda budget: letter * min(budget, 10_000_000), job, EVERYTHING)
    assert published.problems == ()
    body = job.github.comments[0]["body"]
    assert characters(body) <= COMMENT_LIMIT
    assert len(body) > 25_000
    assert len(job.summary.encode()) < 1024 * 1024


def test_ten_megabytes_that_know_no_budget_become_a_line_and_a_link(job: Job) -> None:
    published = publish(report(), lambda _: HOSTILE * 60_000, job, EVERYTHING)
    body = job.github.comments[0]["body"]
    assert without_stamp(body).startswith(f"{MARK}\n**fail: digits changed in head")
    assert body.endswith(f"see [the run](https://github.com/{REPOSITORY}/actions/runs/7).")
    assert job.summary.startswith("**fail: digits changed in head")
    assert sentences(published) == "The report does not fit into this job summary"


def test_no_files_no_summary(job: Job) -> None:
    environment = {**job.environment(), "GITHUB_STEP_SUMMARY": "", "GITHUB_OUTPUT": ""}
    options = PublishOptions(summary=True)
    published = publish(report(), None, job, options, read_context(environment))
    assert (published.summary, published.problems) == (False, ())


def test_files_that_cannot_be_written_are_problems(job: Job) -> None:
    context = job.context.model_copy(update={"step_summary": job.folder, "output": job.folder})
    published = publish(report(), None, job, PublishOptions(summary=True), context)
    assert "job summary cannot be written" in sentences(published)
    assert "outputs cannot be written" in sentences(published)
    assert published.comment == "created"


def test_a_comment_alone(job: Job) -> None:
    published = go(job)
    assert (job.summary, job.printed) == ("", [])
    assert published.comment == "created"


@pytest.mark.parametrize("event", ["push", "schedule", "merge_group", "workflow_dispatch"])
def test_without_a_pull_request_the_summary_is_all(job: Job, event: str) -> None:
    job.name, job.payload, job.token = event, {}, None
    published = go(job, summary=True)
    assert (published.comment, published.problems, published.summary) == ("none", (), True)
    assert job.outputs["pull-request"] == ""


def test_an_unusable_address_is_the_configurations_fault(job: Job) -> None:
    context = job.context.model_copy(update={"api_url": "http://github.example.com"})
    with pytest.raises(ConfigurationError, match="GITHUB_API_URL"):
        publish(report(), None, job, PublishOptions(), context)


@pytest.mark.parametrize("instance", ["", "a b", "-->", "a--b", "a\n", "x" * 81])
def test_an_instance_must_be_a_name(instance: str) -> None:
    with pytest.raises(ValidationError):
        PublishOptions(instance=instance)


def test_instances_have_a_comment_each(job: Job) -> None:
    for instance in ("default", "nightly", "a-b.c_d"):
        assert go(job, instance=instance).comment == "created"
    assert len(job.github.comments) == 3


# -- a report from another job ---------------------------------------------


def received(job: Job, content: str, **options: Any) -> Published:
    file = job.folder / "report.json"
    file.write_text(content, encoding="utf-8")
    return publish_file(
        file,
        lambda found: edition(found, f"## {found.verdict}"),
        job.context,
        PublishOptions(**options),
        job.outlet,
    )


def test_a_forks_report_arrives_on_its_pull_request(job: Job) -> None:
    job.name, job.payload = "workflow_run", workflow_run_event()
    job.github.pulls = [pull(3, HEAD), pull(5, HEAD, "patch", "stranger/widget")]
    job.github.runs = [run(99, HEAD, "patch", "stranger/widget")]
    made = written(report()).model_copy(update={"workflow_run": WorkflowRun(id=99, attempt=1)})
    published = received(job, made.model_dump_json(by_alias=True), status=True)
    assert (published.pull_request, published.comment, published.problems) == (5, "created", ())
    assert [item["number"] for item in job.github.comments] == [5]
    assert body_of(job) == f"{MARK}\n## fail"
    assert job.github.statuses[0]["sha"] == HEAD


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"commit": OTHER}, "about commit bbbbbbbbb"),
        ({"commit": None}, "does not say which commit"),
        ({"pull_request": 1}, "schema at pull"),
        ({"verdict": "merge"}, "schema at verdict"),
        ({"workflow_run": None}, "does not say which run"),
        ({"workflow_run": {"id": 6, "attempt": 1}}, "run 6 made it, and this job publishes run 7"),
        ({"workflow_run": {"id": 7, "attempt": 2}}, "claims attempt 2 of a run that is at attempt 1"),
        ({"verdict": "fail"}, "contradicts itself"),
    ],
)
def test_a_forged_report_creates_no_comment_and_approves_nothing(
    job: Job, change: dict[str, Any], words: str
) -> None:
    handed = passing().model_copy(update={"workflow_run": WorkflowRun(id=7, attempt=1)})
    content = json.dumps({**json.loads(handed.model_dump_json(by_alias=True)), **change})
    published = received(job, content, status=True, summary=True)
    assert words in published.refused
    assert (published.verdict, published.comment) == ("inconclusive", "none")
    assert job.github.comments == []
    assert [item["state"] for item in job.github.statuses] == ["error"]
    assert "Not validated" in job.summary


def test_a_refused_report_replaces_an_older_green_one(job: Job) -> None:
    job.github.comments = [comment(10, 3, f"{MARK}\nAll is well")]
    assert received(job, "{").comment == "updated"
    assert "refused" in job.github.comments[0]["body"]


def test_a_job_that_left_no_report_replaces_an_older_green_comment(job: Job) -> None:
    job.github.comments = [comment(10, 3, f"{MARK}\nAll is well")]
    path = job.folder / "none.json"
    published = publish_file(path, edition, job.context, PublishOptions(status=True), job.outlet)
    assert (published.refused, published.comment, published.verdict) == ("", "updated", "inconclusive")
    assert "ended without a report" in published.absent
    assert "### ❓ Not validated" in body_of(job)
    assert [item["state"] for item in job.github.statuses] == ["error"]
    assert job.printed == [f"::warning title=Not published::{published.absent}"]


def test_a_job_that_left_no_report_creates_no_comment(job: Job) -> None:
    path = job.folder / "none.json"
    assert publish_file(path, edition, job.context, PublishOptions(), job.outlet).comment == "none"
    assert job.github.comments == []


@pytest.mark.parametrize(
    ("conclusion", "counts"), [("success", True), ("failure", False), ("cancelled", False), (None, False)]
)
def test_a_report_of_an_earlier_attempt_counts_where_the_later_one_succeeded_without(
    job: Job, conclusion: str | None, counts: bool
) -> None:
    event = workflow_run_event()
    event["workflow_run"] |= {"run_attempt": 2, "conclusion": conclusion}
    job.name, job.payload = "workflow_run", event
    job.github.pulls, job.github.runs = [pull(3, HEAD, "patch")], [run(99, HEAD, "patch")]
    job.github.comments = [comment(10, 3, f"{MARK}\n{Attempt(99, 1).stamp}\nAll is well")]
    made = written(report()).model_copy(update={"workflow_run": WorkflowRun(id=99, attempt=1)})
    published = received(job, made.model_dump_json(by_alias=True))
    assert (published.verdict, published.comment) == ("fail" if counts else "inconclusive", "updated")
    assert ("Not validated" in body_of(job)) != counts
    assert bool(published.absent) != counts
    assert (Attempt(99, 1 if counts else 2).stamp) in job.github.comments[0]["body"]


def test_enterprise_server(tmp_path: Path) -> None:
    with FakeGitHub(prefix="/api/v3") as server:
        server.pulls = [pull(3, HEAD)]
        job = Job(tmp_path, server)
        assert go(job, status=True, check=True, issue=True).problems == ()
        assert server.violations == []
        assert all(request["path"].startswith("/api/v3/") for request in server.requests)
