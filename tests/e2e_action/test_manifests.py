"""Dependabot's change in each kind of manifest: both environments are built from it, and the model runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.action.conftest import SETTINGS, Consumer
from tests.upgrade.conftest import Files
from tests.upgrade.samples import project

#: The samples name keras and numpy; the backend comes from the settings, which every environment shares.
SHARED = SETTINGS + "requirements: [tensorflow-cpu==2.17.1, packaging]\n"
#: All are read by quick tests. Two run with every change, the others with the other environments.
COMMON = ("requirements.txt", "uv.lock and pyproject.toml")
OTHERS = ("PEP 621", "pylock.toml", "poetry", "Pipfile and lock", "environment.yml")


def files(kind: str, keras: str) -> Files:
    """A sample that can be installed: one index exists nowhere, and the hashes of uv.lock are made up."""
    return {name: _installable(str(text)) for name, text in project(kind, keras).items()}


def _installable(text: str) -> str:
    text = text.replace("https://packages.example.org", "https://pypi.org")
    return re.sub(r", hash = \"sha256:0+\"", "", text)


@pytest.mark.parametrize(
    "kind",
    [
        *(pytest.param(kind, marks=pytest.mark.e2e) for kind in COMMON),
        *(pytest.param(kind, marks=pytest.mark.matrix) for kind in OTHERS),
    ],
)
def test_a_bump_of_keras_is_validated(tmp_path: Path, kind: str) -> None:
    consumer = Consumer(tmp_path / "widget")
    consumer.start({**files(kind, "3.3.3"), "validator.yml": SHARED})
    tip = consumer.pull_request(files(kind, "3.5.0"), "Bump keras from 3.3.3 to 3.5.0")
    environ = consumer.actions("pull_request", consumer.pull_request_event(tip))
    done = consumer.run("run", "--event", environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = consumer.report()
    versions = {one["name"]: one["packages"]["keras"] for one in report["environments"]}
    assert versions == {"base": "3.3.3", "head": "3.5.0"}
    assert {one["packages"]["numpy"] for one in report["environments"]} == {"1.26.4"}
    (change,) = [one for one in report["upgrade"]["changes"] if one["name"] == "keras"]
    assert (change["old"], change["new"]) == ("3.3.3", "3.5.0")
    assert report["models"][0]["cells"][0]["verdict"] == "identical"
    assert (
        f"--base {consumer.git('rev-parse', 'HEAD^1')[:12]}" in report["models"][0]["cells"][0]["reproduce"]
    )
