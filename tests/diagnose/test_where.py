"""Known differences between real environments: which layer is blamed, and what kind it is said to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worker.support import Environment, job, record

from validator.compare.alignment import align
from validator.compare.architecture import Difference, compare_architecture
from validator.compare.layers import Sides, free_running
from validator.diagnose import Diagnosis, Evidence, localise, suspects
from validator.runner import read_capture
from validator.runner.layers import golden_answer, read_layers

pytestmark = pytest.mark.environment

RECORDINGS = {
    "residual": "ids",
    "unread_mask": "ids",
    "cast": "ids",
    "heads": "ids",
    "masked": "ids",
    "sigmoid": "features",
    "normal": "features",
    "own_code": "features",
    "benign": "image",
}
EDITS: dict[str, dict[str, Any]] = {
    "epsilon": {"epsilon": 1e-5},
    "extra": {"extra": True},
    "factor": {"factor": 1.001},
}
#: Job → (builder, its arguments); what only Keras 3 can build is left out under legacy.
JOBS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in RECORDINGS},
    "epsilon": ("normal", EDITS["epsilon"]),
    "extra": ("normal", EDITS["extra"]),
    "factor": ("own_code", EDITS["factor"]),
}
KERAS_3 = ("cast",)


def recordings(folder: Path) -> dict[str, str]:
    generator = np.random.default_rng(1)
    ids = generator.integers(1, 40, (12, 6)).astype(np.int32)
    ids[2, 3:], ids[7, 1:], ids[11] = 0, 0, 0
    arrays = {
        "ids": ids,
        "features": generator.normal(size=(12, 6, 4)).astype(np.float32),
        "image": generator.normal(size=(12, 8, 8, 1)).astype(np.float32),
    }
    return {name: record(folder / name, {name: values}) for name, values in arrays.items()}


@dataclass(frozen=True)
class Laboratory:
    """Runs the models of `where_models` in environments, each environment once for all of them."""

    folder: Path
    python: Callable[[str], Path]

    def work(self, name: str, run: str, tasks: dict[str, dict[str, Any]]) -> Path:
        """Do the named jobs with their tasks in one worker; the folder of the run."""
        environment = Environment(name, self.python(name))
        found = recordings(self.folder / "recordings")
        folder = self.folder / run
        asked = [
            job(
                identity,
                folder,
                builder=f"where_models:{JOBS[identity][0]}",
                builder_arguments=JOBS[identity][1],
                inputs=found[RECORDINGS[JOBS[identity][0]]],
                evaluate=False,
                predict="golden" not in task,
                tasks=task,
            )
            for identity, task in tasks.items()
        ]
        process = environment.work(folder, asked)
        assert process.returncode == 0, process.stderr[-2000:]
        return folder

    @cache  # noqa: B019 - lives as long as the tests of this module
    def recorded(self, name: str) -> Path:
        jobs = [identity for identity in JOBS if not (name == "legacy" and identity in KERAS_3)]
        return self.work(name, name, {identity: {"layers": {"noise": 2}} for identity in jobs})

    def sides(self, old: tuple[str, str], new: tuple[str, str]) -> Sides:
        folders = [self.recorded(name) / identity for name, identity in (old, new)]
        read = []
        for folder in folders:
            capture = read_capture(folder)
            assert capture is not None
            assert capture.failure is None, capture.failure
            layers = read_layers(capture, folder)
            assert layers is not None, capture.tasks
            read.append(layers)
        return Sides(align(read[0], read[1]), folders[0], folders[1])

    def diagnosed(self, model: str, old: str, new: str, edited: str = "") -> Diagnosis:
        """The whole way: record, align, compare, feed, localise."""
        sides = self.sides((old, model), (new, edited or model))
        drifts = free_running(sides)
        pairs = [list(pair) for pair in suspects(sides.alignment, drifts)]
        options = {"baseline": str(sides.baseline), "pairs": pairs}
        identity = edited or model
        run = f"golden-{model}-{old}-{new}-{edited}"
        folder = self.work(new, run, {identity: {"golden": options}}) / identity
        capture = read_capture(folder)
        assert capture is not None
        answer = golden_answer(capture)
        assert answer is not None
        assert answer.failure is None, answer.failure
        differences = compare_architecture(sides.alignment)
        return localise(Evidence(sides.alignment, differences, drifts, answer.fed))

    def differences(self, model: str, old: str, new: str, edited: str = "") -> tuple[Difference, ...]:
        return compare_architecture(self.sides((old, model), (new, edited or model)).alignment)


@pytest.fixture(scope="module")
def laboratory(keras_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("where"), keras_python)


def kinds(diagnosis: Diagnosis) -> dict[str, str]:
    return {layer.layer: layer.kind for layer in diagnosis.layers}


def test_a_mask_lost_in_an_add_is_blamed_on_the_add(laboratory: Laboratory) -> None:
    """K07, by its candidate side: 3.5.0 keeps the mask, 3.3.3 does not."""
    diagnosis = laboratory.diagnosed("residual", "keras-3.5.0", "keras-3.3.3")
    assert diagnosis.first is not None
    assert (diagnosis.first.layer, diagnosis.first.kind) == ("residual", "mask")
    assert diagnosis.first.class_name == "Add"
    assert "no longer carries a mask" in diagnosis.first.message
    assert kinds(diagnosis)["reader"] == "inherited"
    assert "1 of 5 layers differs by itself" in diagnosis.findings[-1].message


def test_a_mask_that_is_new_is_blamed_on_the_layer_that_keeps_it(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("residual", "keras-3.3.3", "legacy")
    assert diagnosis.first is not None
    assert (diagnosis.first.layer, diagnosis.first.kind) == ("residual", "mask")
    assert "now carries a mask" in diagnosis.first.message


def test_a_lost_mask_is_a_finding_where_no_number_shows_it(laboratory: Laboratory) -> None:
    own = [one for one in laboratory.differences("unread_mask", "keras-3.5.0", "keras-3.3.3") if one.cause]
    assert [(one.layer, one.kind) for one in own] == [("residual", "mask")]


def test_who_takes_a_mask_off_a_shared_tensor_is_blamed_for_it(laboratory: Laboratory) -> None:
    own = [one for one in laboratory.differences("heads", "keras-3.5.0", "keras-3.15.1") if one.cause]
    assert [(one.layer, one.class_name, one.kind) for one in own] == [("heads", "MultiHeadAttention", "mask")]
    assert "input 0 of `residual`" in own[0].message
    assert "cleared it" in own[0].message


def test_another_hard_sigmoid_is_blamed_on_the_layer_that_uses_it(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("sigmoid", "legacy", "keras-3.3.3")
    assert diagnosis.first is not None
    assert diagnosis.first.kind == "value"
    assert diagnosis.first.class_name == "LSTM"
    assert diagnosis.first.layer.startswith("both/forward")
    found = kinds(diagnosis)
    assert found["second"] == found["top"] == "inherited"
    fed = {layer.layer: layer.by_itself for layer in diagnosis.layers}
    assert (fed["second"] or 0) < 2
    assert (fed[diagnosis.first.layer] or 0) > 1000


def test_a_cast_is_named_at_the_layer_it_stands_before(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("cast", "keras-3.3.3", "keras-3.5.0")
    assert diagnosis.first is not None
    assert (diagnosis.first.layer, diagnosis.first.class_name, diagnosis.first.kind) == (
        "gate",
        "Gate",
        "dtype",
    )
    assert "a Cast to bfloat16 now stands before `gate`" in diagnosis.first.message
    assert "bool → bfloat16" in diagnosis.first.message
    assert kinds(diagnosis)["top"] == "inherited"


def test_another_setting_is_blamed_by_value_and_named(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("normal", "keras-3.3.3", "keras-3.3.3", edited="epsilon")
    assert diagnosis.first is not None
    assert (diagnosis.first.class_name, diagnosis.first.kind) == ("LayerNormalization", "value")
    assert "`epsilon`" in diagnosis.first.message
    assert "0.001" in diagnosis.first.message
    assert [layer.kind for layer in diagnosis.layers if layer.kind not in ("same", "inherited")] == ["value"]


def test_a_layer_more_is_structure_and_the_others_keep_their_partners(laboratory: Laboratory) -> None:
    own = [
        one for one in laboratory.differences("normal", "keras-3.3.3", "legacy", edited="extra") if one.cause
    ]
    assert [(one.kind, one.class_name, one.extra) for one in own] == [("structure", "ReLU", True)]


def test_code_between_the_layers_is_blamed_on_the_model(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("own_code", "keras-3.3.3", "keras-3.3.3", edited="factor")
    assert diagnosis.first is not None
    assert (diagnosis.first.layer, diagnosis.first.kind) == ("the model", "value")


@pytest.mark.parametrize("model", ["benign", "masked", "sigmoid", "normal", "own_code"])
@pytest.mark.parametrize(
    ("old", "new"),
    [("keras-3.3.3", "legacy"), ("legacy", "keras-3.5.0"), ("keras-3.3.3", "keras-3.5.0")],
)
def test_what_releases_write_otherwise_is_no_difference(
    laboratory: Laboratory, model: str, old: str, new: str
) -> None:
    assert laboratory.differences(model, old, new) == ()


@pytest.mark.parametrize("model", ["benign", "masked", "normal"])
def test_rounding_is_nobodys_fault(laboratory: Laboratory, model: str) -> None:
    diagnosis = laboratory.diagnosed(model, "legacy", "keras-3.3.3")
    assert diagnosis.first is None
    assert all(layer.kind in ("same", "inherited") for layer in diagnosis.layers)
