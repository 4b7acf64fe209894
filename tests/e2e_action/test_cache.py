"""The guide's cache under `act`: what did not change is not run again, and the report says which cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.action.conftest import MODEL, Consumer
from tests.e2e_action.runner import Hub, Outcome

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

COMMON = "tensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging\n"


def report(hub: Hub, outcome: Outcome, run: int) -> dict[str, Any]:
    """The report of a green run."""
    assert outcome.jobs == {"validate": "success", "report": "success"}, outcome.log
    path = hub.folder / "artifacts" / str(run) / "keras-report" / "report.json"
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert read["verdict"] == "pass"
    return read


def restored(hub: Hub, run: int) -> set[str]:
    """The cells that a run took from the cache."""
    return {each["cell"] for each in report(hub, hub.act("cache", run=(run, 1)), run)["restored"]}


def test_an_unchanged_baseline_is_taken_from_the_cache_and_a_changed_one_is_not(tmp_path: Path) -> None:
    consumer = Consumer(tmp_path / "widget")
    consumer.start({"requirements.txt": f"keras==3.3.3\n{COMMON}"})
    hub = Hub(tmp_path, consumer)
    hub.open({"requirements.txt": f"keras==3.5.0\n{COMMON}"})
    assert restored(hub, 99) == set()
    hub.open({"README.md": "Nothing that matters to a model.\n"})
    assert restored(hub, 100) == {"tiny@base", "tiny@head"}
    hub.open({"requirements.txt": f"keras==3.5.0\n{COMMON}packaging==24.1\n"})
    assert restored(hub, 101) == {"tiny@base"}
    consumer.git("checkout", "--quiet", "main")
    consumer.commit({"model.py": MODEL.replace("reshape(4, 3)", "reshape(4, 3) / 2")}, "Another model")
    hub.open({"README.md": "Nothing that matters to a model, again.\n"})
    assert restored(hub, 102) == set()
