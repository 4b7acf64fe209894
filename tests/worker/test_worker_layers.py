"""The tasks `layers` and `golden` for real: every model recorded, then each layer fed what was recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator.layers import Layers
from validator.runner import Capture, read_capture
from validator.runner.layers import FedCall, golden_answer, layers_answer, read_layers
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
CALLS = 1200  # more than any of them has


@dataclass(frozen=True)
class Recorded:
    """What two workers of one environment left: the recordings, and the layers fed with them."""

    environment: Environment
    folder: Path

    def capture(self, model: str, run: str = "layers") -> Capture:
        found = read_capture(self.folder / run / model)
        assert found is not None
        assert found.failure is None, found.failure
        return found

    def layers(self, model: str) -> Layers:
        found = read_layers(self.capture(model), self.folder / "layers" / model)
        assert found is not None, layers_answer(self.capture(model))
        return found

    def fed(self, model: str) -> dict[int, FedCall]:
        answer = golden_answer(self.capture(model, "golden"))
        assert answer is not None
        assert answer.failure is None, answer.failure
        return {one.call: one for one in answer.fed}

    def paths(self, model: str) -> list[str]:
        return [call.path for call in self.layers(model).calls]


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

    def jobs(run: str, task: Callable[[str], dict[str, Any]]) -> None:
        asked = [
            job(
                model,
                folder / run,
                builder=f"layer_models:{model}",
                inputs=found[recording],
                evaluate=False,
                predict=run == "layers",
                tasks=task(model),
            )
            for model, recording in MODELS.items()
        ]
        process = environment.work(folder / run, asked)
        assert process.returncode == 0, process.stderr[-2000:]

    jobs("layers", lambda model: {"layers": {"noise": 1, "budget": 4 << 20}})
    results = Recorded(environment, folder)

    def golden(model: str) -> dict[str, Any]:
        pairs = [[number, number, path] for number, path in enumerate(results.paths(model))]
        return {"golden": {"baseline": str(folder / "layers" / model), "pairs": pairs}}

    jobs("golden", golden)
    return results


def call_of(layers: Layers, path: str, occurrence: int = 0) -> int:
    return next(
        number
        for number, call in enumerate(layers.calls)
        if call.path == path and call.occurrence == occurrence
    )


def array(recorded: Recorded, model: str, tensor: int | None) -> np.ndarray:
    assert tensor is not None
    stored = recorded.layers(model).tensors[tensor].stored
    assert stored is not None
    return np.load(recorded.folder / "layers" / model / stored.path)


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_fed_with_its_own_recording_gives_the_same_bytes(recorded: Recorded, model: str) -> None:
    layers = recorded.layers(model)
    for number, fed in recorded.fed(model).items():
        call = layers.calls[number]
        inside = [layers.tensors[leaf.tensor or 0].inner for leaf in layers.results(number).values()]
        if fed.failure is not None:
            expected = any(inside) or "loop" in fed.failure or model in ("opaque", "big")
            assert expected, (call.path, fed.failure)
            continue
        for output in fed.outputs:
            # The tap on the layers inside keeps TensorFlow from fusing them with what is around them.
            fused = any(inner.parent == number for inner in layers.calls) and output.rms is not None
            near = fused and output.rms <= 2 * (output.noise_rms or 0)
            assert output.same or near, (call.path, output)
        assert {output.path for output in fed.outputs} == set(layers.results(number))


@pytest.mark.parametrize("model", MODELS)
def test_predictions_are_what_they_are_without_the_task(recorded: Recorded, model: str) -> None:
    """The recording of the last layer is the prediction of its rows, and everything is within the budget."""
    capture, layers = recorded.capture(model), recorded.layers(model)
    assert capture.deterministic is (model != "stateful")
    folder = recorded.folder / "layers" / model
    kept = sum(path.stat().st_size for path in (folder / "layers").glob("*.npy"))
    assert kept < (4 << 20) + 4096 * len(layers.tensors)
    if model in ("opaque", "rows", "stateful"):
        return
    for entry, (_, leaf) in zip(
        sorted(capture.outputs, key=lambda entry: entry.name), sorted(layers.results(0).items()), strict=True
    ):
        rows = np.load(folder / entry.path)[list(layers.rows)]
        np.testing.assert_allclose(
            array(recorded, model, leaf.tensor).view(rows.dtype).astype(float), rows.astype(float), rtol=1e-4
        )


def test_the_answer_is_small_and_finite(recorded: Recorded) -> None:
    answer = layers_answer(recorded.capture("long"))
    assert answer is not None
    assert (answer.mode, answer.members, answer.note) == ("traced", 1, "")
    assert answer.calls >= 501
    assert len(json.dumps(recorded.capture("long").tasks)) < 2000


def test_a_layer_called_twice_has_two_calls_of_one_layer(recorded: Recorded) -> None:
    layers = recorded.layers("shared")
    first, second = call_of(layers, "twice"), call_of(layers, "twice", 1)
    assert layers.calls[first].layer == layers.calls[second].layer
    given = next(layers.calls[second].arguments[0].value.leaves())[1]
    assert given.tensor == layers.results(first)[""].tensor
    assert [call.path for call in layers.calls if call.path.startswith("nested/")]


def test_masks_are_recorded_where_they_are(recorded: Recorded) -> None:
    layers = recorded.layers("attention")
    words = layers.results(call_of(layers, "words"))[""]
    assert words.mask is not None
    mask = array(recorded, "attention", words.mask)
    assert mask.shape == (4, 6)
    assert not mask.all()  # a padded row is among the recorded ones
    assert mask.any()


def test_structure_holds_configuration_policy_and_weights(recorded: Recorded) -> None:
    layers = recorded.layers("half")
    half = layers.layer_of(call_of(layers, "half"))
    assert (half.policy, half.compute_dtype, half.config["units"]) == ("mixed_bfloat16", "bfloat16", 6)
    assert [(weight.name, weight.shape) for weight in half.weights] == [("kernel", (4, 6)), ("bias", (6,))]
    result = layers.tensors[layers.results(call_of(layers, "half"))[""].tensor or 0]
    assert (result.dtype, result.shape) == ("bfloat16", (4, 6))
    assert result.noise_rms is not None
    assert result.noise_rms > 0


def test_results_of_any_structure_have_paths(recorded: Recorded) -> None:
    layers = recorded.layers("subclassed")
    split = call_of(layers, "split")
    assert set(layers.results(split)) == {"/low", "/parts/0", "/parts/1/high"}
    values = {argument.name: argument.value for argument in layers.calls[split].arguments}
    assert (values["factor"].value, values["mode"].value) == (2.0, "mean")
    assert call_of(layers, "split/dense")


def test_ragged_and_string_tensors_are_kept(recorded: Recorded) -> None:
    layers = recorded.layers("rows")
    cut = layers.tensors[layers.results(call_of(layers, "cut"))[""].tensor or 0]
    assert (cut.dtype, cut.ragged) == ("string", 1)
    assert cut.stored is not None
    assert len(cut.stored.ragged) == 1


def test_nan_at_padded_positions_agrees_with_itself(recorded: Recorded) -> None:
    layers = recorded.layers("holes")
    holes = call_of(layers, "holes")
    summary = layers.tensors[layers.results(holes)[""].tensor or 0].summary
    assert summary is not None
    assert summary.nan > 0
    assert summary.rms is not None
    assert recorded.fed("holes")[holes].outputs[0].nonfinite == 0


def test_what_cannot_be_traced_is_run(recorded: Recorded) -> None:
    answer = layers_answer(recorded.capture("untraceable"))
    assert answer is not None
    assert answer.mode == "eager"
    assert answer.note


def test_an_argument_that_cannot_be_rebuilt_is_named(recorded: Recorded) -> None:
    layers = recorded.layers("opaque")
    failure = recorded.fed("opaque")[call_of(layers, "opaque")].failure
    assert failure is not None
    assert "Helper" in failure


def test_a_tensor_over_the_budget_has_a_summary_only(recorded: Recorded) -> None:
    layers = recorded.layers("big")
    wide = layers.tensors[layers.results(call_of(layers, "wide"))[""].tensor or 0]
    assert wide.stored is None
    assert wide.summary is not None
    assert wide.summary.count == 4 * 8 * (1 << 20) // 4
    failure = recorded.fed("big")[call_of(layers, "narrow")].failure
    assert failure is not None
    assert "budget" in failure


@pytest.mark.e2e
def test_an_activation_of_two_gibibytes_is_summed_up(
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
    capture = read_capture(tmp_path / "big")
    assert capture is not None
    layers = read_layers(capture, tmp_path / "big")
    assert layers is not None
    summary = layers.tensors[layers.results(call_of(layers, "wide"))[""].tensor or 0].summary
    assert summary is not None
    assert (summary.count, summary.mean, summary.nan) == (1 << 29, 1.0, 0)


def test_five_hundred_layers_are_recorded_and_named(recorded: Recorded) -> None:
    layers = recorded.layers("long")
    assert len([call for call in layers.calls if layers.layers[call.layer].class_name == "Dense"]) == 500
    assert all(tensor.summary is not None for tensor in layers.tensors)


def test_a_summary_is_right(recorded: Recorded) -> None:
    layers = recorded.layers("shared")
    tensor = layers.tensors[layers.results(call_of(layers, "twice"))[""].tensor or 0]
    assert tensor.summary is not None
    assert tensor.stored is not None
    values = np.load(recorded.folder / "layers" / "shared" / tensor.stored.path)
    digest = hashlib.blake2b(repr(("float32", values.shape)).encode(), digest_size=16)
    digest.update(values.tobytes())
    assert tensor.summary.hash == digest.hexdigest()
    assert tensor.summary.mean == pytest.approx(values.astype(float).mean())
    assert tensor.summary.rms == pytest.approx(np.sqrt(np.square(values.astype(float)).mean()))
    assert (tensor.summary.min, tensor.summary.max) == (values.min(), values.max())
