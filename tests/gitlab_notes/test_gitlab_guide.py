"""The pipeline that docs/how-to/gitlab.md prints."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer
import yaml

from tests.conftest import ROOT
from validator.cli import app

GUIDE = (ROOT / "docs" / "how-to" / "gitlab.md").read_text(encoding="utf-8")
PIPELINE = re.findall(r"<!-- gitlab: merge-request -->\n```yaml\n(.*?)```", GUIDE, re.DOTALL)[0]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def job(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(PIPELINE)[name]
    return parsed


def test_the_pipeline_follows_gitlabs_schema(tmp_path: Path) -> None:
    (tmp_path / ".gitlab-ci.yml").write_text(PIPELINE, encoding="utf-8")
    tool = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    assert tool
    command = [tool, "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    done = subprocess.run(
        [*command, str(tmp_path / ".gitlab-ci.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_job_that_runs_models_has_no_token_and_the_other_runs_none() -> None:
    validate, report = job("keras-validate"), job("keras-report")
    assert "environment" not in validate
    assert report["variables"] == {"GIT_STRATEGY": "none"}
    assert report["environment"]["name"] == "keras-report"
    assert report["rules"][0]["when"] == validate["artifacts"]["when"] == "always"


def test_its_commands_exist() -> None:
    for name, command in (("keras-validate", "run"), ("keras-report", "publish")):
        words = shlex.split(job(name)["script"][-1])
        arguments = words[words.index(command) + 1 :]
        options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= options
