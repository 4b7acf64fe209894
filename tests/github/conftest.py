from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.github.cases import HEAD, FakeTime, Job
from tests.github.fake import FakeGitHub, pull


@pytest.fixture(scope="session")
def server() -> Iterator[FakeGitHub]:
    """One server for all tests: stopping one takes half a second."""
    with FakeGitHub() as running:
        yield running


@pytest.fixture
def github(server: FakeGitHub) -> Iterator[FakeGitHub]:
    """A GitHub with one pull request; a test that breaks GitHub's own description fails."""
    server.reset()
    server.pulls.append(pull(3, HEAD))
    yield server
    assert server.violations == []


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def job(github: FakeGitHub, time: FakeTime, tmp_path: Path) -> Job:
    return Job(tmp_path, github, time)
