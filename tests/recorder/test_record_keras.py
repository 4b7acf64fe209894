"""Recording in real Keras: no prediction changes by a bit, and what was fed is what is on disk."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator.storage import recording

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).parent / "scripts" / "record_models.py"
ENVIRONMENTS = [
    "keras-3.3.3",
    "keras-3.15.1",
    "keras-2.15.0",
    "legacy",
    "keras-3.15.1-jax",
    "keras-3.5.0-torch",
]


class Recorded:
    def __init__(self, python: Path, name: str, folder: Path) -> None:
        backend = name.rpartition("-")[2] if name.endswith(("jax", "torch")) else "tensorflow"
        environ = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environ.pop("PYTHONPATH", None)
        if name == "legacy":
            environ["TF_USE_LEGACY_KERAS"] = "1"
        command = [str(python), "-W", "ignore", str(SCRIPT), str(ROOT), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, check=False, cwd=folder)
        assert done.returncode == 0, done.stderr[-4000:]
        self.folder = folder
        self.results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def recorded(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Recorded:
    name = request.param
    return Recorded(keras_python(name), name, tmp_path_factory.mktemp(name))


def test_no_prediction_changes(recorded: Recorded) -> None:
    compared = {kind: each["same"] for kind, each in recorded.results.items() if "same" in dict_of(each)}
    assert len(compared) >= 4
    assert set(compared.values()) == {True}, compared


def test_what_was_fed_is_recorded(recorded: Recorded) -> None:
    kinds = {kind: dict_of(each) for kind, each in recorded.results.items()}
    assert {kind for kind, each in kinds.items() if each.get("recorded") is False} == set()
    assert {kind: each["failure"] for kind, each in kinds.items() if each.get("failure")} == {}


def test_the_model_is_left_as_it_was(recorded: Recorded) -> None:
    assert recorded.results["saved"]
    assert not any(dict_of(each).get("left") for each in recorded.results.values())


def test_the_import_is_light(recorded: Recorded) -> None:
    assert recorded.results["light"]
    own = [name for name in recorded.results["modules"] if "." in name]
    assert all(name.startswith("validator.recorder") for name in own)


def test_the_tool_reads_every_recording(recorded: Recorded) -> None:
    folders = sorted(path.parent for path in recorded.folder.rglob("manifest.json"))
    assert len(folders) >= 8
    for folder in folders:
        assert recording.load(folder).samples > 0


def test_labels_stand_beside_their_inputs(recorded: Recorded) -> None:
    inputs, labels = (recorded.folder / "evaluated" / part for part in ("", "labels"))
    ids = recording.load(inputs).manifest.ids
    assert ids == recording.load(labels).manifest.ids
    assert np.load(labels / "0.npy").tolist() == [int(name) % 3 for name in ids]


def dict_of(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
