"""The guide's workflows of a pull request, run by `act` from the first comment to the lost artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e_action.runner import BRANCH, Hub
from tests.e2e_action.spy import assert_no_secret, comments, opened, spy

pytestmark = pytest.mark.e2e

PULL_REQUEST = "https://github.com/acme/widget/pull/7"


def merges(hub: Hub) -> list[str]:
    """How `gh` was called by the last run."""
    calls = hub.folder / "gh.calls"
    lines = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return lines


def forks_event(hub: Hub, **run: object) -> dict[str, Any]:
    """What starts the workflow that publishes the report of run 99."""
    workflow_run = {
        "id": 99,
        "run_attempt": 1,
        "event": "pull_request",
        "conclusion": "failure",
        "head_sha": hub.tip,
        "head_branch": BRANCH,
        "head_repository": {"full_name": "acme/widget"},
        **run,
    }
    repository = {"full_name": "acme/widget", "default_branch": "main"}
    return {"action": "completed", "workflow_run": workflow_run, "repository": repository}


def test_one_comment_is_created_edited_and_left_alone(tmp_path: Path) -> None:
    hub = opened(tmp_path)
    # All holds: nobody is told, and Dependabot's pull request may merge itself.
    first = hub.act("auto-merge")
    assert first.jobs == {"validate": "success", "report": "success", "merge": "success"}, first.log
    assert first.writes() == []
    assert "Predictions are identical: `keras 3.3.3 → 3.5.0`" in first.log
    assert merges(hub) == [f"pr merge --auto --squash --match-head-commit {hub.tip} {PULL_REQUEST}"]
    assert_no_secret(hub)

    # Somebody pushes, the model now differs: the gate fails its own job, the other one comments, none merges.
    hub.open({"model.py": spy(hub.folder, 1.5)})
    second = hub.act("auto-merge", run=(100, 1))
    assert second.jobs == {"validate": "failure", "report": "success"}, second.log
    assert second.writes() == ["POST /repos/acme/widget/issues/7/comments"]
    (body,) = comments(hub)
    assert "### ❌ Predictions change" in body
    assert f"commit `{hub.tip[:7]}`" in body
    assert "::error file=requirements.txt,line=1," in second.log or "tiny changed" in second.log
    assert merges(hub) == []
    assert_no_secret(hub)

    # The failed jobs are run again: the artifact is replaced, and nothing is written, as nothing is new.
    third = hub.act("two-jobs", run=(100, 2))
    assert third.jobs == {"validate": "failure", "report": "success"}, third.log
    assert third.writes() == []
    assert comments(hub) == [body]

    # The first attempt's job was slower, and reports after the second: the newer result stays.
    older = hub.act("two-jobs", run=(99, 1))
    assert older.jobs == {"validate": "failure", "report": "success"}, older.log
    assert older.writes() == []
    assert "shows a later run or attempt" in older.log

    # A fork's report is published by a workflow of its own, from the artifact of that run.
    hub.state["comments"] = []
    fork = hub.act("fork-safe", "workflow_run", forks_event(hub), run=(500, 1))
    assert fork.jobs == {"report": "success"}, fork.log
    assert fork.writes() == ["POST /repos/acme/widget/issues/7/comments"]
    assert "### ❌ Predictions change" in comments(hub)[0]

    # A second attempt ended without a report of its own: what the first one reported counts no more.
    again = hub.act("fork-safe", "workflow_run", forks_event(hub, run_attempt=2), run=(501, 1))
    assert again.jobs == {"report": "success"}, again.log
    (edited,) = again.writes()
    assert edited.startswith("PATCH /repos/acme/widget/issues/comments/")
    assert "### ❓ Not validated" in comments(hub)[0]

    # A report about another commit than the pull request's head is refused, and creates nothing.
    hub.state["comments"], kept = [], hub.state["comments"]
    forged = hub.act("fork-safe", "workflow_run", forks_event(hub, head_sha="f" * 40), run=(503, 1))
    assert forged.jobs == {"report": "failure"}, forged.log
    assert forged.writes() == []
    hub.state["comments"] = kept

    # So it is without any artifact.
    hub.lose_artifacts()
    lost = hub.act("fork-safe", "workflow_run", forks_event(hub, run_attempt=3), run=(502, 1))
    assert lost.jobs == {"report": "success"}, lost.log
    assert "ended without a report" in comments(hub)[0]
