"""The real action.yml and report/action.yml, run by `act` in a repository that uses them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.action.conftest import MODEL, SETTINGS, Consumer
from tests.e2e_action.runner import BRANCH, Hub
from tests.github.fake import TOKEN, comment

pytestmark = pytest.mark.e2e

COMMON = "tensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging\n"
#: A model whose builder looks for a token in every place that a process of the job can read.
SPY = '''import os
from pathlib import Path

import numpy as np
import keras

HERE = Path(__file__).resolve().parent
TARGET = Path("SPIED")
FACTOR = 1.0


def ancestors():
    """This process and those above it, up to the runner, which on GitHub has the token in its memory only."""
    process = "self"
    while b"/act\\0" not in Path(f"/proc/{process}/cmdline").read_bytes()[:400]:
        yield process
        status = Path(f"/proc/{process}/status").read_text()
        process = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid"))
        if process in ("0", "1"):
            raise RuntimeError("there is no runner above this process")


def read(path):
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).replace(b"\\0", b"\\n")
    except OSError as error:
        return str(error).encode()


def look():
    environs = [read(Path(f"/proc/{one}/environ")) for one in ancestors()]
    variables = {}
    for line in b"\\n".join(environs).decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        variables.setdefault(name, set()).add(value)
    files = [Path(value) for name in variables for value in variables[name] if name.startswith("GITHUB_")]
    for folder in variables.get("RUNNER_TEMP", ()):
        for root, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "keras-validator"]
            files += [Path(root, name) for name in names]
    files += [HERE / ".git" / "config", Path.home() / ".git-credentials", Path.home() / ".netrc"]
    found = [b"ENVIRON " + environ for environ in environs]
    found += [b"FILE " + str(file).encode() + b"\\n" + read(file) for file in files if file.is_file()]
    TARGET.write_bytes(b"\\n".join(found))


def build():
    look()
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    factor = FACTOR if keras.__version__ == "3.5.0" else 1.0
    model.layers[-1].set_weights([np.arange(12, dtype="float32").reshape(4, 3) * factor])
    return model
'''

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
#: The spy writes what it finds, and the killer sends a signal: a sandbox permits neither.
OPEN = f'{SETTINGS}sandbox: {{mode: "off"}}\n'
PULL_REQUEST = "https://github.com/acme/widget/pull/7"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Hub:
    folder = tmp_path_factory.mktemp("hub")
    consumer = Consumer(folder / "widget")
    consumer.start(
        {"requirements.txt": f"keras==3.3.3\n{COMMON}", "model.py": spy(folder), "validator.yml": OPEN}
    )
    made = Hub(folder, consumer)
    made.open({"requirements.txt": f"keras==3.5.0\n{COMMON}"})
    return made


def spy(folder: Path, factor: float = 1.0) -> str:
    """The model, which writes what it finds into `folder`."""
    here = SPY.replace('Path("SPIED")', f"Path({str(folder / 'SPIED')!r})")
    return here.replace("FACTOR = 1.0", f"FACTOR = {factor}")


def spied(hub: Hub) -> bytes:
    """What the model of the last run found."""
    found = hub.folder / "SPIED"
    read = found.read_bytes()
    found.unlink()
    return read


def assert_no_secret(hub: Hub) -> None:
    found = spied(hub).splitlines()
    environs = [number for number, line in enumerate(found) if line.startswith(b"ENVIRON ")]
    assert len(environs) >= 3  # the worker, Nox and the tool above it
    assert any(line.startswith(b"KERAS_BACKEND=") for line in found)
    assert any(line.startswith(b"FILE ") and line.endswith(b".git/config") for line in found)
    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode())
    secrets = (TOKEN.encode(), encoded, b"AUTHORIZATION")
    # What was read may be megabytes long; the lines with a secret are what anyone would want to see.
    leaks = [line[:200] for line in found if any(secret in line for secret in secrets)]
    assert leaks == []


def merges(hub: Hub) -> list[str]:
    """How `gh` was called by the last run."""
    calls = hub.folder / "gh.calls"
    lines = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return lines


def comments(hub: Hub) -> list[str]:
    return [one["body"] for one in hub.state["comments"]]


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


def test_one_comment_is_created_edited_and_left_alone(hub: Hub) -> None:
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
    assert "Predictions change" in issue["title"]
    assert "--with keras==" in issue["body"]
    assert_no_secret(nights)

    # The model was mended: the issue is closed.
    nights.open({"model.py": model.replace("FACTOR = 1.5", "FACTOR = 1.0")})
    second = nights.act("nightly", "schedule", event)
    assert second.jobs == {"validate": "success", "report": "success"}, second.log
    (issue,) = nights.state["issues"]
    assert issue["state"] == "closed"
