"""Long recordings predicted in pieces by real workers: joined, they are what one worker predicts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.pipeline.small_project import MODELS, run, write_project
from tests.pipeline.test_sentences import decided
from validator.cluster import PIECE, Predicted, Provenance, Tool
from validator.pipeline.pieces import pieces_of
from validator.pipeline.project import open_project
from validator.pipeline.run_folder import RunFolder
from validator.pipeline.shard_request import ShardRequest

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

MORE = """
class Counting(keras.layers.Layer):
    def build(self, shape):
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs):
        self.calls.assign_add(1.0)
        return inputs * self.calls

class Drawing(keras.layers.Layer):
    def call(self, inputs):
        return inputs + keras.random.uniform((4,))

def counting():
    return keras.Sequential([keras.layers.Input((4,)), Counting(name="counting")])

def drawing():
    return keras.Sequential([keras.layers.Input((4,)), Drawing(name="drawing")])
"""
OTHERS = ("counting", "drawing")
SAMPLES, PIECES = 200, 3
DIVIDED = {"same@keras-3.3.3", "same@keras-3.5.0", "moved@keras-3.3.3", "moved@keras-3.5.0"}


@dataclass(frozen=True)
class Pieces:
    """A project whose whole run is in `whole`, and what was predicted of it in `predicted-1` to `-3`."""

    folder: Path

    def shard(self, output: str, **asked: Any) -> None:
        """Run the only shard, or a piece of it, as a worker of a cluster does."""
        request = ShardRequest(
            tool=Tool.this().sha256, config="validator.yml", shard="1/1", longest=50, **asked
        )
        command = [sys.executable, "-m", "validator", "shard", str(self.folder)]
        log = self.folder / f"{output}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--output", str(self.folder / output)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
            )
            assert process.stdin is not None
            process.stdin.write(request.model_dump_json().encode() + b"\n")
            process.stdin.flush()
            assert process.wait(600) == 0, log.read_text()

    @property
    def predicted(self) -> list[Predicted]:
        folders = (self.folder / f"predicted-{number}" for number in range(1, PIECES + 1))
        return [Predicted.model_validate_json((folder / PIECE).read_text()) for folder in folders]

    def joined(
        self,
        output: str,
        made: list[Provenance] | None = None,
        spoilt: str = "",
        spoil: Callable[[Path], None] = lambda _: None,
    ) -> dict[str, Any]:
        """The report of the shard with all pieces, those of the cell `spoilt` changed."""
        for number, piece in enumerate(self.predicted, 1):
            place = RunFolder(self.folder / output).piece(number)
            for file in piece.files.files:
                (place / file.path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.folder / f"predicted-{number}" / file.path, place / file.path)
            if spoilt:
                cell, environment = spoilt.split("@")
                spoil(place / "captures" / environment / cell)
        self.shard(output, pieces=made or [each.provenance for each in self.predicted])
        report: dict[str, Any] = json.loads((self.folder / output / "part-1-of-1.json").read_text())["report"]
        return report

    def response(self, output: str, cell: str) -> Any:
        model, environment = cell.split("@")
        folder = self.folder / output / "captures" / environment / model
        path = folder / "response.json"
        return json.loads(path.read_text()) if path.is_file() else None


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Pieces:
    folder = tmp_path_factory.mktemp("pieces")
    config = write_project(folder)
    more = "".join(f'  - {{name: {each}, builder: "little:{each}", inputs: inputs.npz}}\n' for each in OTHERS)
    config.write_text(config.read_text() + more)
    (folder / "little.py").write_text(MODELS + MORE)
    generator = np.random.default_rng(3)
    np.savez(folder / "inputs.npz", x=generator.normal(size=(SAMPLES, 4)).astype(np.float32))
    np.savez(folder / "labels.npz", y=generator.integers(0, 3, SAMPLES))
    run(config, ROOT, "run", "--output", "whole")
    made = Pieces(folder)
    for number in range(1, PIECES + 1):
        made.shard(f"predicted-{number}", piece=f"{number}/{PIECES}")
    return made


def same(pieces: Pieces, report: dict[str, Any]) -> bool:
    """Whether a report is that of the whole run but for what it says about pieces."""
    whole = json.loads((pieces.folder / "whole" / "report.json").read_text())
    return bool(decided({**report, "cache_notes": []}) == decided(whole))


def test_a_piece_has_its_batches_of_every_cell_that_loads(pieces: Pieces) -> None:
    whole = np.load(pieces.folder / "whole/captures/keras-3.5.0/moved/outputs/0.npy")
    parts = [
        np.load(pieces.folder / f"predicted-{number}/captures/keras-3.5.0/moved/outputs/0.npy")
        for number in range(1, PIECES + 1)
    ]
    assert [len(part) for part in parts] == [64, 64, 72]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    for piece in pieces.predicted:
        places = (file.path.split("/") for file in piece.files.files)
        held = {f"{cell}@{environment}" for _, environment, cell, *_ in places}
        assert held >= DIVIDED
        assert "lost@keras-3.5.0" not in held


def test_joined_pieces_come_to_what_the_whole_run_does(pieces: Pieces) -> None:
    report = pieces.joined("home")
    assert same(pieces, report)
    for cell in DIVIDED:
        assert pieces.response("home", cell)["joined"] is True
        assert pieces.response("home", cell)["outputs"] == pieces.response("whole", cell)["outputs"]
    for name in OTHERS:
        assert pieces.response("home", f"{name}@keras-3.3.3")["joined"] is None
    notes = " ".join(report["cache_notes"])
    assert (
        "counting@keras-3.3.3 was predicted again in one piece: the model remembers earlier batches" in notes
    )
    assert (
        "drawing@keras-3.5.0 was predicted again in one piece: it predicts something else each time" in notes
    )
    assert not any(cell in notes for cell in DIVIDED)


def of_another_model(capture: Path) -> None:
    path = capture / "outputs" / "0.npy"
    np.save(path, np.load(path) + 1)


def with_other_threads(capture: Path) -> None:
    path = capture / "response.json"
    response = json.loads(path.read_text())
    response["surroundings"]["threads"] = "1 and 1"
    path.write_text(json.dumps(response))


@pytest.mark.parametrize("spoil", [of_another_model, with_other_threads])
def test_predictions_that_are_others_here_are_not_used(pieces: Pieces, spoil: Callable[[Path], None]) -> None:
    report = pieces.joined(spoil.__name__, spoilt="same@keras-3.5.0", spoil=spoil)
    assert same(pieces, report)
    assert pieces.response(spoil.__name__, "same@keras-3.5.0")["joined"] is False
    note = "same@keras-3.5.0 was predicted again in one piece: what other workers predicted differs here"
    assert note in report["cache_notes"]


def test_predictions_of_another_processor_are_not_used(pieces: Pieces) -> None:
    made = [each.provenance for each in pieces.predicted]
    other = made[1].machine.model_copy(update={"features": "0" * 64})
    made[1] = made[1].model_copy(update={"machine": other})
    report = pieces.joined("elsewhere", made)
    assert same(pieces, report)
    assert pieces.response("elsewhere", "same@keras-3.5.0")["joined"] is None
    assert "on another processor, or with other packages" in report["cache_notes"][0]


@pytest.mark.parametrize(
    ("longest", "count"), [(SAMPLES, 1), (SAMPLES - 1, 2), (64, 4), (1, 200), (10**9, 1)]
)
def test_a_recording_is_divided_by_its_length(pieces: Pieces, longest: int, count: int) -> None:
    project = open_project(pieces.folder / "validator.yml")
    folder = RunFolder(pieces.folder / "counted")
    assert pieces_of(project, ["same", "moved"], folder, longest) == count
