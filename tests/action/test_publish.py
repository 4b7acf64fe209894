"""`keras-validator publish` against a GitHub on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.action.conftest import Consumer, outputs
from tests.github.cases import finding_of
from tests.github.fake import TOKEN, FakeGitHub, pull
from validator.checks.bands import CellVerdict
from validator.config.settings import GateRule
from validator.report import json as report_json
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Reason, Report, WorkflowRun

TIP = "a" * 40


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with FakeGitHub() as fake:
        fake.pulls.append(pull(7, TIP))
        yield fake
        assert fake.violations == []


@pytest.fixture
def job(consumer: Consumer, github: FakeGitHub) -> dict[str, str]:
    """The variables of a job that reports about pull request 7."""
    consumer.start({})
    event = {"pull_request": {"number": 7, "head": {"sha": TIP}, "base": {"sha": "b" * 40}}}
    return {
        **consumer.actions("pull_request", event),
        "GITHUB_API_URL": github.url,
        "GITHUB_TOKEN": TOKEN,
    }


def cell_of(verdict: CellVerdict, gated: tuple[GateRule, ...] = ()) -> CellResult:
    return CellResult(
        cell="tiny@head",
        environment="head",
        variant="",
        verdict=verdict,
        findings=(finding_of(verdict),),
        gated=gated,
        seconds=1.5,
    )


def report(consumer: Consumer, **more: object) -> Path:
    environments = (EnvironmentResult(name="base", role="baseline"), EnvironmentResult(name="head"))
    made = Report(
        verdict="pass",
        reasons=(),
        baseline="base",
        environments=environments,
        models=(ModelResult(name="tiny", cells=(cell_of("identical"),)),),
        tool="0.1.0",
        commit=TIP,
        workflow_run=WorkflowRun(id=77, attempt=1),
    ).model_copy(update=more)
    path = consumer.folder / "handed" / "report.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(report_json.dump(made), encoding="utf-8")
    return path


def test_the_comment_does_not_say_how_long_it_took(
    consumer: Consumer, github: FakeGitHub, job: dict[str, str]
) -> None:
    done = consumer.run("publish", str(report(consumer, seconds=12.5)), "--comment=always", environ=job)
    assert done.returncode == 0, done.stderr
    assert outputs(Path(job["GITHUB_OUTPUT"]))["comment"] == "created"
    again = {**job, "GITHUB_OUTPUT": job["GITHUB_OUTPUT"] + "2", "GITHUB_RUN_ID": "78"}
    run = WorkflowRun(id=78, attempt=1)
    later = report(consumer, seconds=99.0, started="2026-01-01T00:00:00+00:00", workflow_run=run)
    done = consumer.run("publish", str(later.parent), environ=again)
    assert done.returncode == 0, done.stderr
    assert outputs(Path(again["GITHUB_OUTPUT"]))["comment"] == "unchanged"
    assert len(github.writes()) == 1
    assert not (consumer.folder.parent / "runner" / "summary").exists()


def test_a_failed_verdict_is_published_and_fails_nothing_here(
    consumer: Consumer, github: FakeGitHub, job: dict[str, str]
) -> None:
    options = ["--status", "--check", "--issue", "--summary"]
    made = report(
        consumer,
        verdict="fail",
        reasons=(Reason(kind="cell", cell="tiny@head", rules=("changed",)),),
        models=(ModelResult(name="tiny", cells=(cell_of("changed", ("changed",)),)),),
    )
    done = consumer.run("publish", str(made), *options, environ=job)
    assert done.returncode == 0, done.stderr
    made_here = (github.comments, github.statuses, github.checks, github.issues)
    assert [len(made) for made in made_here] == [1, 1, 1, 1]
    assert Path(job["GITHUB_STEP_SUMMARY"]).stat().st_size > 100


def test_options_come_from_variables_and_empty_ones_count_for_nothing(
    consumer: Consumer, github: FakeGitHub, job: dict[str, str]
) -> None:
    variables = {
        "KERAS_VALIDATOR_REPORT": str(report(consumer)),
        "KERAS_VALIDATOR_COMMENT": "failures",
        "KERAS_VALIDATOR_STATUS": "true",
        "KERAS_VALIDATOR_NAME": "nightly",
        **dict.fromkeys(
            [f"KERAS_VALIDATOR_{name}" for name in ("INSTANCE", "CHECK", "ISSUE", "SUMMARY", "AUTHOR")], ""
        ),
    }
    done = consumer.run("publish", environ={**job, **variables})
    assert done.returncode == 0, done.stderr
    assert [one["context"] for one in github.statuses] == ["nightly"]
    assert github.comments == github.checks == github.issues == []


def test_a_token_that_may_not_write_changes_no_exit_code(
    consumer: Consumer, github: FakeGitHub, job: dict[str, str]
) -> None:
    github.allow(contents="read")
    done = consumer.run("publish", str(report(consumer)), "--comment=always", environ=job)
    assert done.returncode == 0
    assert "pull-requests: write" in done.stdout
    assert outputs(Path(job["GITHUB_OUTPUT"]))["comment"] == "failed"
    assert "Predictions are identical" in Path(job["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")


@pytest.mark.parametrize("forgery", ["another commit", "another run", "no json"])
def test_a_report_that_is_not_of_this_head_is_refused(
    consumer: Consumer, github: FakeGitHub, job: dict[str, str], forgery: str
) -> None:
    run = WorkflowRun(id=76 if forgery == "another run" else 77, attempt=1)
    path = report(consumer, commit="c" * 40 if forgery == "another commit" else TIP, workflow_run=run)
    if forgery == "no json":
        path.write_text('{"schema": 2, "seconds": NaN}', encoding="utf-8")
    done = consumer.run("publish", str(path), environ=job)
    assert done.returncode == 3
    assert github.writes() == []
    assert "The report was refused" in done.stderr


def test_without_a_report_only_a_warning_is_left(
    consumer: Consumer, github: FakeGitHub, job: dict[str, str]
) -> None:
    done = consumer.run("publish", "nowhere/keras-report", environ=job)
    assert done.returncode == 0
    assert github.writes() == []
    assert (
        "::warning title=Not published::The job that validates commit aaaaaaa ended without a report"
        in done.stdout
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--instance", "a--b"], "--instance"),
        (["--name", ""], "--name"),
        (["--comment", "sometimes"], "sometimes"),
    ],
)
def test_an_option_that_cannot_be_used_is_said(
    consumer: Consumer, job: dict[str, str], options: list[str], said: str
) -> None:
    done = consumer.run("publish", str(report(consumer)), *options, environ=job)
    assert done.returncode == 2
    assert said in done.stderr


def test_outside_a_job_it_is_said(consumer: Consumer) -> None:
    consumer.start({})
    done = consumer.run("publish", str(report(consumer)))
    assert done.returncode == 2
    assert "GITHUB_REPOSITORY" in done.stderr
