"""A repository that uses the validator, and the command line run in it as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from tests.upgrade.conftest import Files, Repo

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """version: 1
origin: {seconds: 0}
models:
  - name: tiny
    builder: model:build
    inputs: inputs.npy
"""
MODEL = """import numpy as np
import keras


def build():
    model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3, use_bias=False)])
    model.layers[-1].set_weights([np.arange(12, dtype="float32").reshape(4, 3)])
    return model
"""


class Consumer(Repo):
    """A project with a model, its settings and its requirements."""

    def start(self, files: Files) -> None:
        self.git("init", "--quiet", "-b", "main")
        np.save(self.folder / "inputs.npy", np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4))
        ignored: Files = {".gitignore": ".keras-validator/\n"}
        self.commit({"validator.yml": SETTINGS, "model.py": MODEL, **ignored, **files}, "start")

    def run(
        self, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `keras-validator` in the project, with nothing of GitHub's in its environment but `environ`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "GH_"))}
        return subprocess.run(
            [sys.executable, "-m", "validator", *arguments],
            cwd=self.folder,
            env={**kept, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200", **(environ or {})},
            capture_output=True,
            text=True,
            check=False,
        )

    def actions(self, name: str, event: Mapping[str, object]) -> dict[str, str]:
        """The variables of a job of GitHub Actions that this event started, on the commit checked out."""
        folder = self.folder.parent / "runner"
        folder.mkdir(exist_ok=True)
        (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_REPOSITORY": "acme/widget",
            "GITHUB_RUN_ID": "77",
            "GITHUB_SHA": self.git("rev-parse", "HEAD"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }

    def pull_request_event(self, tip: str) -> dict[str, object]:
        """The payload of a pull request from branch `topic` into main, whose merge is checked out."""
        same = {"repo": {"full_name": "acme/widget"}}
        return {
            "number": 7,
            "pull_request": {
                "number": 7,
                "head": {"sha": tip, "ref": "topic", **same},
                "base": {"sha": self.git("rev-parse", "HEAD^1"), "ref": "main", **same},
            },
        }

    def report(self, folder: str = "run") -> dict[str, object]:
        """The report of the last run."""
        path = self.folder / ".keras-validator" / folder / "report.json"
        read: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return read


@pytest.fixture
def consumer(tmp_path: Path) -> Consumer:
    return Consumer(tmp_path / "widget")


def outputs(path: Path) -> dict[str, str]:
    """The outputs of a step, as the runner reads them."""
    found, lines = {}, iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        name, _, end = line.partition("<<")
        found[name] = "\n".join(iter(lambda end=end: next(lines), end))  # type: ignore[misc]
    return found
