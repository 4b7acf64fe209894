"""Known differences between real environments: which layer is blamed, and what kind it is said to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.layers.subjects import MOVED, subject
from worker.support import Environment, job, record

from validator.checks.layers import CHECK as LAYERS
from validator.checks.layers.types import Cause, FirstDifference, LayerTable
from validator.checks.protocol import Earlier, Evidence, Examined, Finding, Task
from validator.checks.structure import CHECK as STRUCTURE
from validator.checks.structure.types import StructuralDifference, StructureComparison
from validator.runner.captures import Capture, read_capture
from validator.verdict.bands import BANDS

pytestmark = [pytest.mark.environment, pytest.mark.matrix]

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
class Diagnosis:
    """What the check `layers` made of a pair of environments."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Cause | None:
        return next((item.cause for item in self.findings if isinstance(item, FirstDifference)), None)

    @property
    def table(self) -> LayerTable:
        return next(item for item in self.findings if isinstance(item, LayerTable))

    def located(self) -> tuple[str, str]:
        assert self.first is not None
        return self.first.layer, self.first.differs

    def kinds(self) -> dict[str, str]:
        return {row.layer: row.kind for row in self.table.rows}


@dataclass(frozen=True)
class Laboratory:
    """Runs the models of `where_models` in environments, each environment once for all of them."""

    folder: Path
    python: Callable[[str], Path]

    def work(self, name: str, run: str, tasks: dict[str, dict[str, dict[str, Any]]]) -> Path:
        """Do jobs (`<model>` or `<model>/layers`) with their tasks in one worker; the folder of the run."""
        environment = Environment(name, self.python(name))
        inputs = recordings(self.folder / "recordings")
        folder = self.folder / run
        jobs = []
        for identity, asked in tasks.items():
            model = JOBS[identity.partition("/")[0]]
            arguments = {"builder": f"where_models:{model[0]}", "builder_arguments": model[1]}
            fields = {
                "inputs": inputs[RECORDINGS[model[0]]],
                "evaluate": False,
                "predict": "structure" in asked,
            }
            jobs.append(job(identity.replace("/", "+"), folder, tasks=asked, **arguments, **fields))
        process = environment.work(folder, jobs)
        assert process.returncode == 0, process.stderr[-2000:]
        return folder

    @cache  # noqa: B019 - lives as long as the tests of this module
    def recorded(self, name: str) -> Path:
        """Every model in both rounds, as a baseline is recorded."""
        models = [identity for identity in JOBS if not (name == "legacy" and identity in KERAS_3)]
        tasks: dict[str, dict[str, dict[str, Any]]] = {model: {"structure": {}} for model in models}
        tasks |= {f"{model}/layers": {"layers": {"noise": 2, "rows": []}} for model in models}
        return self.work(name, name, tasks)

    def evidence(self, name: str, model: str, layers: Path | None = None) -> Evidence:
        own = {} if layers is None else {"layers": read_capture(layers)}
        return Evidence(subject().cell, capture(self.recorded(name) / model), own)

    def structure(self, old: tuple[str, str], new: tuple[str, str]) -> Examined:
        return STRUCTURE.examine(subject(), self.evidence(*old), self.evidence(*new), BANDS, Earlier())

    def differences(
        self, model: str, old: str, new: str, edited: str = ""
    ) -> tuple[StructuralDifference, ...]:
        comparison = self.structure((old, model), (new, edited or model)).comparison
        assert isinstance(comparison, StructureComparison)
        assert not comparison.missing
        return comparison.differences

    def diagnosed(self, model: str, old: str, new: str, edited: str = "") -> Diagnosis:
        """Both rounds of the check."""
        identity = edited or model
        earlier = Earlier((self.structure((old, model), (new, identity)), MOVED))
        sides = self.evidence(old, model), self.evidence(new, identity)
        examined = LAYERS.examine(subject(), *sides, BANDS, earlier)
        asked = LAYERS.more(subject(), examined, earlier)
        assert asked is not None
        assert isinstance(asked.candidate, Task)
        baseline = self.recorded(old) / f"{model}+layers"
        options = {**asked.candidate.options, asked.candidate.baseline_folder: str(baseline)}
        run = f"layers-{model}-{old}-{new}-{edited}"
        folder = self.work(new, run, {f"{identity}/layers": {"layers": options}}) / f"{identity}+layers"
        sides = self.evidence(old, model, baseline), self.evidence(new, identity, folder)
        return Diagnosis(LAYERS.examine(subject(), *sides, BANDS, earlier).findings)


def capture(folder: Path) -> Capture:
    found = read_capture(folder)
    assert isinstance(found, Capture), found
    return found


@pytest.fixture(scope="module")
def laboratory(keras_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("where"), keras_python)


def test_a_mask_lost_in_an_add_is_blamed_on_the_add(laboratory: Laboratory) -> None:
    """K07, by its candidate side: 3.5.0 keeps the mask, 3.3.3 does not."""
    diagnosis = laboratory.diagnosed("residual", "keras-3.5.0", "keras-3.3.3")
    assert diagnosis.located() == ("residual", "mask")
    assert diagnosis.first is not None
    assert diagnosis.first.class_name == "Add"
    assert diagnosis.first.difference is not None
    assert (diagnosis.first.difference.kind, diagnosis.first.difference.after) == ("result-mask", False)
    assert diagnosis.kinds()["reader"] == "propagated"
    assert (diagnosis.table.diverging, diagnosis.table.layers) == (1, 5)


def test_a_mask_that_is_new_is_blamed_on_the_layer_that_keeps_it(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("residual", "keras-3.3.3", "legacy")
    assert diagnosis.located() == ("residual", "mask")
    assert diagnosis.first is not None
    assert diagnosis.first.difference is not None
    assert diagnosis.first.difference.after is True


def test_a_lost_mask_is_a_difference_where_no_number_shows_it(laboratory: Laboratory) -> None:
    own = [item for item in laboratory.differences("unread_mask", "keras-3.5.0", "keras-3.3.3") if item.cause]
    assert [(item.layer, item.aspect) for item in own] == [("residual", "mask")]


def test_who_takes_a_mask_off_a_shared_tensor_is_blamed_for_it(laboratory: Laboratory) -> None:
    (own,) = [item for item in laboratory.differences("heads", "keras-3.5.0", "keras-3.15.1") if item.cause]
    assert (own.layer, own.class_name, own.kind) == ("heads", "MultiHeadAttention", "input-mask")
    assert own.receiver is not None
    assert own.by is not None
    assert (own.receiver.layer, own.input, own.by.layer) == ("residual", 0, "heads")


def test_another_hard_sigmoid_is_blamed_on_the_layer_that_uses_it(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("sigmoid", "legacy", "keras-3.3.3")
    assert diagnosis.first is not None
    assert (diagnosis.first.differs, diagnosis.first.class_name) == ("value", "LSTM")
    assert diagnosis.first.layer.startswith("both/forward")
    assert diagnosis.kinds()["second"] == diagnosis.kinds()["top"] == "propagated"
    replayed = {row.layer: row.replayed for row in diagnosis.table.rows}
    assert (replayed["second"] or 0) < 2
    assert (replayed[diagnosis.first.layer] or 0) > 1000


def test_a_cast_is_named_at_the_layer_it_stands_before(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("cast", "keras-3.3.3", "keras-3.5.0")
    assert diagnosis.located() == ("gate", "dtype")
    assert diagnosis.first is not None
    assert diagnosis.first.difference is not None
    cast = diagnosis.first.difference
    assert (cast.kind, cast.class_name, cast.before, cast.after) == ("input-cast", "Gate", "bool", "bfloat16")
    assert cast.by is not None
    assert cast.by.class_name == "Cast"
    assert diagnosis.kinds()["top"] == "propagated"


def test_another_setting_is_blamed_by_value_and_named(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("normal", "keras-3.3.3", "keras-3.3.3", edited="epsilon")
    assert diagnosis.first is not None
    assert (diagnosis.first.class_name, diagnosis.first.differs) == ("LayerNormalization", "value")
    assert diagnosis.first.difference is not None
    assert (diagnosis.first.difference.name, diagnosis.first.difference.before) == ("epsilon", 0.001)
    assert [kind for kind in diagnosis.kinds().values() if kind not in ("same", "propagated")] == ["value"]


def test_a_layer_more_is_structure_and_the_others_keep_their_partners(laboratory: Laboratory) -> None:
    differences = laboratory.differences("normal", "keras-3.3.3", "legacy", edited="extra")
    assert [(item.kind, item.class_name) for item in differences if item.cause] == [("added", "ReLU")]


def test_code_between_the_layers_is_blamed_on_the_model(laboratory: Laboratory) -> None:
    diagnosis = laboratory.diagnosed("own_code", "keras-3.3.3", "keras-3.3.3", edited="factor")
    assert diagnosis.first is not None
    assert (diagnosis.first.layer, diagnosis.first.class_name) == ("", "OwnCode")
    assert diagnosis.first.difference is not None
    assert (diagnosis.first.difference.name, diagnosis.first.difference.after) == ("factor", 1.001)


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
    assert set(diagnosis.kinds().values()) <= {"same", "propagated"}
