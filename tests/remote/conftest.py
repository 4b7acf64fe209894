"""Servers and fetchers of the tests, without credentials of whoever runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.servers import Hub, Web, serving
from validator.remote import Fetcher, Limits

#: Quick tries, and little room.
LIMITS = Limits(seconds=60, size=32 << 20, pause=0.01)


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No login, profile or token of this machine takes part."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("HF_TOKEN", "HF_HOME", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "MLFLOW_TRACKING_URI", "NETRC"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as running:
        yield running


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with serving(Hub()) as running:
        monkeypatch.setenv("HF_ENDPOINT", running.url)
        yield running


@pytest.fixture
def lines() -> list[str]:
    """What a fetcher says."""
    return []


@pytest.fixture
def fetcher(tmp_path: Path, lines: list[str]) -> Fetcher:
    return Fetcher(tmp_path / "cache", LIMITS, lines.append)
