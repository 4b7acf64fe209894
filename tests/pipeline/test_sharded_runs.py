"""Shards of a run with real Keras, merged: the report is that of the whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import run, write_project
from tests.pipeline.test_sentences import decided
from validator.history import read

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

SHARDS = 2


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of three models: `whole` has its run, `merged` what two shards of it came to."""
    folder = tmp_path_factory.mktemp("sharded")
    config = write_project(folder)
    assert run(config, ROOT, "run", "--output", "whole", "--history", "whole.jsonl").returncode == 1
    for index in range(1, SHARDS + 1):
        done = run(config, ROOT, "run", "--shard", f"{index}/{SHARDS}", "--output", f"parts/{index}")
        assert done.returncode == 0, done.stderr
    done = run(config, ROOT, "merge", "parts", "--output", "merged", "--history", "merged.jsonl")
    assert done.returncode == 1, done.stderr
    return folder


def test_shards_come_to_what_the_whole_run_does(merged: Path) -> None:
    whole, parts = (json.loads((merged / name / "report.json").read_text()) for name in ("whole", "merged"))
    assert decided(parts) == decided(whole)
    words = [
        [cell["message"] for model in each["models"] for cell in model["cells"]] for each in (whole, parts)
    ]
    assert words[0] == words[1]
    assert len(words[0]) == 3


def test_the_history_has_one_line_of_all_shards(merged: Path) -> None:
    (whole,), (parts,) = (read(merged / f"{name}.jsonl").entries for name in ("whole", "merged"))
    assert [cell.model_copy(update={"seconds": None}) for cell in parts.cells] == [
        cell.model_copy(update={"seconds": None}) for cell in whole.cells
    ]
    assert (parts.verdict, parts.commit, parts.configuration) == (
        whole.verdict,
        whole.commit,
        "validator.yml",
    )
    assert json.loads((merged / "merged" / "history.jsonl").read_text()) == json.loads(
        (merged / "merged.jsonl").read_text()
    )
