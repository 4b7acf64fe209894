"""A canary for real: environments built from the project's own manifests, and a run that is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.action.conftest import MODEL, Consumer
from tests.history.runs import entry, write
from validator.history import read

pytestmark = pytest.mark.e2e

COMMON = "tensorflow-cpu==2.17.1\nnumpy==1.26.4\npackaging\n"


def test_keras_is_moved_and_nothing_else_and_the_run_is_in_the_history(tmp_path: Path) -> None:
    consumer = Consumer(tmp_path / "widget")
    consumer.start({"requirements.txt": f"keras==3.3.3\n{COMMON}", "model.py": MODEL})
    path = write(
        consumer.folder / "runs.jsonl", [entry(0, None, model="tiny", noise=None, verdict="identical")]
    )
    done = consumer.run("run", "--with", "keras==3.5.0", "--history", "runs.jsonl")
    assert done.returncode == 0, done.stdout + done.stderr
    report = consumer.report()
    packages = {each["name"]: each["packages"] for each in report["environments"]}  # type: ignore[attr-defined]
    assert packages["base"].pop("keras") == "3.3.3"
    assert packages["head"].pop("keras") == "3.5.0"
    assert packages["base"] == packages["head"]
    (cell,) = report["models"][0]["cells"]  # type: ignore[index]
    assert cell["verdict"] == "identical"
    assert cell["reproduce"].endswith("run --config validator.yml --with keras==3.5.0 --only tiny@head")
    latest = read(path).entries[-1]
    assert latest.commit == consumer.git("rev-parse", "HEAD")
    assert latest.asked == ("keras==3.5.0",)
    assert (latest.cells[0].keras, latest.cells[0].baseline) == ("keras 3.5.0", "keras 3.3.3")
    folder = consumer.folder / ".keras-validator" / "run"
    assert json.loads((folder / "history.jsonl").read_text()) == json.loads(path.read_text().splitlines()[-1])
    assert 'class="trend"' in (folder / "report.html").read_text(encoding="utf-8")
    search = consumer.run("origin", "tiny@head", "--with", "keras==3.5.0")
    assert search.returncode == 3
    assert "tiny@head is identical: nothing in it changed" in search.stderr
    again = consumer.run("run", "--with", "keras==3.3.3")
    assert again.returncode == 0, again.stderr
    assert not (folder / "history.jsonl").exists()  # nothing was judged
