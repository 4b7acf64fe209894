"""The task `outputs` in real environments: what rounding alone does to a model, and the same in float64."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_capture.failures import UnusableError
from keras_capture.model.perturbing import is_exact, moved, perturbed
from keras_capture.room import set_limit

from worker.answers import Answers, tensor
from worker.conftest import LEGACY, NEWEST, OLDEST
from worker.support import FEATURES, MODELS, Environment, job, record

BATCHES = [9, 0, 3]  # of four samples
ROWS = [*range(36, 40), *range(4), *range(12, 16)]
HALVES = ("bfloat16", "mixed_bfloat16", "float16", "mixed_float16")
#: Models of floats, and in which recording.
FLOATING = {
    "dense": "features",
    "weightless": "features",
    "recurrent": "tokens",
    "image": "image",
    "text": "text",
    "mapped": "features",
    "stateful": "steps",
}


def asked(**reference: object) -> dict[str, dict]:
    return {"outputs": {"noise": {"batches": BATCHES}, "reference": {"batches": BATCHES, **reference}}}


def recordings(folder: Path) -> dict[str, str]:
    chance = np.random.default_rng(2)
    wide = np.concatenate([FEATURES, chance.standard_normal((30, 4)).astype("float32")])
    tokens = chance.integers(1, 300, (40, 12)).astype("int32")
    tokens[::3, 8:] = 0
    tensors = {
        "features": {"features": wide},
        "ten": {"features": FEATURES},
        "ids": {"ids": chance.choice([-1, 7, 12, 299], (40, 3)).astype("float32")},
        "tokens": {"tokens": tokens},
        "steps": {"steps": wide[..., None]},
        "image": {"image": chance.standard_normal((40, 8, 8, 2)).astype("float32")},
        "text": {"text": np.array([["red blue"], ["green"], ["blue red red"], ["other"]] * 10)},
    }
    return {name: record(folder / name, recorded) for name, recorded in tensors.items()}


def noise_jobs(folder: Path) -> list[dict]:
    inputs = recordings(folder / "recordings")

    def do(identity: str, builder: str | None = "", recorded: str = "features", **fields: object) -> dict:
        fields.setdefault("builder", builder if builder is None else f"noise_models:{builder or identity}")
        fields.setdefault("tasks", asked())
        return job(identity, folder, inputs=inputs[recorded], evaluate=False, **fields)

    def saved(name: str) -> str:
        return str(folder / "artifacts" / name)

    def edited(identity: str, **arguments: object) -> dict:
        return do(identity, "edited", builder_arguments=arguments)

    noise = {"noise": {"seconds": 0, "batches": None}, "reference": None}
    return [
        *(do(name, recorded=recorded) for name, recorded in FLOATING.items()),
        do("dense again", "dense", predict=False),
        *(do(half, "dense", variant={"precision": half, "jit": "as-saved"}) for half in HALVES),
        do("jit", "dense", variant={"precision": "as-saved", "jit": "on"}),
        do("lookup", recorded="ids"),
        do("embedded_ids", recorded="ids"),
        do("masked"),
        do("masked_rows"),
        do("classes"),
        do("two_outputs"),
        do("no time", "dense", tasks={"outputs": noise}),
        do(
            "told",
            recorded="ten",
            builder_arguments={"log": str(folder / "told.txt")},
            predict=False,
            tasks={"outputs": {"noise": {}, "reference": None}},
        ),
        do("sized"),
        do("untraceable", "eager", builder_arguments={"other": False}),
        do("other", "eager", builder_arguments={"other": True}),
        do("variables", None, artifact=saved("variables")),
        do("frozen", None, artifact=saved("frozen")),
        edited("unedited"),
        edited("unedited again", epsilon=1e-3),
        edited("epsilon", epsilon=1.01e-3),
        edited("gelu", approximate=True),
        do("as dense", "dense", predict=False, tasks=asked(baseline=str(folder / "dense"))),
        do("as other", "dense", predict=False, tasks=asked(baseline=str(folder / "other"))),
    ]


@pytest.fixture(scope="module", params=["keras-2.15.0", OLDEST, LEGACY, NEWEST])
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


def part(ran: Answers, identity: str, name: str) -> Any:
    answer = getattr(ran.answer(identity, "outputs"), name)
    assert answer.failure is None, answer.failure
    return answer


def floats(entry: SimpleNamespace, folder: Path) -> np.ndarray:
    """The values of an output as float64; those of bfloat16 are stored as bits."""
    values = tensor(entry, folder)
    if values.dtype == np.uint16:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float64)


def members(ran: Answers, identity: str, name: str = "output") -> np.ndarray:
    (output,) = (output for output in part(ran, identity, "noise").outputs if output.name == name)
    return np.array([floats(entry, ran.path(identity)) for entry in output.members])


def predicted(ran: Answers, identity: str, name: str = "output") -> np.ndarray:
    (entry,) = (entry for entry in ran.response(identity).outputs if entry.name == name)
    return floats(entry, ran.path(identity))[ROWS]


def reference(ran: Answers, identity: str, name: str = "output") -> np.ndarray:
    (entry,) = (entry for entry in part(ran, identity, "reference").outputs if entry.name == name)
    assert entry.dtype == "float64"
    return floats(entry, ran.path(identity))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def ratio(ran: Answers, identity: str) -> float:
    """The ensemble's noise in units of the true rounding error."""
    recorded = predicted(ran, identity)
    return rms(members(ran, identity) - recorded) / rms(reference(ran, identity) - recorded)


def delta(ran: Answers, one: str, other: str) -> float:
    return rms(reference(ran, one) - reference(ran, other)) / rms(reference(ran, one))


@pytest.mark.parametrize("identity", [*FLOATING, "jit"])
def test_the_ensemble_is_of_the_size_of_the_rounding_errors(ran: Answers, identity: str) -> None:
    answer = part(ran, identity, "noise")
    assert (answer.method, answer.reason, answer.members) == ("operations", "", 8)
    assert part(ran, identity, "reference").how == "graph"
    if identity != "stateful":
        assert 1 < ratio(ran, identity) < 7


@pytest.mark.parametrize("identity", HALVES)
def test_noise_is_that_of_the_precision_computed_in(ran: Answers, identity: str) -> None:
    """Also where the weights are kept in float32: a layer rounds them before it uses them."""
    assert part(ran, identity, "noise").method == "operations"
    assert 0.7 < ratio(ran, identity) < 7


def test_batches_are_done_in_the_order_asked_for(ran: Answers) -> None:
    for name in ("noise", "reference"):
        answer = part(ran, "dense", name)
        assert answer.batches == BATCHES
        assert answer.samples == [[36, 40], [0, 4], [12, 16]]
    np.testing.assert_allclose(members(ran, "dense")[0], predicted(ran, "dense"), rtol=1e-4, atol=1e-5)


def test_a_stateful_model_does_every_batch_before(ran: Answers) -> None:
    assert part(ran, "stateful", "noise").batches == [*range(10)]
    recorded = ran.array("stateful")
    for values in (*members(ran, "stateful"), reference(ran, "stateful")):
        np.testing.assert_allclose(values, recorded, rtol=1e-4, atol=1e-5)


def test_members_are_the_same_in_another_process(ran: Answers) -> None:
    first, again = members(ran, "dense"), members(ran, "dense again")
    assert first.tobytes() == again.tobytes()
    assert len({member.tobytes() for member in first}) == 8


def test_what_is_looked_up_does_not_move(ran: Answers) -> None:
    """One unit up or down, 7 would be no 7, and -1 an id."""
    assert part(ran, "lookup", "noise").method == "operations"
    assert (members(ran, "lookup") == predicted(ran, "lookup")).all()
    assert np.count_nonzero(predicted(ran, "lookup"))
    moved_by = members(ran, "embedded_ids") - predicted(ran, "embedded_ids")
    assert 0 < rms(moved_by) < 1e-5


def test_a_huge_term_that_swallows_the_other_does_not_move(ran: Answers) -> None:
    recorded = predicted(ran, "masked")
    swallowed = recorded < -1e9
    assert swallowed.any()
    assert (members(ran, "masked")[:, swallowed] == recorded[swallowed]).all()
    assert (members(ran, "masked") != recorded)[:, ~swallowed].any()


def test_a_mask_of_the_lowest_float_does_not_move(ran: Answers) -> None:
    assert rms(members(ran, "masked_rows") - predicted(ran, "masked_rows")) < 1e-6


def test_discrete_outputs_are_among_the_members(ran: Answers) -> None:
    assert (members(ran, "classes") == predicted(ran, "classes")).all()
    assert part(ran, "classes", "reference").outputs[0].dtype == "int64"


def test_every_output_has_its_own(ran: Answers) -> None:
    assert members(ran, "two_outputs", "dense").shape == (8, 12, 3)
    assert members(ran, "two_outputs", "total").shape == (8, 3)  # one value a batch
    assert reference(ran, "two_outputs", "total").shape == (3,)


def test_time_cuts_batches_and_not_members(ran: Answers) -> None:
    answer = part(ran, "no time", "noise")
    assert (answer.members, answer.batches, answer.samples) == (8, [0], [[0, 4]])
    assert ran.answer("no time", "outputs").reference is None


def test_one_trace_does_for_the_last_batch_too(ran: Answers) -> None:
    assert part(ran, "told", "noise").samples == [[0, 4], [4, 8], [8, 10]]
    traced = (ran.folder / "told.txt").read_text().split()
    assert "None" in traced
    assert "2" not in traced


def test_code_that_needs_the_number_of_samples_is_traced_with_it(ran: Answers) -> None:
    if ran.environment.is_keras_2:
        pytest.skip("Keras 2 predicts with no number of samples either")
    assert part(ran, "sized", "noise").method == "operations"
    assert part(ran, "sized", "reference").how == "graph"


@pytest.mark.parametrize(
    ("identity", "method", "reason"),
    [
        ("untraceable", "weights", "not-traceable"),
        ("other", "weights", "another-function"),
        ("variables", "weights", "savedmodel"),
        ("frozen", "none", "no-weights"),
    ],
)
def test_where_operations_cannot_be_had_the_reason_is_named(
    ran: Answers, identity: str, method: str, reason: str
) -> None:
    answer = part(ran, identity, "noise")
    assert (answer.method, answer.reason) == (method, reason)
    if method == "weights":
        assert 0 < rms(members(ran, identity) - predicted(ran, identity)) < 1e-5
    else:
        assert (answer.outputs, answer.members, answer.batches) == ([], 0, [])


def test_a_model_that_runs_eagerly_alone_is_loaded_in_float64(ran: Answers) -> None:
    assert part(ran, "other", "reference").how == "reload"
    np.testing.assert_allclose(reference(ran, "other"), predicted(ran, "other"), rtol=1e-4, atol=1e-5)


def test_the_precision_of_a_saved_model_is_frozen(ran: Answers) -> None:
    failure = ran.answer("variables", "outputs").reference.failure
    assert failure.stage == "load"
    assert "frozen when it is exported" in failure.message


def test_float64_sees_what_half_precision_hides(ran: Answers) -> None:
    assert delta(ran, "unedited", "unedited again") == 0
    assert delta(ran, "unedited", "epsilon") > 1e-6
    assert delta(ran, "unedited", "gelu") > 1e-6


def test_the_candidate_goes_the_way_of_the_baseline(ran: Answers) -> None:
    assert part(ran, "as dense", "reference").how == "graph"
    assert part(ran, "as other", "reference").how == "reload"
    np.testing.assert_allclose(reference(ran, "as other"), reference(ran, "as dense"), rtol=1e-12)


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
        self.dtype, self.shape = values.dtype, values.shape

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return self.values

    def assign(self, values: np.ndarray) -> None:
        self.values = values + 1 if self.broken else np.array(values)


def test_numbers_that_look_exact_stay_where_they_are_asked_to() -> None:
    values = np.array([0, 1, -3, 1.5, 4096, np.inf, 0.1, 1 / 3, 8191.001], np.float32)
    stayed = moved(values, 1, exact_stay=True) == values
    assert stayed.tolist() == [True] * 6 + [False] * 3
    assert (moved(values, 1, exact_stay=True)[6:] == moved(values, 1)[6:]).all()


@pytest.mark.parametrize("length", [3, 3_000_001])
def test_a_tensor_is_exact_if_all_of_it_is(length: int) -> None:
    """Large ones are looked at piece by piece: the number that decides may be in the last."""
    integers = (np.arange(length) % 4097).astype(np.float32)
    integers[0] = 16777215  # looks like any number, but is an integer
    assert is_exact(integers)
    integers[-1] = 0.1
    assert not is_exact(integers)
    powers = np.full(length, 0.25, np.float32)
    assert is_exact(powers)
    powers[-1] = 0.1
    assert not is_exact(powers)
    assert is_exact(np.full((2, length), np.inf, np.float32))


def holding(variable: Variable) -> SimpleNamespace:
    return SimpleNamespace(weights=[variable])


def test_a_weight_that_does_not_take_its_value_back_is_an_error() -> None:
    whole, broken = Variable(np.full(3, 0.1)), Variable(np.full(3, 0.1), broken=True)
    with perturbed(whole, holding(whole), 1):
        assert (whole.values != 0.1).all()
    assert (whole.values == 0.1).all()
    with (
        pytest.raises(UnusableError, match="kernel did not take its own value back"),
        perturbed(broken, holding(broken), 1),
    ):
        pass


def test_weights_are_put_back_when_the_prediction_fails() -> None:
    held = Variable(np.full(3, 0.1))
    with pytest.raises(ZeroDivisionError), perturbed(held, holding(held), 1):
        raise ZeroDivisionError
    assert (held.values == 0.1).all()


def test_what_memory_has_no_room_for_costs_no_prediction(
    keras_python: Callable[[str], Path], tmp_path: Path
) -> None:
    """The limit is passed before anything is loaded; it is the runner that would end the job."""
    environment = Environment(OLDEST, keras_python(OLDEST))
    inputs = recordings(tmp_path / "recordings")["features"]
    process = environment.work(
        tmp_path,
        [job("dense", tmp_path, builder="noise_models:dense", inputs=inputs, tasks=asked(), evaluate=False)],
        memory=1,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    answers = Answers(environment, tmp_path)
    assert np.isfinite(answers.array("dense")).all()
    answer = answers.answer("dense", "outputs")
    for part in (answer.noise, answer.reference):
        assert part.failure.error == "NoRoomError"
        assert "0.0 GiB are left: raise limits.memory_gib" in part.failure.message
        assert part.failure.traceback == ""


@pytest.fixture
def limited() -> Iterator[Callable[[int], None]]:
    """Sets how many bytes this process may take beyond those that it has."""

    def limit(more: int) -> None:
        set_limit(psutil.Process().memory_info().rss + more)

    yield limit
    set_limit(None)


def weight(elements: int, dtype: str = "float32") -> Variable:
    values = np.random.default_rng(3).standard_normal(elements).astype(dtype)
    values[0] = 1.0
    return Variable(values.reshape(1, -1))


def open_in(folder: Path) -> bool:
    """Whether this process has a file open that lay in the folder, perhaps removed by now."""
    handles = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    return any(os.path.lexists(each) and folder in each.readlink().parents for each in handles)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_weights_of_which_no_copy_fits_are_kept_in_a_file(
    dtype: str, limited: Callable[[int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    held = [weight(4_000_000, dtype) for _ in range(6)]
    before = [variable.values for variable in held]
    size = before[0].nbytes
    moves = {}
    for copies in (20, 4):  # six copies and what moves have room, and what moves alone
        limited(copies * size)
        with perturbed(held[0], SimpleNamespace(weights=held), 1):
            moves[copies] = [variable.values for variable in held]
            assert open_in(tmp_path) == (copies == 4)
        assert all(map(np.array_equal, [variable.values for variable in held], before))
        assert not open_in(tmp_path)
    for one, other, old in zip(moves[20], moves[4], before, strict=True):
        assert np.array_equal(one, other)
        assert np.count_nonzero(one != old) > 0.9 * one.size
        assert one[0, 0] == old[0, 0] == 1.0


def test_weights_that_cannot_even_move_stay_and_say_so(limited: Callable[[int], None]) -> None:
    held = weight(20_000_000)
    before = held.values
    limited(held.values.nbytes)
    sentence = "moving the weights for the noise needs about 0.1 GiB more memory, and 0.1 GiB are left"
    with pytest.raises(UnusableError, match=sentence), perturbed(held, holding(held), 1):
        pytest.fail("moved")
    assert held.values is before
