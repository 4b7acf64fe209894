"""The tasks `noise` and `twin`: what rounding alone does to a model, measured in real environments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_capture.failures import UnusableError
from keras_capture.perturbing import moved, perturbed

from validator.runner.noise import NoiseAnswer, OutputNoise, TwinAnswer, parse_noise, parse_twin, read_rows
from validator.tensors import open_tensors
from worker.conftest import LEGACY, NEWEST, OLDEST
from worker.support import FEATURES, MODELS, Environment, Results, job, record

ROW_OF_ZEROS, ROW_OF_NAN = 3, 6


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
        fields.setdefault("tasks", {"noise": {}})
        return job(identity, folder, inputs=inputs[recorded], evaluate=False, **fields)

    def variant(precision: str) -> dict[str, str]:
        return {"precision": precision, "jit": "as-saved"}

    def saved(name: str) -> str:
        return str(folder / "artifacts" / name)

    both = {"noise": {}, "twin": {"noise": {}}}
    return [
        do("dense", tasks=both),
        *(
            do(precision, "dense", variant=variant(precision), tasks=both)
            for precision in ("bfloat16", "mixed_bfloat16", "float16", "mixed_float16", "float64")
        ),
        do("stubborn", "dense", builder_arguments={"policy": "bfloat16"}, tasks={"twin": {"noise": None}}),
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
        do("no time", "dense", tasks={"noise": {"seconds": 0}}),
        do("few samples", "dense", tasks={"noise": {"samples": 11}}),
        do("no split", "dense", tasks={"noise": {"split": False}}),
        do("jit", "dense", variant={"precision": "as-saved", "jit": "on"}),
        do("variables", builder=None, artifact=saved("variables")),
        do("frozen", builder=None, artifact=saved("frozen")),
    ]


@pytest.fixture(scope="module", params=[OLDEST, LEGACY, NEWEST])
def ran(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(f"noise-{request.param}")
    (folder / "artifacts").mkdir()
    environment.run(MODELS / "noise_models.py", folder / "artifacts")
    return Results(environment, folder, environment.work(folder, noise_jobs(folder)))


def noise(ran: Results, identity: str) -> NoiseAnswer:
    assert ran[identity].failure is None, ran[identity].failure
    answer = parse_noise(ran[identity].tasks["noise"])
    assert answer is not None
    assert answer.failure is None, answer.failure
    return answer


def output(ran: Results, identity: str, name: str = "output") -> OutputNoise:
    found = noise(ran, identity).of(name)
    assert found is not None
    assert found.rms is not None
    return found


def twin(ran: Results, identity: str) -> TwinAnswer:
    answer = parse_twin(ran[identity].tasks["twin"])
    assert answer is not None
    return answer


def relative(ran: Results, identity: str, epsilon: float) -> float:
    """Noise in units of the dtype's precision and the outputs' size."""
    size = np.sqrt(np.mean(np.square(ran.array("dense"), dtype=np.float64)))
    return output(ran, identity).rms / size / epsilon


def test_the_ensemble_is_of_the_size_of_rounding(ran: Results) -> None:
    answer = noise(ran, "dense")
    assert (answer.members, answer.samples, answer.weights, answer.split) == (3, 40, 3, 2)
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
def test_noise_is_that_of_the_precision_computed_in(ran: Results, precision: str, epsilon: float) -> None:
    """Also where the weights are kept in float32: a layer rounds them before it uses them."""
    assert 0.05 < relative(ran, precision, epsilon) < 6


def test_weights_are_put_back(ran: Results) -> None:
    assert noise(ran, "kept").members == 3
    assert output(ran, "kept").rms > 0
    assert ran.array("kept again").tobytes() == ran.array("kept").tobytes()


def test_noise_of_every_sample(ran: Results) -> None:
    found = output(ran, "linear")
    rows = read_rows(found, ran.path("linear"))
    assert rows.shape == (40,)
    assert rows[ROW_OF_ZEROS] == rows[ROW_OF_NAN] == 0
    assert (np.delete(rows, [0, ROW_OF_ZEROS, ROW_OF_NAN]) > 0).all()
    finite = np.delete(rows, ROW_OF_NAN)
    assert found.rms == pytest.approx(np.sqrt(np.mean(finite**2)))
    assert found.nonfinite == 0  # NaN stands where NaN stood


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("weightless", "no floating-point weights"),
        ("classes", "no output is a floating-point tensor"),
        ("frozen", "no floating-point weights"),
    ],
)
def test_models_without_noise_say_why(ran: Results, identity: str, words: str) -> None:
    assert words in noise(ran, identity).missing("output")


def test_weights_of_zero_and_at_the_largest_float(ran: Results) -> None:
    found = output(ran, "extreme")
    assert found.nonfinite == 0
    assert np.isfinite(found.max_abs)


def test_ids_and_sentinels_in_float_inputs_are_exact(ran: Results) -> None:
    """One unit up or down, -1 would be an id and 7 would become 6: the noise would hide a real change."""
    assert output(ran, "embedded_ids").rms < 1e-5


def test_outputs_that_depend_on_their_batch(ran: Results) -> None:
    found = output(ran, "centred")
    assert found.split_rms > 1e4 * found.rms


def test_chance_shows_in_the_noise(ran: Results) -> None:
    assert ran["random"].deterministic is False
    assert output(ran, "random").rms > 0.1


def test_every_output_has_its_own(ran: Results) -> None:
    answer = noise(ran, "two_outputs")
    assert output(ran, "two_outputs", "dense").rms > 0
    assert answer.missing("same") == answer.missing("total") == "the weights do not move this output"
    assert answer.of("total").path is None
    assert answer.split is None  # one value a batch cannot be compared with that of half a batch


@pytest.mark.parametrize(("identity", "members", "samples"), [("no time", 1, 4), ("few samples", 3, 8)])
def test_it_is_bounded_by_whole_batches(ran: Results, identity: str, members: int, samples: int) -> None:
    answer = noise(ran, identity)
    assert (answer.members, answer.samples) == (members, samples)
    assert read_rows(output(ran, identity), ran.path(identity)).shape == (samples,)


def test_another_split_is_left_out_where_it_is_dear_or_unwanted(ran: Results) -> None:
    assert noise(ran, "no split").split is None
    assert noise(ran, "jit").split is None
    assert output(ran, "jit").rms > 0


def test_a_saved_model_with_variables_has_noise(ran: Results) -> None:
    assert 0 < output(ran, "variables").rms < 1e-6


@pytest.mark.parametrize("precision", ["bfloat16", "mixed_bfloat16", "float16", "mixed_float16"])
def test_a_half_cell_has_a_float32_twin(ran: Results, precision: str) -> None:
    answer = twin(ran, precision)
    assert answer.policy == "float32"
    tensors = open_tensors(answer.outputs, ran.path(precision) / "twin")
    assert tensors[0].dtype == "float32"
    got = tensors[0].open().values.reshape(tensors[0].shape)
    np.testing.assert_allclose(got, ran.array("dense"), rtol=1e-2, atol=1e-2)  # weights rounded to half
    assert answer.noise is not None
    assert answer.noise.of("output").rms < output(ran, precision).rms / 50


def test_a_float32_cell_needs_none(ran: Results) -> None:
    assert twin(ran, "dense").policy is None
    assert twin(ran, "float64").policy is None


def test_code_that_pins_a_dtype_has_no_twin(ran: Results) -> None:
    answer = twin(ran, "stubborn")
    assert answer.failure is not None
    assert "the model's code sets dtypes itself" in answer.failure.message
    assert ran["stubborn"].failure is None


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


def test_a_weight_that_does_not_take_its_value_back_is_an_error() -> None:
    whole, broken = Variable(np.ones(3)), Variable(np.ones(3), broken=True)
    with perturbed(whole, [whole], 1):
        assert (whole.values != 1).all()
    assert (whole.values == 1).all()
    with (
        pytest.raises(UnusableError, match="kernel did not take its own value back"),
        perturbed(broken, [broken], 1),
    ):
        pass


def test_weights_are_put_back_when_the_prediction_fails() -> None:
    held = Variable(np.ones(3))
    with pytest.raises(ZeroDivisionError), perturbed(held, [held], 1):
        raise ZeroDivisionError
    assert (held.values == 1).all()
