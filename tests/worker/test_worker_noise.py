"""The task `outputs` in real environments: what rounding alone does to a model, and its float32 reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_capture.failures import UnusableError
from keras_capture.model.perturbing import moved, perturbed

from worker.answers import Answers, tensor
from worker.conftest import LEGACY, NEWEST, OLDEST
from worker.support import FEATURES, MODELS, Environment, job, record

ROW_OF_ZEROS, ROW_OF_NAN = 3, 6


def asked(noise: dict | None, reference: dict | None = None) -> dict:
    return {"outputs": {"noise": noise, "reference": reference}}


def noise_jobs(folder: Path) -> list[dict]:
    wide = np.concatenate([FEATURES, np.random.default_rng(1).standard_normal((30, 4)).astype("float32")])
    holed = wide.copy()
    holed[ROW_OF_ZEROS], holed[ROW_OF_NAN] = 0, np.nan
    ids = np.random.default_rng(2).integers(-1, 300, (40, 3)).astype("float32")
    inputs = {
        "features": record(folder / "recordings" / "features", {"features": wide}),
        "holed": record(folder / "recordings" / "holed", {"features": holed}),
        "ids": record(folder / "recordings" / "ids", {"ids": ids}),
        "small": record(folder / "recordings" / "small", {"features": wide / 100}),
    }

    def do(identity: str, builder: str = "", recorded: str = "features", **fields: object) -> dict:
        fields.setdefault("builder", f"noise_models:{builder or identity}")
        fields.setdefault("tasks", asked({}))
        return job(identity, folder, inputs=inputs[recorded], evaluate=False, **fields)

    def variant(precision: str) -> dict[str, str]:
        return {"precision": precision, "jit": "as-saved"}

    def saved(name: str) -> str:
        return str(folder / "artifacts" / name)

    both = asked({}, {"noise": {}})
    return [
        do("dense", tasks=both),
        *(
            do(precision, "dense", variant=variant(precision), tasks=both)
            for precision in ("bfloat16", "mixed_bfloat16", "float16", "mixed_float16", "float64")
        ),
        do("stubborn", "dense", builder_arguments={"policy": "bfloat16"}, tasks=asked({}, {"noise": None})),
        do("kept"),
        do("kept again", "kept", tasks={}),
        do("linear", recorded="holed"),
        do("weightless"),
        do("classes"),
        do("extreme", recorded="small"),
        do("embedded_ids", recorded="ids"),
        do("centred"),
        do("random"),
        do("two_outputs"),
        do("no time", "dense", tasks=asked({"seconds": 0})),
        do("few samples", "dense", tasks=asked({"samples": 11})),
        do("no split", "dense", tasks=asked({"split": False})),
        do("jit", "dense", variant={"precision": "as-saved", "jit": "on"}),
        do("variables", builder=None, artifact=saved("variables")),
        do("frozen", builder=None, artifact=saved("frozen")),
    ]


@pytest.fixture(scope="module", params=[OLDEST, LEGACY, NEWEST])
def ran(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Answers:
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(f"noise-{request.param}")
    (folder / "artifacts").mkdir()
    environment.run(MODELS / "noise_models.py", folder / "artifacts")
    process = environment.work(folder, noise_jobs(folder))
    assert process.returncode == 0, process.stderr[-2000:]
    return Answers(environment, folder)


def noise(ran: Answers, identity: str) -> Any:
    answer = ran.answer(identity, "outputs").noise
    assert answer.failure is None, answer.failure
    return answer


def output(ran: Answers, identity: str, name: str = "output") -> Any:
    return next(measured for measured in noise(ran, identity).outputs if measured.name == name)


def sample_noise(ran: Answers, identity: str) -> np.ndarray:
    return np.load(ran.path(identity) / output(ran, identity).path)


def reference(ran: Answers, identity: str) -> Any:
    return ran.answer(identity, "outputs").reference


def relative(ran: Answers, identity: str, epsilon: float) -> float:
    """Noise in units of the dtype's precision and the outputs' size."""
    size = np.sqrt(np.mean(np.square(ran.array("dense"), dtype=np.float64)))
    return output(ran, identity).rms / size / epsilon


def test_the_ensemble_is_of_the_size_of_rounding(ran: Answers) -> None:
    answer = noise(ran, "dense")
    assert (answer.members, answer.samples, answer.split) == (3, 40, 2)
    assert 0.05 < relative(ran, "dense", 2**-23) < 3
    assert output(ran, "dense").split_rms <= output(ran, "dense").rms
    assert output(ran, "dense").nonfinite == 0


@pytest.mark.parametrize(
    ("precision", "epsilon"),
    [
        ("bfloat16", 2**-7),
        ("mixed_bfloat16", 2**-7),
        ("float16", 2**-10),
        ("mixed_float16", 2**-10),
        ("float64", 2**-52),
    ],
)
def test_noise_is_that_of_the_precision_computed_in(ran: Answers, precision: str, epsilon: float) -> None:
    """Also where the weights are kept in float32: a layer rounds them before it uses them."""
    assert 0.05 < relative(ran, precision, epsilon) < 6


def test_weights_are_put_back(ran: Answers) -> None:
    assert noise(ran, "kept").members == 3
    assert output(ran, "kept").rms > 0
    assert ran.array("kept again").tobytes() == ran.array("kept").tobytes()


def test_noise_of_every_sample(ran: Answers) -> None:
    found = output(ran, "linear")
    rows = sample_noise(ran, "linear")
    assert rows.shape == (40,)
    assert rows[ROW_OF_ZEROS] == rows[ROW_OF_NAN] == 0
    assert (np.delete(rows, [0, ROW_OF_ZEROS, ROW_OF_NAN]) > 0).all()
    finite = np.delete(rows, ROW_OF_NAN)
    assert found.rms == pytest.approx(np.sqrt(np.mean(finite**2)))
    assert found.nonfinite == 0  # NaN stands where NaN stood


@pytest.mark.parametrize(
    ("identity", "reason"),
    [("weightless", "no-weights"), ("classes", "not-floating"), ("frozen", "no-weights"), ("dense", "")],
)
def test_models_without_noise_name_the_reason(ran: Answers, identity: str, reason: str) -> None:
    answer = noise(ran, identity)
    assert answer.reason == reason
    assert bool(answer.outputs) is not bool(reason)


def test_weights_of_zero_and_at_the_largest_float(ran: Answers) -> None:
    found = output(ran, "extreme")
    assert found.nonfinite == 0
    assert np.isfinite(found.max_abs)


def test_ids_and_sentinels_in_float_inputs_are_exact(ran: Answers) -> None:
    """One unit up or down, -1 would be an id and 7 would become 6: the noise would hide a real change."""
    assert output(ran, "embedded_ids").rms < 1e-5


def test_outputs_that_depend_on_their_batch(ran: Answers) -> None:
    found = output(ran, "centred")
    assert found.split_rms > 1e4 * found.rms


def test_chance_shows_in_the_noise(ran: Answers) -> None:
    assert ran.response("random").deterministic is False
    assert output(ran, "random").rms > 0.1


def test_every_output_has_its_own(ran: Answers) -> None:
    assert output(ran, "two_outputs", "dense").rms > 0
    assert output(ran, "two_outputs", "same").rms == output(ran, "two_outputs", "total").rms == 0
    assert output(ran, "two_outputs", "total").path is None
    assert noise(ran, "two_outputs").split is None  # one value a batch cannot be compared with half a batch's


@pytest.mark.parametrize(("identity", "members", "samples"), [("no time", 1, 4), ("few samples", 3, 8)])
def test_it_is_bounded_by_whole_batches(ran: Answers, identity: str, members: int, samples: int) -> None:
    answer = noise(ran, identity)
    assert (answer.members, answer.samples) == (members, samples)
    assert sample_noise(ran, identity).shape == (samples,)


def test_another_split_is_left_out_where_it_is_dear_or_unwanted(ran: Answers) -> None:
    assert noise(ran, "no split").split is None
    assert noise(ran, "jit").split is None
    assert output(ran, "jit").rms > 0


def test_a_saved_model_with_variables_has_noise(ran: Answers) -> None:
    assert 0 < output(ran, "variables").rms < 1e-6


@pytest.mark.parametrize("precision", ["bfloat16", "mixed_bfloat16", "float16", "mixed_float16"])
def test_a_half_cell_has_a_float32_reference(ran: Answers, precision: str) -> None:
    answer = reference(ran, precision)
    assert (answer.failure, answer.policy) == (None, "float32")
    assert answer.outputs[0].dtype == "float32"
    values = tensor(answer.outputs[0], ran.path(precision) / "reference")
    np.testing.assert_allclose(values, ran.array("dense"), rtol=1e-2, atol=1e-2)  # weights rounded to half
    assert answer.noise.failure is None
    assert answer.noise.outputs[0].rms < output(ran, precision).rms / 50


def test_what_was_not_asked_for_is_null(ran: Answers) -> None:
    assert reference(ran, "kept") is None


def test_a_float32_cell_needs_none(ran: Answers) -> None:
    assert reference(ran, "dense").policy is None
    assert reference(ran, "float64").policy is None


def test_code_that_pins_a_dtype_costs_the_reference_alone(ran: Answers) -> None:
    failure = reference(ran, "stubborn").failure
    assert failure.stage == "load"
    assert "the model's code sets dtypes itself" in failure.message
    assert noise(ran, "stubborn").members == 3


UNSIGNED = {"float16": np.uint16, "float32": np.uint32, "float64": np.uint64}


@given(st.sampled_from(sorted(UNSIGNED)), st.integers(0, 2**32 - 1), st.data())
def test_moving_is_one_unit_and_never_out_of_the_numbers(dtype: str, seed: int, data: st.DataObject) -> None:
    width = np.dtype(dtype).itemsize * 8
    bits = data.draw(st.lists(st.integers(0, 2**width - 1), min_size=1, max_size=40))
    values = np.array(bits, UNSIGNED[dtype]).view(dtype)
    result = moved(values, seed)
    still = (values == 0) | ~np.isfinite(values)
    assert result[still].tobytes() == values[still].tobytes()
    assert np.isfinite(result[~still]).all()
    away = np.nextafter(values[~still], np.full_like(values[~still], np.inf))
    towards = np.nextafter(values[~still], np.full_like(values[~still], -np.inf))
    assert ((result[~still] == away) | (result[~still] == towards)).all()


def test_moving_in_the_unit_of_a_coarser_compute_dtype() -> None:
    values = np.array([1.0, -1.0, np.finfo("float32").max, 1e-45, 0.0], np.float32)
    for seed in range(20):
        result = moved(values, seed, "bfloat16")
        assert result[0] in (np.float32(1 + 2**-7), np.float32(1 - 2**-8))
        assert -result[1] in (np.float32(1 + 2**-7), np.float32(1 - 2**-8))
        assert 3.3e38 < result[2] < values[2]
        assert result[3] > values[3]
        assert result[4] == 0


def test_both_directions_come_up_and_the_seed_decides() -> None:
    ones = np.ones(3_000_000, np.float32)
    up = moved(ones, 1) > 1
    assert 0.499 < up.mean() < 0.501
    assert moved(ones, 1).tobytes() == moved(ones, 1).tobytes() != moved(ones, 2).tobytes()


class Variable:
    """A weight that NumPy alone can hold."""

    name = "kernel"
    backend = "tensorflow"
    on_tensorflow = True

    def __init__(self, values: np.ndarray, broken: bool = False) -> None:
        self.values, self.broken = values, broken
        self.dtype = values.dtype

    def numpy(self) -> np.ndarray:
        return self.values

    def assign(self, values: np.ndarray) -> None:
        self.values = values + 1 if self.broken else np.array(values)


def holding(variable: Variable) -> SimpleNamespace:
    return SimpleNamespace(weights=[variable])


def test_a_weight_that_does_not_take_its_value_back_is_an_error() -> None:
    whole, broken = Variable(np.ones(3)), Variable(np.ones(3), broken=True)
    with perturbed(whole, holding(whole), 1):
        assert (whole.values != 1).all()
    assert (whole.values == 1).all()
    with (
        pytest.raises(UnusableError, match="kernel did not take its own value back"),
        perturbed(broken, holding(broken), 1),
    ):
        pass


def test_weights_are_put_back_when_the_prediction_fails() -> None:
    held = Variable(np.ones(3))
    with pytest.raises(ZeroDivisionError), perturbed(held, holding(held), 1):
        raise ZeroDivisionError
    assert (held.values == 1).all()
