"""The tasks `structure` and `layers` for real: every model traced, recorded, and replayed on a recording."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from worker.answers import Answers, leaves
from worker.support import Environment, job, record

pytestmark = pytest.mark.environment

#: Model → the recording it is fed.
MODELS = {
    "shared": "features",
    "wrapped": "ids",
    "attention": "ids",
    "subclassed": "features",
    "opaque": "features",
    "rows": "text",
    "holes": "ids",
    "untraceable": "features",
    "long": "features",
    "big": "features",
    "stateful": "sequences",
    "half": "features",
}
REPLAYED = {name: recording for name, recording in MODELS.items() if name != "long"}  # it takes minutes
VALUES = {"stored", "summary", "noise_rms"}


@dataclass(frozen=True)
class Recorded:
    """What the workers of one environment left, in a folder for each run.

    `layers`: the recordings; `structure`: the same without running; `same` and `other`: replays on a
    recording as it is, and on one with other values and hashes.
    """

    environment: Environment
    folder: Path

    def run(self, name: str) -> Answers:
        return Answers(self.environment, self.folder / name)

    def answer(self, model: str, run: str = "layers") -> Any:
        return self.run(run).answer(model, "structure" if run == "structure" else "layers")

    def document(self, model: str, run: str = "layers") -> dict[str, Any]:
        path = self.run(run).path(model) / self.answer(model, run).path
        document: dict[str, Any] = json.loads(path.read_text())
        return document

    def layers(self, model: str) -> Layers:
        path = self.run("layers").path(model) / "layers" / "layers.json"
        document = json.loads(path.read_text(), object_hook=lambda fields: SimpleNamespace(**fields))
        return Layers(document.rows, document.layers, document.calls, document.tensors)

    def replayed(self, model: str, run: str = "other") -> dict[int, Any]:
        return {call.call: call for call in self.answer(model, run).replay.calls}


@dataclass(frozen=True)
class Layers:
    """A document of layers."""

    rows: list[int]
    layers: list[Any]
    calls: list[Any]
    tensors: list[Any]

    def layer_of(self, call: int) -> Any:
        return self.layers[self.calls[call].layer]

    def results(self, call: int) -> dict[str, Any]:
        return dict(leaves(self.calls[call].result))

    def result(self, path: str) -> Any:
        """The tensor of the only result of the first call at a path."""
        return self.tensors[self.results(call_of(self, path))[""].t]


def inputs(folder: Path) -> dict[str, str]:
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 30, (10, 6)).astype(np.int32)
    ids[3, 2:], ids[5] = 0, 0
    text = np.array([["one"], ["two three"], [""], ["four five six"]] * 3)
    recorded = {
        "features": generator.normal(size=(10, 4)).astype(np.float32),
        "ids": ids,
        "text": text,
        "sequences": generator.normal(size=(8, 5, 4)).astype(np.float32),
    }
    return {name: record(folder / name, {name: array}) for name, array in recorded.items()}


@pytest.fixture(scope="module", params=["keras-3.3.3", "legacy", "keras-3.15.1"])
def recorded(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Recorded:
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(f"layers-{request.param}")
    found = inputs(folder / "recordings")

    def work(run: str, task: Callable[[str], dict[str, Any]], models: dict[str, str], **fields: Any) -> None:
        asked = [
            job(
                model,
                folder / run,
                builder=f"layer_models:{model}",
                inputs=found[recording],
                evaluate=False,
                tasks=task(model),
                **fields,
            )
            for model, recording in models.items()
        ]
        process = environment.work(folder / run, asked)
        assert process.returncode == 0, process.stderr[-2000:]

    options = {"noise": 1, "budget": 4 << 20}
    work("layers", lambda model: {"layers": options}, MODELS)
    work("structure", lambda model: {"structure": {}}, MODELS, predict=False)
    results = Recorded(environment, folder)
    shutil.copytree(folder / "layers", folder / "altered")
    for path in (folder / "altered").rglob("layers.json"):
        alter(path)

    def replay(baseline: str, model: str) -> dict[str, Any]:
        calls = results.document(model)["calls"]
        pairs = [[number, number, call["path"]] for number, call in enumerate(calls)]
        pairs += [[0, 0, "elsewhere"]] if model == "shared" else []
        pairs += [[0, 0, "elsewhere"]] * 450 if model == "half" else []  # they fail at once
        replayed = {"baseline": str(folder / baseline / model), "pairs": pairs, "seconds": 600}
        return {"layers": {**options, **replayed}}

    work("same", lambda model: replay("layers", model), REPLAYED, predict=False)
    work("other", lambda model: replay("altered", model), REPLAYED, predict=False)
    return results


def alter(path: Path) -> None:
    """Give every tensor of a recording another hash, and every stored float another value."""
    document = json.loads(path.read_text())
    for tensor in document["tensors"]:
        if tensor["summary"]:
            tensor["summary"]["hash"] = "another"
        stored = tensor["stored"]
        if stored and stored["storage"] == "npy" and stored["dtype"] == "float32":
            file = path.parent.parent / stored["path"]
            np.save(file, np.load(file) * np.float32(1 + 2**-10))
    path.write_text(json.dumps(document))


def call_of(layers: Layers, path: str, occurrence: int = 0) -> int:
    return next(
        number
        for number, call in enumerate(layers.calls)
        if call.path == path and call.occurrence == occurrence
    )


def array(recorded: Recorded, model: str, tensor: int) -> np.ndarray:
    stored = recorded.layers(model).tensors[tensor].stored
    assert stored is not None
    return np.load(recorded.folder / "layers" / model / stored.path)


@pytest.mark.parametrize("model", MODELS)
def test_the_structure_is_that_of_a_full_recording(recorded: Recorded, model: str) -> None:
    structure, layers = recorded.document(model, "structure"), recorded.document(model)
    for tensor in structure["tensors"]:
        assert not VALUES & tensor.keys()
    for tensor in layers["tensors"]:
        for name in VALUES:
            tensor.pop(name)
    assert structure == layers
    assert structure["mode"] == ("eager" if model == "untraceable" else "traced")
    assert not list(recorded.run("structure").path(model).rglob("*.npy"))


@pytest.mark.parametrize("model", REPLAYED)
def test_calls_have_the_same_numbers_whether_the_model_predicted_or_not(
    recorded: Recorded, model: str
) -> None:
    predicted, alone = recorded.document(model), recorded.document(model, "same")
    assert predicted["calls"] == alone["calls"]


@pytest.mark.parametrize("model", REPLAYED)
def test_calls_with_the_baselines_results_are_not_replayed(recorded: Recorded, model: str) -> None:
    replayed = recorded.replayed(model, "same")
    misfits = model in ("shared", "half")  # they have pairs whose path does not fit
    assert list(replayed) == ([0] if misfits else [])
    assert recorded.answer(model, "same").replay.left == (50 if model == "half" else 0)


@pytest.mark.parametrize("model", REPLAYED)
def test_replays_differ_by_what_the_recording_was_altered(recorded: Recorded, model: str) -> None:
    """A layer on altered inputs gives results near the altered ones, or says why it could not be called."""
    layers = recorded.layers(model)
    for number, replayed in recorded.replayed(model).items():
        if replayed.failure is not None:
            assert model in ("opaque", "shared", "half"), replayed.failure
            continue
        assert {output.path for output in replayed.outputs} == set(layers.results(number))
        for output in replayed.outputs:
            if output.dtype == "float32":
                assert output.rms is not None
                assert output.rms <= 2**-6 * max(output.rms_baseline, 1e-3), (
                    layers.calls[number].path,
                    output,
                )


def test_calls_whose_tensors_were_not_kept_are_not_replayed(recorded: Recorded) -> None:
    layers = recorded.layers("big")
    assert layers.result("wide").stored is None
    assert not {call_of(layers, "wide"), call_of(layers, "narrow")} & set(recorded.replayed("big"))


def test_a_layer_with_weights_has_its_own_noise(recorded: Recorded) -> None:
    layers = recorded.layers("shared")
    output = recorded.replayed("shared")[call_of(layers, "twice", 1)].outputs[0]
    assert not output.same
    assert 0 < output.noise_rms < output.rms


def test_a_path_that_does_not_fit_is_a_failure_of_its_pair(recorded: Recorded) -> None:
    failure = recorded.replayed("shared", "same")[0].failure
    assert "another order" in failure


def test_replays_are_bounded_and_the_others_counted(recorded: Recorded) -> None:
    replay = recorded.answer("half", "same").replay
    assert (len(replay.calls), replay.left) == (400, 50)


@pytest.mark.parametrize("model", MODELS)
def test_predictions_are_what_they_are_without_the_task(recorded: Recorded, model: str) -> None:
    """The recording of the last layer is the prediction of its rows, and everything is within the budget."""
    response, layers = recorded.run("layers").response(model), recorded.layers(model)
    assert response.deterministic is True
    folder = recorded.folder / "layers" / model
    kept = sum(path.stat().st_size for path in (folder / "layers").glob("*.npy"))
    assert kept < (4 << 20) + 4096 * len(layers.tensors)
    if model in ("opaque", "rows", "stateful"):
        return
    for entry, (_, leaf) in zip(
        sorted(response.outputs, key=lambda entry: entry.name), sorted(layers.results(0).items()), strict=True
    ):
        rows = np.load(folder / entry.path)[layers.rows]
        np.testing.assert_allclose(
            array(recorded, model, leaf.t).view(rows.dtype).astype(float), rows.astype(float), rtol=1e-4
        )


def test_the_answer_is_small_and_finite(recorded: Recorded) -> None:
    assert recorded.answer("long").replay is None
    assert len(recorded.document("long")["calls"]) >= 501
    assert (recorded.run("layers").path("long") / "response.json").stat().st_size < 6000


def test_a_layer_called_twice_has_two_calls_of_one_layer(recorded: Recorded) -> None:
    layers = recorded.layers("shared")
    first, second = call_of(layers, "twice"), call_of(layers, "twice", 1)
    assert layers.calls[first].layer == layers.calls[second].layer
    given = next(leaves(layers.calls[second].arguments[0].value))[1]
    assert given.t == layers.results(first)[""].t
    assert [call.path for call in layers.calls if call.path.startswith("nested/")]


def test_masks_are_recorded_where_they_are(recorded: Recorded) -> None:
    layers = recorded.layers("attention")
    words = layers.results(call_of(layers, "words"))[""]
    mask = array(recorded, "attention", words.m)
    assert mask.shape == (4, 6)
    assert not mask.all()  # a padded row is among the recorded ones
    assert mask.any()


def test_structure_holds_configuration_policy_and_weights(recorded: Recorded) -> None:
    layers = recorded.layers("half")
    half = layers.layer_of(call_of(layers, "half"))
    assert (half.policy, half.compute_dtype, half.config.units) == ("mixed_bfloat16", "bfloat16", 6)
    assert [(weight.name, weight.shape) for weight in half.weights] == [("kernel", [4, 6]), ("bias", [6])]
    result = layers.result("half")
    assert (result.dtype, result.shape) == ("bfloat16", [4, 6])
    assert result.noise_rms is not None
    assert result.noise_rms > 0


def test_results_of_any_structure_have_paths(recorded: Recorded) -> None:
    layers = recorded.layers("subclassed")
    split = call_of(layers, "split")
    assert set(layers.results(split)) == {"/low", "/parts/0", "/parts/1/high"}
    values = {argument.name: argument.value for argument in layers.calls[split].arguments}
    assert (values["factor"].v, values["mode"].v) == (2.0, "mean")
    assert call_of(layers, "split/dense")


def test_what_a_layers_own_code_is_given_has_masks_and_defaults(recorded: Recorded) -> None:
    layers = recorded.layers("subclassed")
    received = layers.calls[call_of(layers, "split")].received
    if not vars(received):
        assert recorded.environment.legacy or recorded.environment.name == "keras-2.15.0"
        return
    assert (received.mode.v, received.factor.v, received.fill.f) == ("mean", 2.0, "-inf")
    layers = recorded.layers("attention")
    words = layers.results(call_of(layers, "words"))[""]
    heads = layers.calls[call_of(layers, "heads")].received
    assert heads.query.t == words.t
    hashes = [layers.tensors[number].summary.hash for number in (heads.query_mask.t, words.m)]
    assert hashes[0] == hashes[1]


def test_ragged_and_string_tensors_are_kept(recorded: Recorded) -> None:
    layers = recorded.layers("rows")
    cut = layers.result("cut")
    assert cut.dtype == "string"
    assert cut.stored is not None
    assert len(cut.stored.ragged) == 1


def test_nan_at_padded_positions_agrees_with_itself(recorded: Recorded) -> None:
    layers = recorded.layers("holes")
    result = layers.results(call_of(layers, "holes"))[""]
    values = array(recorded, "holes", result.t)
    assert np.isnan(values).any()
    assert np.isfinite(values).any()
    assert recorded.replayed("holes")[call_of(layers, "holes")].outputs[0].nonfinite == 0


def test_what_cannot_be_traced_is_run(recorded: Recorded) -> None:
    for run in ("layers", "structure"):
        assert recorded.document("untraceable", run)["mode"] == "eager"


def test_an_argument_that_cannot_be_rebuilt_is_named(recorded: Recorded) -> None:
    layers = recorded.layers("opaque")
    assert "Helper" in recorded.replayed("opaque")[call_of(layers, "opaque")].failure


def test_a_tensor_over_the_budget_has_a_hash_only(recorded: Recorded) -> None:
    wide = recorded.layers("big").result("wide")
    assert wide.stored is None
    assert math.prod(wide.shape) == 4 * 8 * (1 << 20) // 4
    assert wide.summary.hash


@pytest.mark.e2e
def test_an_activation_of_two_gibibytes_is_hashed(
    keras_python: Callable[[str], Path], tmp_path: Path
) -> None:
    environment = Environment("keras-3.3.3", keras_python("keras-3.3.3"))
    asked = job(
        "big",
        tmp_path,
        builder="layer_models:big",
        builder_arguments={"mebibytes": 2048},
        batch_size=1,
        inputs=record(tmp_path / "features", {"features": np.ones((2, 4), np.float32)}),
        tasks={"layers": {"noise": 1}},
    )
    assert environment.work(tmp_path, [asked]).returncode == 0
    layers = Recorded(environment, tmp_path.parent).run(tmp_path.name)
    document = json.loads((layers.path("big") / "layers" / "layers.json").read_text())
    wide = next(call for call in document["calls"] if call["path"] == "wide")
    tensor = document["tensors"][wide["result"]["t"]]
    assert tensor["summary"]["hash"]
    assert tensor["noise_rms"] is None  # nothing of it was kept


def test_five_hundred_layers_are_recorded_and_named(recorded: Recorded) -> None:
    layers = recorded.layers("long")
    assert len([call for call in layers.calls if layers.layers[call.layer].class_name == "Dense"]) == 500
    assert all(tensor.summary is not None for tensor in layers.tensors)


def test_a_hash_is_right(recorded: Recorded) -> None:
    layers = recorded.layers("shared")
    tensor = layers.result("twice")
    assert tensor.summary is not None
    assert tensor.stored is not None
    values = np.load(recorded.folder / "layers" / "shared" / tensor.stored.path)
    digest = hashlib.blake2b(repr(("float32", values.shape)).encode(), digest_size=16)
    digest.update(values.tobytes())
    assert tensor.summary.hash == digest.hexdigest()


def test_further_samples_are_recorded_beside_the_usual_ones(
    keras_python: Callable[[str], Path], tmp_path: Path
) -> None:
    environment = Environment("keras-3.3.3", keras_python("keras-3.3.3"))
    features = inputs(tmp_path / "recordings")["features"]

    def asked(name: str, rows: list[int], size: int) -> dict[str, Any]:
        fields = {"builder": "layer_models:shared", "inputs": features, "predict": False, "batch_size": size}
        return job(name, tmp_path, tasks={"layers": {"rows": rows}}, **fields)

    jobs = [asked("more", [4, 0], 8), asked("full", [4, 5], 4), asked("absent", [10], 4)]
    assert environment.work(tmp_path, jobs).returncode == 0
    answers = Answers(environment, tmp_path)

    def rows(name: str) -> list[int]:
        document = json.loads((answers.path(name) / answers.answer(name, "layers").path).read_text())
        return document["rows"]

    assert rows("more") == [0, 4, 7, 8, 9]
    assert rows("full") == [0, 4, 5, 9]
    assert "sample 10" in answers.failure("absent", "layers").message
