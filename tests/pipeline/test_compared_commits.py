"""Which two commits are compared, and what changes between them, in real repositories."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.upgrade.conftest import Repo
from validator.config.load import parse
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.github import Context, read_context
from validator.pipeline.pull_request import (
    ComparedCommits,
    asked_by_actions,
    asked_by_revisions,
    find,
    persisted_credentials,
)
from validator.upgrade import Requirements, Trigger

SETTINGS = """version: 1
install: {exclude_newer: "2025-01-01T00:00:00Z"}
upgrade: {relevant: ["acme-*"]}
models: [{name: tiny, artifact: models/tiny.keras, inputs: ../inputs.npz}]
"""


class Exact:
    """An installer for projects in which every version is exact, and brings nothing along."""

    def resolve(self, requirements: Requirements, exclude_newer: str) -> Mapping[str, str] | Failure:
        return dict(text.split("==") for text in requirements.requirements)

    def export(
        self, project: Mapping[str, str], extras: tuple[str, ...], groups: tuple[str, ...]
    ) -> str | Failure:
        raise AssertionError(project)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("init", "--quiet", "-b", "main")
    return made


def job(folder: Path, name: str, event: str) -> Context:
    file = folder / "event.json"
    file.write_text(event)
    return read_context(
        {
            "GITHUB_REPOSITORY": "o/n",
            "GITHUB_SHA": "c" * 40,
            "GITHUB_RUN_ID": "1",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(file),
        }
    )


def test_nothing_asked_is_nothing_compared() -> None:
    assert asked_by_revisions(None, None) is None


def test_a_head_needs_a_base() -> None:
    with pytest.raises(ConfigurationError, match="--head needs --base"):
        asked_by_revisions(None, "HEAD")


def test_a_push_is_compared_from_before_to_after(tmp_path: Path) -> None:
    event = f'{{"before": "{"a" * 40}", "after": "{"b" * 40}", "ref": "refs/heads/x"}}'
    trigger = Trigger(event="push", base_sha="a" * 40, head_sha="b" * 40, ref="refs/heads/x")
    assert asked_by_actions(job(tmp_path, "push", event)) == ComparedCommits(trigger, "c" * 40)


def test_a_schedule_compares_nothing_unless_a_base_is_given(tmp_path: Path) -> None:
    context = job(tmp_path, "schedule", "{}")
    assert asked_by_actions(context) is None
    assert asked_by_actions(context, "main") == ComparedCommits(Trigger(base_ref="main"), "c" * 40)


def test_the_settings_say_what_is_relevant_and_which_files_count(repo: Repo) -> None:
    files = {"ml/validator.yml": SETTINGS, "ml/models/tiny.keras": "1", "inputs.npz": "1"}
    repo.commit({**files, "requirements.txt": "keras==3.5.0\nacme-layers==1.0\n"})
    repo.commit({"inputs.npz": "2", "requirements.txt": "keras==3.5.0\nacme-layers==1.1\n"})
    path = repo.folder / "ml" / "validator.yml"
    asked = asked_by_revisions("HEAD^", "HEAD")
    assert asked is not None

    found = find(path, parse(SETTINGS, "validator.yml"), asked, Exact())

    reasons = found.detected.upgrade.reasons
    assert [reason.kind for reason in reasons] == ["package", "model"]
    assert reasons[1].parts[0].path == "inputs.npz"  # type: ignore[union-attr]
    assert found.detected.head.python == "3.11"
    assert (found.instant, found.commit) == ("2025-01-01T00:00:00Z", repo.git("rev-parse", "HEAD"))


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("http.https://github.com/.extraheader", True),
        ("includeIf.gitdir:/x/.git.path", True),
        ("http.proxy", False),
    ],
)
def test_a_token_in_the_checkout_is_noticed(repo: Repo, key: str, kept: bool) -> None:
    repo.git("config", "--local", key, "AUTHORIZATION: basic eDp5")
    assert persisted_credentials(repo.folder / "validator.yml") is kept
