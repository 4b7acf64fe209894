"""The job of the guide that keeps a history on a branch: its script, against a repository on disk."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml

from tests.action.guide import WORKFLOWS
from tests.action.test_action_files import tool
from tests.conftest import ROOT
from tests.history.runs import entry
from validator.history import dump, read

PAGE = (ROOT / "docs" / "how-to" / "history.md").read_text(encoding="utf-8")
JOB = re.findall(r"```yaml\n(  history:\n.*?)```", PAGE, re.DOTALL)[0]
WORKFLOW = WORKFLOWS["nightly"].rstrip("\n") + "\n\n" + JOB
SCRIPT = yaml.safe_load(WORKFLOW)["jobs"]["history"]["steps"][-1]["run"]


def job(folder: Path, server: Path, line: str, hook: str = "") -> subprocess.CompletedProcess[str]:
    """Run the step in an empty folder, as a runner does."""
    folder.mkdir()
    (folder / "keras-report").mkdir()
    if line:
        (folder / "keras-report" / "history.jsonl").write_text(line)
    environ = {
        "PATH": f"{hook}:{os.environ['PATH']}" if hook else os.environ["PATH"],
        "HOME": str(folder),
        "TOKEN": "secret-token",
        "GITHUB_SERVER_URL": server.as_uri(),
        "GITHUB_REPOSITORY": "acme/widget",
        "GITHUB_SHA": "a" * 40,
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPT]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)


def server(folder: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder / "server/acme/widget")], check=True)
    return folder / "server"


def kept(place: Path, target: Path) -> Path:
    command = ["git", "-C", str(place / "acme/widget"), "show", "keras-history:history.jsonl"]
    target.write_bytes(subprocess.run(command, capture_output=True, check=True).stdout)
    return target


def test_the_first_run_makes_the_branch_and_later_ones_append(tmp_path: Path) -> None:
    place = server(tmp_path)
    for night in range(3):
        done = job(tmp_path / f"job-{night}", place, dump(entry(night, 0.9)))
        assert done.returncode == 0, done.stderr
        assert "secret-token" not in done.stdout + done.stderr
    history = read(kept(place, tmp_path / "kept.jsonl"))
    assert (len(history.entries), history.skipped) == (3, ())


def test_a_run_that_pushes_at_the_same_time_loses_nothing(tmp_path: Path) -> None:
    place = server(tmp_path)
    assert job(tmp_path / "before", place, dump(entry(0, 0.9))).returncode == 0
    # A git that lets another job finish just before the first push.
    bin_folder, marker = tmp_path / "bin", tmp_path / "pushed"
    bin_folder.mkdir()
    other = tmp_path / "other"
    subprocess.run(
        ["git", "clone", "--quiet", "-b", "keras-history", str(place / "acme/widget"), str(other)], check=True
    )
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (tmp_path / "line").write_text(dump(entry(1, 0.9)))
    (bin_folder / "git").write_text(
        f'#!/bin/bash\ncase "$*" in *push*) if [ ! -e {marker} ]; then touch {marker}; '
        f"cat {tmp_path / 'line'} >> {other}/history.jsonl; "
        f"{real} -C {other} -c user.name=a -c user.email=a@b commit -qam other; "
        f'{real} -C {other} push -q origin keras-history; fi;; esac\nexec {real} "$@"\n'
    )
    (bin_folder / "git").chmod(0o755)
    done = job(tmp_path / "late", place, dump(entry(2, 0.9)), str(bin_folder))
    assert done.returncode == 0, done.stderr
    assert marker.exists()
    assert len(read(kept(place, tmp_path / "kept.jsonl")).entries) == 3


def test_a_run_that_judged_nothing_pushes_nothing(tmp_path: Path) -> None:
    place = server(tmp_path)
    assert job(tmp_path / "job", place, "").returncode == 0
    branches = ["git", "-C", str(place / "acme/widget"), "branch"]
    assert subprocess.run(branches, capture_output=True, check=True).stdout == b""


def test_the_workflow_with_the_job_is_clean(tmp_path: Path) -> None:
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    assert jobs["history"]["permissions"] == {"contents": "write"}
    assert not any("keras-upgrade-validator" in step.get("uses", "") for step in jobs["history"]["steps"])
    file = tmp_path / ".github" / "workflows" / "nightly.yml"
    file.parent.mkdir(parents=True)
    file.write_text(WORKFLOW.replace("@v1", f"@{'1' * 40}"))
    for command in (
        [tool("jactionlint"), "--profile", "correctness", "--shellcheck", tool("shellcheck"), str(file)],
        [tool("zizmor"), "--offline", "--pedantic", str(tmp_path)],
    ):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
