"""What one worker answers to many jobs, in the oldest, the legacy and the newest environment."""

from __future__ import annotations

import json

import numpy as np
import pytest

from worker.support import FEATURES, Results
from worker.worker_jobs import IN_PIECES, LABELS

pytestmark = pytest.mark.environment


# the run as a whole


def test_every_job_is_answered_and_the_worker_ends_well(results: Results) -> None:
    assert results.process.returncode == 0, results.process.stderr[-2000:]
    request = json.loads((results.folder / "request.json").read_text())
    for job in request["jobs"]:
        folder = results.path(job["id"])
        assert json.loads((folder / "response.json").read_text())["id"] == job["id"]
        assert json.loads((folder / "ended").read_text()) == {"exit": 0, "signal": None}
    assert not list(results.folder.rglob("*.tmp"))


def test_the_environment_proves_who_ran(results: Results) -> None:
    facts = json.loads((results.folder / "environment.json").read_text())
    assert facts["failure"] is None
    version = {"legacy": "2.17.0"}.get(results.environment.name, results.environment.name.partition("-")[2])
    module = "tf_keras" if results.environment.legacy else "keras"
    assert (facts["keras"]["module"], facts["keras"]["version"]) == (module, version)
    assert facts["packages"][module.replace("_", "-")] == version
    assert facts["packages"]["tensorflow-cpu"]
    assert facts["backend"] == "tensorflow"
    assert facts["python"].startswith("3.11.")
    assert facts["cpu"]["model"]


def test_a_model_that_prints_megabytes_disturbs_nothing(results: Results) -> None:
    assert "noise noise" in results.process.stdout
    assert np.array_equal(results.array("printing"), FEATURES)


# loading


def test_artifacts_and_builder_give_the_same_numbers(results: Results) -> None:
    kinds = {name: results[name].artifact_kind for name in ("keras", "h5", "savedmodel", "builder")}
    assert kinds == {"keras": "keras", "h5": "h5", "savedmodel": "savedmodel", "builder": None}
    assert results["builder"].loaded_from == "builder"
    expected = results.array("keras")
    assert expected.shape == (10, 3)
    assert np.any(expected != expected[0])
    for other in ("h5", "builder", "last"):
        assert np.array_equal(results.array(other), expected), other
    assert np.allclose(results.array("savedmodel", "output_0"), expected, rtol=1e-6)
    assert np.allclose(results.array("batch of one"), expected, rtol=1e-5)  # other kernels


def test_a_prediction_is_complete(results: Results) -> None:
    capture = results["keras"]
    assert (capture.policy, capture.jit, capture.samples, capture.batch_size) == ("float32", False, 10, 4)
    assert capture.deterministic is True
    assert capture.self_difference == ()
    assert set(capture.seconds) == {"load", "predict", "repeat", "list"}
    assert capture.inputs_digest == results["h5"].inputs_digest != results["text"].inputs_digest
    assert capture.reported is None
    assert capture.reported_failure is None


def test_a_savedmodel_says_what_it_does_not_test(results: Results) -> None:
    assert [note.kind for note in results["savedmodel"].notes] == ["savedmodel"]
    assert results["savedmodel"].policy is None


def test_custom_objects_are_found_by_name_and_by_registration(results: Results) -> None:
    assert np.allclose(results.array("custom"), FEATURES * 6)


def test_a_lost_loss_leaves_the_prediction(results: Results) -> None:
    capture = results["custom loss missing"]
    assert capture.compile_failure is not None
    assert "half_loss" in capture.compile_failure.message
    assert np.array_equal(results.array("custom loss missing"), results.array("keras"))
    assert capture.reported is None


def test_a_predict_of_the_models_own_is_reported(results: Results) -> None:
    assert [note.kind for note in results["own predict"].notes] == ["predict"]


def test_a_loss_that_is_not_wanted_is_not_missed(results: Results) -> None:
    capture = results["custom loss not wanted"]
    assert capture.compile_failure is None
    assert np.array_equal(results.array("custom loss not wanted"), results.array("keras"))


def test_a_broken_artifact_and_the_builder_are_both_reported(results: Results) -> None:
    capture = results["artifact falls back"]
    assert capture.loaded_from == "builder"
    assert capture.artifact_failure is not None
    assert "garbage.keras is no .keras archive" in capture.artifact_failure.message
    assert np.array_equal(results.array("artifact falls back"), results.array("keras"))
    assert "sys.exit('no licence found')" in results.failure("artifact and builder fail")[2]
    response = json.loads((results.path("artifact and builder fail") / "response.json").read_text())
    assert "garbage.keras" in response["artifact_failure"]["message"]


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("custom missing", "Elsewhere"),
        ("custom module missing", "no_such_module"),
        ("keras is garbage", "garbage.keras"),
        ("keras is cut", "cut.keras"),
        ("h5 is garbage", "garbage.h5"),
        ("git lfs pointer", "git lfs pull"),
        ("no artifact", "absent.keras"),
        ("unknown artifact", "neither .keras nor .h5"),
        ("empty folder", "no saved_model.pb"),
        ("no weights", "absent.weights.h5"),
        ("weights are garbage", "garbage.h5"),
        ("weights of another", "(4, 7)"),
        ("no signature", "'absent'; it has: serve"),
        ("builder exits", "sys.exit('no licence found')"),
        ("interrupted by its builder", "the model's code raised KeyboardInterrupt"),
        ("builder missing", "'worker_models' has no function 'absent'"),
        ("builder no model", "returned dict, not a Keras model"),
        ("stubborn", "asked for the policy float32, but its layers came out as bfloat16"),
        ("savedmodel float64", "a SavedModel's precision is frozen"),
    ],
)
def test_what_does_not_load_says_why(results: Results, identity: str, words: str) -> None:
    stage, error, message = results.failure(identity)
    assert stage == ("build" if identity.startswith("builder") else "load")
    assert error
    assert words in message
    assert "\x1b" not in message
    assert not (results.path(identity) / "outputs").exists()


def test_a_model_of_the_other_keras_is_refused(results: Results) -> None:
    if results.environment.legacy:
        assert "returned a model of 'keras', but tf_keras" in results.failure("builder other keras")[2]
    else:
        assert results["builder other keras"].loaded_from == "builder"


# precision and jit


@pytest.mark.parametrize(
    ("identity", "policy", "dtype", "tolerance"),
    [
        ("keras bfloat16", "bfloat16", "bfloat16", 0.05),
        ("keras mixed", "mixed_bfloat16", "bfloat16", 0.05),
        ("keras float64", "float64", "float64", 1e-5),
        ("h5 float64", "float64", "float64", 1e-5),
        ("builder float64", "float64", "float64", 1e-5),
    ],
)
def test_a_model_runs_in_another_precision(
    results: Results, identity: str, policy: str, dtype: str, tolerance: float
) -> None:
    assert results[identity].policy == policy
    assert results.tensors(identity)["output"].dtype == dtype
    found = _numbers(results, identity)
    expected = results.array("keras")
    assert np.abs(found - expected).max() < tolerance
    assert not np.array_equal(found, expected)


def _numbers(results: Results, identity: str) -> np.ndarray:
    """The output as float64; the upper half of a float32 is a bfloat16."""
    array = results.array(identity)
    if results.tensors(identity)["output"].storage == "bits":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)


def test_a_half_precision_artifact_has_a_float32_reference(results: Results) -> None:
    if results.environment.is_keras_2:  # tf_keras cannot read the bfloat16 weights that it wrote
        assert results.failure("bfloat16 in float32")[0] == "load"
        return
    assert results["saved in bfloat16"].policy == "bfloat16"
    assert results["bfloat16 in float32"].policy == "float32"
    assert results.tensors("bfloat16 in float32")["output"].dtype == "float32"
    assert np.abs(_numbers(results, "saved in bfloat16") - results.array("bfloat16 in float32")).max() < 0.05


def test_a_layer_kept_in_another_dtype_stays_there(results: Results) -> None:
    if results.environment.is_keras_2:
        return
    assert results["mixed in float32"].notes == ()
    assert [note.message for note in results["mixed in float64"].notes] == [
        "1 layers keep a policy of their own: kept (float32)"
    ]


def test_a_policy_set_by_a_builder_ends_with_its_job(results: Results) -> None:
    assert results["sets the policy"].policy == "bfloat16"
    assert results["after the policy was set"].policy == "float32"


def test_jit_is_switched_and_recorded(results: Results) -> None:
    assert [results[name].jit for name in ("keras", "jit on", "jit off")] == [False, True, False]
    assert np.allclose(results.array("jit on"), results.array("keras"), rtol=1e-5)
    assert results["savedmodel jit"].jit is True
    assert np.allclose(
        results.array("savedmodel jit", "output_0"), results.array("savedmodel", "output_0"), rtol=1e-5
    )


# inputs

LEFT_MINUS_RIGHT = FEATURES[:, :2] - FEATURES[:, 2:] * 3


@pytest.mark.parametrize(
    ("identity", "noted"),
    [
        ("two inputs", False),
        ("two inputs swapped", False),
        ("two anonymous inputs", True),
        ("dict inputs by position", True),
        ("dict input", False),
        ("list input", False),
        ("extra tensor", True),
    ],
)
def test_inputs_reach_their_place(results: Results, identity: str, noted: bool) -> None:
    assert np.allclose(results.array(identity), LEFT_MINUS_RIGHT)
    assert [note.kind for note in results[identity].notes] == ["inputs"] * noted


def test_positions_are_only_taken_for_automatic_names(results: Results) -> None:
    assert np.allclose(results.array("names for anonymous inputs"), -LEFT_MINUS_RIGHT)
    assert "by position" in results["names for anonymous inputs"].notes[0].message
    assert np.allclose(results.array("dict inputs"), -LEFT_MINUS_RIGHT)  # b − a, by the keys


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("wrong names", ["'left' (?, 2)", "'right' (?, 2)", "'a' (10, 2)", "'b' (10, 2)"]),
        ("too few tensors", ["'left'", "'right'", "'features' (10, 4)"]),
        ("wrong shape", ["'features' float32 (10, 2)", "'features' (?, 4)"]),
        ("wrong dtype", ["'text' (10, 1)"]),
        ("empty recording", ["has no samples"]),
        ("fixed batch", ["batches of exactly 4", "batch_size"]),
        ("function returns a list", ["input_list returned list, not a dict"]),
        ("function returns objects", ["'features'", "array of object"]),
        ("function raises", ["no such table", "raising_inputs"]),
        ("pickled", ["0.npy", "Object arrays cannot be loaded"]),
        ("cut recording", ["0.npy"]),
        ("lying manifest", ["11 samples", "have 10"]),
        ("no recording", ["manifest.json"]),
    ],
)
def test_inputs_that_do_not_fit_say_why(results: Results, identity: str, words: list[str]) -> None:
    stage, _, message = results.failure(identity)
    assert stage == "inputs"
    assert [word for word in words if word not in message] == []


def test_other_kinds_of_inputs(results: Results) -> None:
    assert results.array("text").shape == (10, 1, 2)
    assert results.array("function").shape == (5, 3)
    assert results.array("fixed batch fits").shape == (8, 2)
    assert np.allclose(results.array("sequential"), FEATURES.sum(axis=1, keepdims=True).repeat(2, axis=1))


# outputs


def test_structures_of_outputs_are_named_by_their_path(results: Results) -> None:
    assert set(results.tensors("list outputs")) == {"0", "1"}
    assert set(results.tensors("dict outputs")) == {"one", "two"}
    assert set(results.tensors("list of one")) == {"output"}
    assert set(results.tensors("nested")) == {"scores", "parts/0", "parts/1/0", "parts/1/1"}
    assert np.array_equal(results.array("nested", "parts/1/1"), FEATURES * 4)


@pytest.mark.parametrize(
    ("identity", "dtype", "expected"),
    [
        ("integers", "int16", FEATURES.astype(np.int16)),
        ("booleans", "bool", FEATURES > 1),
        ("complex", "complex64", FEATURES - 1j * FEATURES),
        ("sparse", "float32", FEATURES),
    ],
)
def test_dtypes_are_kept(results: Results, identity: str, dtype: str, expected: np.ndarray) -> None:
    assert results.tensors(identity)["output"].dtype == dtype
    assert np.allclose(results.array(identity), expected)


def test_dtypes_that_numpy_lacks_are_kept_as_bits(results: Results) -> None:
    found = results.tensors("half")
    assert [(found[name].dtype, found[name].storage) for name in ("bf16", "f8")] == [
        ("bfloat16", "bits"),
        ("float8_e4m3fn", "bits"),
    ]
    widened = (results.array("half", "bf16").astype(np.uint32) << 16).view(np.float32)
    assert np.allclose(widened, FEATURES, rtol=2**-8)
    assert results.array("half", "f8").dtype == np.uint8


def test_strings_and_ragged_outputs(results: Results) -> None:
    assert [float(item) for item in results.strings("strings")] == pytest.approx(FEATURES.ravel().tolist())
    counts = [1, 0, 2, 1, 3, 2, 0, 4, 1, 2]
    ragged = results.tensors("ragged")["output"]
    assert np.diff(ragged.open().splits[0]).tolist() == counts
    assert ragged.open().values.tolist() == [float(count) for count in counts for _ in range(count)]
    assert results.strings("ragged strings")[:3] == [b"red", b"blue", b"green"]
    words, letters = results.tensors("twice ragged")["output"].open().splits
    assert np.diff(words).tolist() == [2, 1, 0, 1, 2, 1, 0, 1, 2, 1]
    assert np.diff(letters)[:3].tolist() == [3, 4, 5]


def test_values_of_a_batch_are_told_from_values_of_samples(results: Results) -> None:
    scalar = results.tensors("scalar")
    assert (scalar["mean"].shape, scalar["mean"].batched, scalar["mean"].dtype) == ((3,), False, "float32")
    assert scalar["rows"].batched
    statistics = results.tensors("batch statistics")["output"]
    assert (statistics.shape, statistics.batched) == ((3, 4), False)


def test_what_is_no_tensor_is_noted(results: Results) -> None:
    if results.environment.is_keras_2:  # predict of tf_keras takes no None at all
        assert "NoneType" in results.failure("none")[2]
        return
    assert set(results.tensors("none")) == {"there"}
    assert "'absent' is None" in results["none"].notes[0].message
    assert "returned no tensor" in results.failure("nothing")[2]


def test_nan_is_kept(results: Results) -> None:
    assert np.isnan(results.array("nan")).sum() == 20
    assert results["nan"].deterministic is True


def test_a_model_that_differs_from_itself_is_caught(results: Results) -> None:
    capture = results["random"]
    assert capture.deterministic is False
    (difference,) = capture.self_difference
    assert (difference.output, difference.elements) == ("output", 40)
    assert 0 < (difference.max_abs or 0) < 1


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("raising", "this model is broken on purpose"),
        ("exiting", "sys.exit(3)"),
        ("recursing", "maximum recursion depth"),
        ("changing", "output 'output' changes from batch to batch: in batch 1"),
    ],
)
def test_a_model_that_breaks_loses_its_job_only(results: Results, identity: str, words: str) -> None:
    stage, _, message = results.failure(identity)
    assert stage == "predict"
    assert words in message
    assert not (results.path(identity) / "outputs").exists()


# what the framework reports


def test_the_framework_evaluates(results: Results) -> None:
    reported = results["labels"].reported
    assert reported is not None
    assert reported["accuracy"] == pytest.approx(np.mean(LABELS == 0))
    assert reported["loss"] == pytest.approx(np.log(3), rel=1e-5)
    weighted = results["weighted labels"].reported
    assert weighted is not None
    assert weighted["loss"] == pytest.approx(np.log(3) / 2, rel=1e-5)


def test_labels_are_mapped_to_outputs(results: Results) -> None:
    for identity, first, second in (("list outputs", "0", "1"), ("dict outputs", "two", "one")):
        squared = np.mean((results.array(identity, first) - 1) ** 2)
        absolute = np.mean(np.abs(results.array(identity, second)))
        losses = squared + absolute
        if identity == "dict outputs":
            losses = np.mean(results.array(identity, second) ** 2)
            losses += np.mean(np.abs(results.array(identity, first) - 1))
        reported = results[identity].reported
        assert reported is not None, results[identity].reported_failure
        assert reported["loss"] == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize(
    ("identity", "words"),
    [
        ("labels too long", "the labels have 8 samples, the inputs 10"),
        ("labels of wrong shape", "shape"),
        ("labels named otherwise", "the labels 'label' do not name the outputs '0', '1'"),
    ],
)
def test_labels_that_do_not_fit_leave_the_prediction(results: Results, identity: str, words: str) -> None:
    capture = results[identity]
    assert capture.outputs
    assert capture.reported is None
    assert capture.reported_failure is not None
    assert words in capture.reported_failure.message


def test_nothing_is_evaluated_unasked(results: Results) -> None:
    for identity in ("not compiled", "not asked to evaluate", "keras"):
        assert results[identity].reported is None
        assert results[identity].reported_failure is None


# pieces


@pytest.mark.parametrize("model", list(IN_PIECES))
def test_pieces_are_joined_to_what_the_model_predicts_in_one(results: Results, model: str) -> None:
    whole, joined = results[model], results[f"{model} joined"]
    assert (whole.joined, joined.joined) == (None, True)
    assert joined.outputs == whole.outputs
    for name in ("samples", "batch_size", "inputs_digest", "deterministic", "self_difference", "state"):
        assert getattr(joined, name) == getattr(whole, name), name
    for entry in whole.outputs:
        for path in filter(None, (entry.path, entry.offsets, *entry.ragged)):
            one, other = (results.path(name) / path for name in (model, f"{model} joined"))
            assert one.read_bytes() == other.read_bytes(), path


def test_a_piece_is_what_the_model_predicts_of_its_batches(results: Results) -> None:
    first, second = results["keras first"], results["keras second"]
    assert (first.outputs[0].shape, second.outputs[0].shape) == ((4, 3), (6, 3))
    assert first.deterministic is second.deterministic is True
    assert first.samples == second.samples == 10
    assert np.array_equal(results.array("keras second"), results.array("keras")[4:])


@pytest.mark.parametrize("name", ["swapped", "incomplete", "too short", "of other inputs"])
def test_pieces_of_something_else_are_predicted_again(results: Results, name: str) -> None:
    assert results[name].joined is False
    assert results[name].outputs == results["keras"].outputs
    assert np.array_equal(results.array(name), results.array("keras"))


def test_pieces_of_another_precision_are_predicted_again(results: Results) -> None:
    assert results["of another precision"].joined is False
    assert results["of another precision"].outputs == results["keras bfloat16"].outputs
    assert np.array_equal(results.array("of another precision"), results.array("keras bfloat16"))
