"""Commit status, check run and the nightly issue."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.github.cases import HEAD, HOSTILE, FakeTime, cell, client, edition, publisher, refused, report
from tests.github.fake import REPOSITORY, FakeGitHub
from validator.github.edition import Edition
from validator.github.posts import Tracker
from validator.github.statuses import CommitMark, post_check, post_status
from validator.verdict.results import Reason, Report, Verdict

COMMIT = CommitMark(REPOSITORY, HEAD, "keras-validator", "https://github.com/acme/widget/actions/runs/7")
MARK = "<!-- keras-validator:nightly -->"
RED = ("Keras upgrade: it changed", "text")


def tracker(github: FakeGitHub, time: FakeTime, **more: str) -> Tracker:
    return Tracker(publisher(github, time, "nightly", **more))


@pytest.mark.parametrize(
    ("verdict", "state"),
    [("pass", "success"), ("warn", "success"), ("fail", "failure"), ("inconclusive", "error")],
)
def test_a_status_for_each_verdict(github: FakeGitHub, time: FakeTime, verdict: Verdict, state: str) -> None:
    assert post_status(client(github, time), COMMIT, edition(report(verdict))).endswith(HEAD)
    assert [item["state"] for item in github.statuses] == [state]


def test_a_long_reason_is_cut_to_140_characters(github: FakeGitHub, time: FakeTime) -> None:
    long = report("fail", reasons=(Reason(kind="error", error=HOSTILE * 100),))
    post_status(client(github, time), COMMIT, edition(long))
    description = github.statuses[0]["description"]
    assert len(description) <= 140
    assert description.endswith("…")
    assert "\n" not in description


def test_a_status_may_be_set_twice(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": "POST", "do": "cut"}]
    post_status(client(github, time), COMMIT, edition(report()))
    assert len(github.statuses) == 2


def test_statuses_need_their_own_permission(github: FakeGitHub, time: FakeTime) -> None:
    github.allow(pull_requests="write")
    with refused("permission") as caught:
        post_status(client(github, time), COMMIT, edition(report()))
    assert caught.value.permission == "statuses: write"
    with refused("permission") as caught:
        post_check(client(github, time), COMMIT, *check())
    assert caught.value.permission == "checks: write"
    with refused("permission") as caught:
        tracker(github, time).upsert(*RED)
    assert caught.value.permission == "issues: write"


def check(cells: int = 1, source: Report | None = None) -> tuple[Edition, str, str]:
    found = source or report("fail", *(cell("changed", True, name=f"e{number}") for number in range(cells)))
    return edition(found), "summary", "default-7-1"


def test_annotations_come_fifty_a_request(github: FakeGitHub, time: FakeTime) -> None:
    url = post_check(client(github, time), COMMIT, *check(120))
    assert url == "https://github.com/acme/widget/runs/1001"
    assert len(github.checks[0]["output"]["annotations"]) == 120
    assert [request["method"] for request in github.requests] == ["POST", "PATCH", "PATCH"]
    note = github.checks[0]["output"]["annotations"][0]
    assert (note["path"], note["start_line"], note["annotation_level"]) == ("requirements.txt", 4, "failure")


def test_without_a_manifest_annotations_stand_in_the_settings(github: FakeGitHub, time: FakeTime) -> None:
    post_check(client(github, time), COMMIT, *check(source=report("warn", upgrade=None)))
    hostile = report("warn", upgrade=None, configuration="/etc/passwd")
    post_check(client(github, time), COMMIT, *check(source=hostile))
    assert [item["output"]["annotations"][0]["path"] for item in github.checks] == ["validator.yml"] * 2
    assert [item["conclusion"] for item in github.checks] == ["neutral"] * 2


@pytest.mark.parametrize("fault", [{"do": "cut"}, {"do": "reply", "status": 502}])
def test_one_check_run_even_when_the_answer_gets_lost(
    github: FakeGitHub, time: FakeTime, fault: dict[str, object]
) -> None:
    github.faults = [{"match": "POST", **fault}]
    post_check(client(github, time), COMMIT, *check())
    assert len(github.checks) == 1


def test_a_check_run_that_never_works_ends(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": "POST", "do": "reply", "status": 502, "times": 9}]
    with refused("unavailable", match="three attempts"):
        post_check(client(github, time), COMMIT, *check())


def test_annotations_are_not_appended_twice(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": "PATCH", "do": "cut"}]
    with refused("ambiguous"):
        post_check(client(github, time), COMMIT, *check(60))
    assert len(github.checks[0]["output"]["annotations"]) == 60


def test_one_issue_from_red_to_green(github: FakeGitHub, time: FakeTime) -> None:
    other = {"number": 1, "title": "Bug", "body": "x", "login": "github-actions[bot]", "state": "open"}
    forged = {"number": 2, "title": "x", "body": f"{MARK}\nx", "login": "mallory", "state": "open"}
    github.issues = [other, forged]
    nightly = tracker(github, time)
    more = ("Keras upgrade: more", "text")
    actions = [nightly.close().action]
    actions += [nightly.upsert(*text).action for text in (RED, RED, more)]
    actions += [nightly.close().action, nightly.close().action]
    assert actions == ["none", "opened", "unchanged", "updated", "closed", "none"]
    assert [(issue["number"], issue["state"]) for issue in github.issues] == [
        (1, "open"),
        (2, "open"),
        (4, "closed"),
    ]
    assert github.issues[2]["title"] == "Keras upgrade: more"
    assert github.issues[2]["body"] == f"{MARK}\ntext"
    assert tracker(github, time).upsert(*RED).action == "opened"


def test_a_pull_request_of_the_bot_is_no_issue_of_ours(github: FakeGitHub, time: FakeTime) -> None:
    own = {"number": 9, "title": "x", "body": f"{MARK}\nx", "login": "github-actions[bot]", "state": "open"}
    github.issues = [{**own, "pull": True}]
    assert tracker(github, time).close().action == "none"


def test_nightly_runs_at_once_leave_one_open_issue(github: FakeGitHub) -> None:
    github.faults = [{"match": "GET .*/issues", "do": "meet", "parties": 2, "times": 2}]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: tracker(github, FakeTime()).upsert(*RED), range(2)))
    assert [issue["state"] for issue in github.issues].count("open") == 1
    assert github.issues[0]["state"] == "open"


@pytest.mark.parametrize("fault", [{"do": "cut"}, {"do": "drop"}])
def test_one_issue_even_when_the_answer_gets_lost(
    github: FakeGitHub, time: FakeTime, fault: dict[str, object]
) -> None:
    github.faults = [{"match": "POST", **fault}]
    assert tracker(github, time).upsert(*RED).action == "opened"
    assert len(github.issues) == 1


def test_an_unknown_author_would_open_an_issue_every_night(github: FakeGitHub, time: FakeTime) -> None:
    app = {"login": "models[bot]", "kind": "installation", "permissions": {"issues": "write"}}
    github.tokens["ghs_app"] = app
    with refused("unexpected", match=r"models\[bot\]"):
        tracker(github, time, token="ghs_app").upsert(*RED)
    named = tracker(github, time, token="ghs_app", author="models[bot]")
    assert named.upsert(*RED).action == "unchanged"
