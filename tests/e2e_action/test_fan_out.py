"""The guide's matrix of jobs under `act`: three shards on what would be three machines, one comment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.action.conftest import MODEL, SETTINGS, Consumer
from tests.e2e_action.runner import Hub

pytestmark = pytest.mark.e2e

COMMON = "tensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging\n"
MATRIX = (
    'requirements: [tensorflow-cpu==2.17.1, numpy==1.26.4, packaging]\nmatrix: {keras: ["3.5.0", "3.3.3"]}\n'
)
#: Differs in 3.5.0, and there alone.
MOVED = MODEL.replace("reshape(4, 3)])", 'reshape(4, 3) * (1.5 if keras.__version__ == "3.5.0" else 1.0)])')


def test_three_shards_are_judged_once_and_post_one_comment(tmp_path: Path) -> None:
    consumer = Consumer(tmp_path / "widget")
    consumer.start(
        {"requirements.txt": f"keras==3.3.3\n{COMMON}", "validator.yml": SETTINGS + MATRIX, "model.py": MOVED}
    )
    hub = Hub(tmp_path, consumer)
    hub.open({"requirements.txt": f"keras==3.5.0\n{COMMON}"})
    outcome = hub.act("fan-out")
    assert outcome.jobs == {"plan": "success", "shard": "success", "validate": "failure"}, outcome.log
    assert outcome.writes() == ["POST /repos/acme/widget/issues/7/comments"]
    (comment,) = outcome.state["comments"]
    assert "### ❌ Predictions change" in comment["body"]
    artifacts = hub.folder / "artifacts" / "99"
    names = {path.relative_to(artifacts).as_posix() for path in artifacts.glob("*/*")}
    assert names == {*(f"keras-part-{k}/part-{k}-of-3.json" for k in (1, 2, 3)), "keras-report/report.json"}
    report = json.loads((artifacts / "keras-report" / "report.json").read_text(encoding="utf-8"))
    assert report["commit"] == hub.tip
    assert report["workflow_run"] == {"id": 99, "attempt": 1}
    assert {cell["cell"]: cell["verdict"] for model in report["models"] for cell in model["cells"]} == {
        "tiny@head": "changed",
        "tiny@keras-3.5.0": "changed",
        "tiny@keras-3.3.3": "identical",
    }
