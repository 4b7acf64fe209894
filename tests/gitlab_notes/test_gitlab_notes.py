"""`keras-validator publish` in a job of GitLab CI, by python-gitlab, against a GitLab on 127.0.0.1."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from tests.github.cases import finding_of, written
from tests.gitlab_notes.fake import STRANGER, TOKEN, FakeGitLab
from validator.errors import ConfigurationError, Exit
from validator.github import PublishOptions
from validator.github.attempts import Attempt
from validator.gitlab import PostedNote, read_job
from validator.gitlab.notes import without_actions
from validator.pipeline.publish import publish_on_gitlab
from validator.report import json as report_json
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Report, Verdict

HEAD, MERGED = "a" * 40, "c" * 40
MARK = "<!-- keras-validator:default -->"


@dataclass
class Merge:
    """A merge request whose pipeline validated it, and the job that publishes."""

    folder: Path
    gitlab: FakeGitLab
    variables: dict[str, str] = field(default_factory=dict)

    def publish(
        self, verdict: Verdict | None = "fail", commit: str = HEAD, **options: object
    ) -> tuple[PostedNote, Exit, str]:
        """What became of the note, the exit code, and the first note's text without its hidden lines."""
        if verdict is not None:
            self.write(verdict, commit)
        environ = {
            "GITLAB_CI": "true",
            "CI_SERVER_URL": self.gitlab.url,
            "CI_PROJECT_ID": "12",
            "CI_MERGE_REQUEST_IID": "7",
            "CI_COMMIT_SHA": HEAD,
            "CI_PIPELINE_ID": "300",
            "CI_PIPELINE_URL": "https://gitlab.example/p/300",
            "GITLAB_TOKEN": TOKEN,
            **self.variables,
        }
        path = self.folder / "report.json"
        note, code = publish_on_gitlab(path, PublishOptions.model_validate(options), environ)
        text = self.gitlab.notes[0]["body"].partition("-->\n<!--")[2] if self.gitlab.notes else ""
        return note, code, text

    def write(self, verdict: Verdict, commit: str) -> None:
        band = "changed" if verdict == "fail" else "identical"
        cell = CellResult(
            cell="tiny@head",
            environment="head",
            variant="",
            verdict=band,
            findings=(finding_of(band),),
            gated=("changed",) if verdict == "fail" else (),
        )
        report = Report(
            verdict=verdict,
            reasons=(),
            baseline="base",
            environments=(EnvironmentResult(name="base", role="baseline"), EnvironmentResult(name="head")),
            models=(ModelResult(name="tiny", cells=(cell,)),),
            tool="0.1.0",
            commit=commit,
        )
        (self.folder / "report.json").write_text(report_json.dump(written(report)), encoding="utf-8")


@pytest.fixture
def merge(tmp_path: Path, httpserver: HTTPServer) -> Merge:
    return Merge(tmp_path, FakeGitLab(httpserver, HEAD))


def test_one_note_is_created_edited_and_left_alone(merge: Merge) -> None:
    note, code, text = merge.publish("fail")
    assert (note.action, note.problem, code) == ("created", "", Exit.OK)
    assert note.url.endswith("/acme/widget/-/merge_requests/7#note_1")
    assert "Predictions change" in text
    assert merge.publish("fail")[0].action == "unchanged"
    note, _, text = merge.publish("pass")
    assert (note.action, "Predictions are identical" in text) == ("updated", True)
    assert merge.gitlab.writes == [
        "POST /api/v4/projects/12/merge_requests/7/notes",
        "PUT /api/v4/projects/12/merge_requests/7/notes/1",
    ]


def test_a_green_report_creates_no_note(merge: Merge) -> None:
    assert merge.publish("pass")[0].action == "none"
    assert merge.gitlab.writes == []


def test_the_oldest_of_ours_behind_many_others_stays(merge: Merge) -> None:
    for number in range(120):
        merge.gitlab.add(f"chat {number}", STRANGER)
    merge.gitlab.add(f"{MARK}\nforged", STRANGER)
    merge.gitlab.add(f"{MARK}\nours")
    merge.gitlab.add(f"{MARK}\nours again")
    note, _, _ = merge.publish("fail")
    assert (note.action, note.url.rpartition("#")[2]) == ("updated", "note_122")
    assert merge.gitlab.notes[120]["body"] == f"{MARK}\nforged"
    assert len(merge.gitlab.notes) == 122


def test_an_older_pipeline_never_replaces_a_newer_one(merge: Merge) -> None:
    merge.gitlab.add(f"{MARK}\n{Attempt(301, 1).stamp}\nnewer")
    assert merge.publish("fail")[0].action == "stale"
    assert merge.gitlab.writes == []


def test_a_merge_request_that_moved_on_is_left_alone(merge: Merge) -> None:
    merge.gitlab.head = "b" * 40
    note, code, _ = merge.publish("fail")
    assert (note.action, code) == ("stale", Exit.OK)
    assert "moved on from aaaaaaaaa to bbbbbbbb" in note.problem


def test_a_pipeline_of_the_merged_result_is_about_the_branch(merge: Merge) -> None:
    merge.variables = {"CI_COMMIT_SHA": MERGED, "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}
    assert merge.publish("fail", MERGED)[0].action == "created"


def test_a_refused_report_replaces_a_green_note_and_creates_none(merge: Merge) -> None:
    note, code, _ = merge.publish("pass", "d" * 40)
    assert (note.action, code) == ("none", Exit.CANNOT_JUDGE)
    merge.gitlab.add(f"{MARK}\nAll is well")
    assert merge.publish("pass", "d" * 40)[0].action == "updated"
    assert "Not validated" in merge.gitlab.notes[0]["body"]


def test_without_a_report_a_green_note_is_replaced(merge: Merge) -> None:
    merge.gitlab.add(f"{MARK}\nAll is well")
    note, code, _ = merge.publish(None)
    assert (note.action, code) == ("updated", Exit.OK)
    assert "ended without a report" in note.problem
    assert "Not validated" in merge.gitlab.notes[0]["body"]


@pytest.mark.parametrize(
    ("variables", "status", "words"),
    [
        ({"GITLAB_TOKEN": ""}, 0, "set the variable GITLAB_TOKEN"),
        ({"GITLAB_TOKEN": "wrong"}, 0, "does not accept GITLAB_TOKEN"),
        ({}, 403, "project access token with the scope `api`"),
        ({"CI_SERVER_URL": "http://127.0.0.1:9"}, 0, "could not be reached"),
        ({"CI_MERGE_REQUEST_IID": ""}, 0, "belongs to no merge request"),
    ],
)
def test_what_gitlab_refuses_is_a_sentence_and_changes_no_verdict(
    merge: Merge, variables: dict[str, str], status: int, words: str
) -> None:
    merge.variables, merge.gitlab.status = variables, status
    note, code, _ = merge.publish("fail")
    assert words in note.problem
    assert (code, merge.gitlab.writes) == (Exit.OK, [])
    assert TOKEN not in note.problem


def test_what_has_no_meaning_on_gitlab_is_refused(merge: Merge) -> None:
    with pytest.raises(ConfigurationError, match="--status, --issue: on GitLab, only a note"):
        merge.publish(status=True, issue=True)


def test_outside_a_pipeline_it_is_said() -> None:
    with pytest.raises(ConfigurationError, match="CI_COMMIT_SHA, CI_PIPELINE_ID, CI_PROJECT_ID"):
        read_job({"GITLAB_CI": "true", "CI_SERVER_URL": "https://gitlab.com"})


def test_a_token_is_not_shown() -> None:
    variables = {"CI_SERVER_URL": "https://gitlab.com", "CI_PROJECT_ID": "1", "CI_COMMIT_SHA": HEAD}
    assert TOKEN not in repr(read_job({**variables, "CI_PIPELINE_ID": "1", "GITLAB_TOKEN": TOKEN}))


def test_no_line_is_a_quick_action() -> None:
    assert without_actions("```\n```yaml\n```\n/merge") == "```\n```yaml\n```\n&#47;merge"
    text = "a\n/merge\n  /approve now\n```\n/close\n```\n````md\n```\n/x\n````\n/assign me\n| /label |\n//x\n"
    safe = without_actions(text)
    assert safe == text.replace("\n/merge", "\n&#47;merge").replace("  /approve", "  &#47;approve").replace(
        "\n/assign", "\n&#47;assign"
    )
    assert json.dumps(safe).count("&#47;") == 3
