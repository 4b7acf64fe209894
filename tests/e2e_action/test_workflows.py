"""The guide's other workflows, run by `act`: a killed job, a merge queue, a monorepo, a night."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.action.conftest import MODEL, SETTINGS, Consumer
from tests.e2e_action.runner import Hub
from tests.e2e_action.spy import COMMON, OPEN, assert_no_secret, comments, opened, spy
from tests.github.fake import comment

pytestmark = pytest.mark.e2e

#: A model whose builder has the validator killed, as a machine without memory does.
KILLER = """import os
import signal
from pathlib import Path


def build():
    process = "self"
    while process not in ("0", "1"):
        status = Path(f"/proc/{process}/status").read_text()
        process = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
        command = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\\0")
        if b"validator" in command and b"run" in command:
            os.kill(int(process), signal.SIGKILL)
            os._exit(1)
    raise RuntimeError("there is no validator above this process")
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    return opened(tmp_path_factory.mktemp("hub"))


def test_a_job_that_is_killed_replaces_the_green_comment(hub: Hub) -> None:
    marker = "<!-- keras-validator:default -->"
    hub.state["comments"] = [comment(1, 7, f"{marker}\n### ✅ Predictions are identical")]
    hub.open({"model.py": KILLER})
    dead = hub.act("two-jobs", run=(101, 1))
    assert dead.jobs == {"validate": "failure", "report": "success"}, dead.log
    (body,) = comments(hub)
    assert "Not validated" in body
    assert "✅" not in body


def test_a_merge_queue_compares_all_its_commits_in_a_private_repository(hub: Hub) -> None:
    consumer = hub.consumer
    base = consumer.git("rev-parse", "main")
    consumer.git("checkout", "--quiet", "-B", "queue", "main")
    consumer.commit({"requirements.txt": f"keras==3.5.0\n{COMMON}"}, "Bump keras")
    consumer.commit({"model.py": spy(hub.folder, 1.5)}, "Move the model")
    head = consumer.commit({"README.md": "queue\n"}, "Say so")
    ref = "refs/heads/gh-readonly-queue/main/pr-7"
    hub.push(f"HEAD:{ref}")
    group = {"base_sha": base, "head_sha": head, "head_ref": ref, "base_ref": "refs/heads/main"}
    repository = {"full_name": "acme/widget", "default_branch": "main"}
    event = {"action": "checks_requested", "merge_group": group, "repository": repository}
    queued = hub.act("two-jobs", "merge_group", event, run=(102, 1), ref=ref)
    assert queued.jobs == {"validate": "failure"}, queued.log
    assert "keras 3.3.3 → 3.5.0" in queued.log
    assert queued.writes() == []


def test_each_project_of_a_repository_has_its_own_comment(tmp_path: Path) -> None:
    consumer = Consumer(tmp_path / "widget")
    moved = MODEL.replace("reshape(4, 3)", "reshape(4, 3) * (1 + (keras.__version__ == '3.5.0'))")
    files: dict[str, str | bytes | None] = {}
    for project, code in {"ocr": moved, "search": MODEL}.items():
        folder = f"services/{project}"
        files[f"{folder}/validator.yml"] = SETTINGS.replace("inputs.npy", "../../inputs.npy")
        files[f"{folder}/model.py"] = code
        files[f"{folder}/requirements.txt"] = f"keras==3.3.3\n{COMMON}"
    consumer.start(files)
    hub = Hub(tmp_path, consumer)
    hub.open({"services/ocr/requirements.txt": f"keras==3.5.0\n{COMMON}"})
    outcome = hub.act("monorepo")
    assert outcome.jobs == {"validate": "failure", "report": "success"}, outcome.log
    (body,) = comments(hub)
    assert body.startswith("<!-- keras-validator:ocr -->")
    assert "### ❌ Predictions change" in body


def test_nothing_relevant_changed_is_a_quick_green_without_a_comment(tmp_path: Path) -> None:
    consumer = Consumer(tmp_path / "widget")
    consumer.start({"requirements.txt": f"keras==3.3.3\n{COMMON}", "README.md": "one\n"})
    other = Hub(tmp_path, consumer)
    other.open({"README.md": "two\n"})
    outcome = other.act("auto-merge")
    assert outcome.jobs == {"validate": "success", "report": "success"}, outcome.log
    assert "nothing relevant changed" in outcome.log
    assert outcome.writes() == []


def test_the_nightly_canary_opens_one_issue_and_closes_it(tmp_path: Path) -> None:
    consumer = Consumer(tmp_path / "widget")
    model = spy(tmp_path, 1.5).replace('== "3.5.0"', '!= "3.3.3"')
    consumer.start({"requirements.txt": f"keras==3.3.3\n{COMMON}", "model.py": model, "validator.yml": OPEN})
    nights = Hub(tmp_path, consumer)
    nights.open({})  # GitHub checks the default branch out, which here is the merge of nothing
    event = {"schedule": "17 3 * * *", "repository": {"full_name": "acme/widget", "default_branch": "main"}}

    # A newer Keras moves the numbers. Nothing is committed, and no pull request is there to comment on.
    first = nights.act("nightly", "schedule", event)
    assert first.jobs == {"validate": "failure", "report": "success"}, first.log
    assert first.writes() == ["POST /repos/acme/widget/issues"]
    (issue,) = nights.state["issues"]
    assert issue["title"].startswith("Keras upgrade: tiny changed: max abs diff ")
    assert "--with keras==" in issue["body"]
    assert_no_secret(nights)

    # The model was mended: the issue is closed.
    nights.open({"model.py": model.replace("FACTOR = 1.5", "FACTOR = 1.0")})
    second = nights.act("nightly", "schedule", event)
    assert second.jobs == {"validate": "success", "report": "success"}, second.log
    (issue,) = nights.state["issues"]
    assert issue["state"] == "closed"
