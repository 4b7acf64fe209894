"""The README's commands are what CI runs, and every workflow keeps the rules of SECURITY.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", *sorted(ROOT.glob("*/action.yml"))]
SETUP = "python3 -m venv .venv && .venv/bin/pip install -q -r requirements.lock && "


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(text(path))["jobs"]


def steps(path: Path) -> list[dict[str, Any]]:
    """The steps of a workflow's jobs, or of a composite action."""
    content = yaml.safe_load(text(path))
    if "runs" in content:
        return content["runs"]["steps"]
    return [step for job in content["jobs"].values() for step in job.get("steps", ())]


def readme_commands() -> list[str]:
    return [line for line in text(ROOT / "README.md").splitlines() if line.startswith("python3 -m venv")]


def test_the_readme_has_two_commands() -> None:
    assert readme_commands() == [f"{SETUP}.venv/bin/nox -s validate", f"{SETUP}.venv/bin/nox -s tests"]


def test_ci_runs_the_commands_as_printed() -> None:
    in_github = [
        row["command"]
        for row in jobs(ROOT / ".github" / "workflows" / "ci.yml")["readme"]["strategy"]["matrix"]["include"]
    ]
    assert in_github == readme_commands()
    assert readme_commands()[1] in text(ROOT / ".ci" / "run").splitlines()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_says_what_it_may_do_and_how_long(path: Path) -> None:
    assert yaml.safe_load(text(path))["permissions"] == {}
    for name, job in jobs(path).items():
        assert job["permissions"], name
        assert "timeout-minutes" in job or "uses" in job, name


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_step_splices_text_into_a_shell(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step.get("name")


def test_no_checkout_keeps_its_token() -> None:
    used = [step for path in WORKFLOWS for step in steps(path)]
    checkouts = [step for step in used if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_every_action_is_one_commit_everywhere_and_says_its_version() -> None:
    used: dict[str, set[str]] = {}
    for path in [*WORKFLOWS, *ACTIONS]:
        for line in text(path).splitlines():
            if (found := re.match(r"\s*(?:- )?uses: (?!\$?\.?/)(\S+?)@(.*)", line)) is not None:
                assert re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", found[2]), line
                used.setdefault(found[1], set()).add(found[2])
    assert used
    assert {name for name, pins in used.items() if len(pins) > 1} == set()


def test_a_job_that_may_write_checks_nothing_out() -> None:
    for path in WORKFLOWS:
        for name, job in jobs(path).items():
            if "write" in job["permissions"].values():
                assert not any("checkout" in step.get("uses", "") for step in job["steps"]), name
