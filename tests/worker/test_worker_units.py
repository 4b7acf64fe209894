"""The parts of the worker that need no Keras."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras_capture import failures
from keras_capture.failures import InputsError, OutputsError, StageError, UnusableError, stage
from keras_capture.model import feeding, imports, precision
from keras_capture.model.outputs import Piece, read_outputs, skeleton
from keras_capture.outputs import captures
from keras_capture.wire import recording
from keras_capture.wire.files import read_json, write_json
from keras_capture.wire.npy import NpyAppender, NpyReader
from keras_capture.wire.tensors import InMemory

from worker.support import record

DTYPES = ["f2", "f4", "f8", "i1", "i8", "u2", "?", "c8"]


# files


def test_json_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "response.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"loss": float("nan")})
    assert read_json(path) == {}
    write_json(path, {"broken text": b"\xff".decode(errors="surrogateescape")})
    assert read_json(path) == {"broken text": "?"}
    assert [found.name for found in tmp_path.iterdir()] == ["response.json"]


@given(data=st.data())
def test_what_is_appended_is_a_plain_npy_file(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    rest = data.draw(st.lists(st.integers(0, 3), max_size=3).map(tuple))
    pieces = data.draw(st.lists(st.integers(0, 4), max_size=4))
    batches = [data.draw(arrays.arrays(dtype, (rows, *rest))) for rows in pieces]
    path = tmp_path_factory.mktemp("npy") / "0.npy"
    writer = NpyAppender(path, dtype)
    for batch in batches:
        writer.append(batch)
    shape = (sum(pieces), *rest)
    writer.close(shape)
    expected = np.concatenate([np.empty((0, *rest), dtype), *batches])
    found = np.load(path, allow_pickle=False)
    assert (found.dtype, found.shape) == (dtype, shape)
    assert found.tobytes() == expected.tobytes()
    reader = NpyReader(path)
    assert reader.rows(0, shape[0]).tobytes() == expected.tobytes()


def test_a_file_in_fortran_order_is_read_in_rows(tmp_path: Path) -> None:
    values = np.asfortranarray(np.arange(12.0).reshape(4, 3))
    np.save(tmp_path / "0.npy", values)
    assert NpyReader(tmp_path / "0.npy").rows(1, 3).tobytes() == values[1:3].tobytes()


# failures


def test_user_code_that_exits_is_a_failure_and_ctrl_c_is_not() -> None:
    with pytest.raises(StageError) as caught, stage("load", "a:b"):
        raise SystemExit("no licence")
    assert caught.value.as_dict()["message"] == "the model's code called sys.exit('no licence') (a:b)"
    with pytest.raises(KeyboardInterrupt), stage("load"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "out of memory"),
        (ValueError(), "ValueError without a message"),
        (RuntimeError("\x1b[1mloud\x1b[0m"), "loud"),
        (
            ValueError(
                "Exception encountered when calling Noisy.call().\n\n\x1b[1mno such axis\x1b[0m\n\n"
                "Arguments received by Noisy.call():\n  • x"
            ),
            "no such axis (in Noisy.call())\n\nArguments received by Noisy.call():\n  • x",
        ),
        (
            ValueError(
                "Graph execution error:\n\nDetected at node loss:\n  File x\n\nshapes differ, got [4]\n"
                "\t [[{{node loss}}]] [Op:__inference_test_function_1]"
            ),
            "shapes differ, got [4]\n\nGraph execution error:",
        ),
        (
            TypeError("<class 'X'> could not be read. config={}.\n\nException encountered: gone"),
            "gone\n\n<class",
        ),
    ],
)
def test_messages_begin_with_the_cause(error: Exception, message: str) -> None:
    with pytest.raises(StageError) as caught, stage("predict"):
        raise error
    assert caught.value.as_dict()["message"].startswith(message)


def test_nested_autograph_wrappings_are_removed() -> None:
    inner = 'in user code:\n\n    File "b.py", line 2\n        raise\n\n    RuntimeError: really broken\n'
    layer = (
        f"Exception encountered when calling layer 'top' (type Top).\n\n{inner}\n\nCall arguments received by"
    )
    indented = layer.replace("\n", "\n    ")
    outer = f'in user code:\n\n    File "a.py", line 1\n        call()\n\n    RuntimeError: {indented}'
    with pytest.raises(StageError) as caught, stage("predict"):
        raise RuntimeError(outer)
    assert caught.value.as_dict()["message"].splitlines()[0] == "really broken (in layer 'top' (type Top))"


def test_messages_and_tracebacks_are_bounded() -> None:
    with pytest.raises(StageError) as caught, stage("load"):
        raise ValueError("begin" + "x" * 10**6 + "end")
    told = caught.value.as_dict()
    assert len(told["message"]) < 5000
    assert told["message"].startswith("begin")
    assert told["message"].endswith("end")
    assert len(told["traceback"]) < 25000


def test_an_error_that_cannot_be_shown() -> None:
    class UnshowableError(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    with pytest.raises(StageError) as caught, stage("load"):
        raise UnshowableError
    assert "cannot be shown" in caught.value.as_dict()["message"]


def test_our_own_sentences_have_no_traceback() -> None:
    with pytest.raises(StageError) as caught, stage("load"):
        raise UnusableError("it is no model")
    assert caught.value.as_dict() == {
        "stage": "load",
        "error": "UnusableError",
        "message": "it is no model",
        "traceback": "",
        "hint": None,
        "weights": None,
    }
    assert issubclass(failures.InputsError, UnusableError)


# recordings


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    first, second = np.arange(6.0).reshape(3, 2), np.array(["a", "bc", ""])
    stored = recording.open_recording(record(tmp_path / "a", {"x": first, "y": second}))
    turned = recording.open_recording(record(tmp_path / "b", {"y": second, "x": np.asfortranarray(first)}))
    assert stored.digest() == turned.digest()
    other = recording.open_recording(record(tmp_path / "c", {"x": first, "y": np.array(["ab", "c", ""])}))
    assert stored.digest() != other.digest()
    narrower = recording.open_recording(record(tmp_path / "d", {"x": first.astype("f4"), "y": second}))
    assert stored.digest() != narrower.digest()


def test_strings_and_ragged_rows_are_read_in_slices(tmp_path: Path) -> None:
    folder = tmp_path / "ragged"
    record(folder, {"words": np.array(["a", "b", "c", "d"])})
    np.save(folder / "splits.npy", np.array([0, 1, 1, 4], np.int64))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tensors"][0]["ragged"] = ["splits.npy"]
    manifest["samples"] = 3
    (folder / "manifest.json").write_text(json.dumps(manifest))
    tensor = recording.open_recording(str(folder)).tensors["words"]
    taken = tensor.rows(1, 3)
    assert tensor.shape == (3, None)
    assert taken.values.tolist() == [b"b", b"c", b"d"]
    assert taken.splits[0].tolist() == [0, 0, 3]


def test_tensors_of_different_length_are_refused(tmp_path: Path) -> None:
    source = record(tmp_path, {"x": np.zeros(3), "y": np.zeros(4)})
    with pytest.raises(InputsError, match="'x' 3, 'y' 4"):
        recording.open_recording(source)


# feeding: who is who


def _recorded(*names: str) -> recording.Recording:
    array = np.zeros((2, 3), np.float32)
    return recording.Recording("here", {name: InMemory(array) for name in names})


def _slots(*names: str) -> list[feeding.Slot]:
    return [feeding.Slot((index,), name, (None, 3), "float32") for index, name in enumerate(names)]


@pytest.mark.parametrize(
    ("wanted", "recorded", "chosen", "noted"),
    [
        (["a", "b"], ["b", "a"], ["a", "b"], False),
        (["a", "b"], ["a", "b", "id"], ["a", "b"], True),
        (["a", "b"], ["0", "1"], ["0", "1"], False),
        (["input_1", "input_2"], ["input_2", "input_1"], ["input_1", "input_2"], False),
        (["input_2", "input_3"], ["input_1", "input_2"], ["input_1", "input_2"], True),
        (["keras_tensor_402", "mask"], ["mask", "input_1"], ["input_1", "mask"], True),
        (["input_1", "input_2"], ["x", "y"], ["x", "y"], True),
        (["a", "b"], ["arr_1", "arr_0"], ["arr_0", "arr_1"], True),
        (["image"], ["arr_0"], ["arr_0"], True),
    ],
)
def test_inputs_are_mapped(wanted: list[str], recorded: list[str], chosen: list[str], noted: bool) -> None:
    names, notes = feeding._match(_slots(*wanted), _recorded(*recorded))
    assert names == chosen
    assert bool(notes) == noted


@pytest.mark.parametrize(
    ("wanted", "recorded"),
    [(["image"], ["pixels"]), (["a", "b"], ["a", "c"]), (["a", "b"], ["arr_0"]), (["input_1"], ["x", "y"])],
)
def test_names_that_mean_something_else_are_refused(wanted: list[str], recorded: list[str]) -> None:
    with pytest.raises(InputsError) as caught:
        feeding._match(_slots(*wanted), _recorded(*recorded))
    assert all(repr(name) in str(caught.value) for name in [*wanted, *recorded])


@given(st.integers(2, 14), st.randoms())
def test_numbered_arrays_keep_their_number(count: int, random: object) -> None:
    names = [f"arr_{index}" for index in range(count)]
    shuffled = names[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    found, _ = feeding._match(_slots(*["input"] * count), _recorded(*shuffled))
    assert found == names


def test_keys_of_a_signature_are_no_evidence_and_those_of_a_model_are() -> None:
    signature = feeding.Slot(("inputs",), "inputs", (None, 3), "float32", strict=True)
    assert feeding._match([signature], _recorded("content"))[0] == ["content"]
    with pytest.raises(InputsError):
        feeding._match([feeding.Slot(("image",), "input_1", (None, 3), "float32")], _recorded("pixels"))


# outputs


def test_outputs_are_named_by_their_path() -> None:
    array = np.zeros(2)
    outputs = {"a": [array, (array, None)], "b": array}
    batch = read_outputs(outputs)
    assert list(batch.pieces) == ["a/0", "a/1/0", "b"]
    assert batch.notes == ("output 'a/1/1' is None and was not compared",)
    assert skeleton(outputs) == {"a": ("a/0", ("a/1/0", "a/1/1")), "b": "b"}
    assert list(read_outputs([array]).pieces) == list(read_outputs(array).pieces) == ["output"]


def test_outputs_with_one_name_are_refused() -> None:
    with pytest.raises(OutputsError, match="'a/0'"):
        read_outputs({"a": [np.zeros(2)], "a/0": np.zeros(2)})


def _capture(folder: Path, batches: list[np.ndarray], rows: list[int]) -> dict:
    (folder / "outputs").mkdir(exist_ok=True)
    pieces = [Piece(batch.dtype.name, batch) for batch in batches]
    output = captures.OutputCapture("scores", folder / "outputs" / "0", pieces[0])
    for piece, count in zip(pieces, rows, strict=True):
        output.append(piece, count)
    return output.close(sum(rows))


def test_a_value_for_each_batch_is_told_from_a_value_for_each_sample(tmp_path: Path) -> None:
    whole, part = np.zeros((4, 2), np.float32), np.zeros((1, 2), np.float32)
    entry = _capture(tmp_path, [whole, part], [4, 1])
    assert (entry["shape"], entry["batched"]) == ([5, 2], True)
    entry = _capture(tmp_path, [whole, whole], [4, 1])
    assert (entry["shape"], entry["batched"]) == ([2, 4, 2], False)
    assert np.load(tmp_path / entry["path"]).shape == (2, 4, 2)


def test_an_output_whose_other_axes_change_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputsError, match=r"'scores'.*batch 1.*\(4, 3\).*batch 0.*\(4, 2\)"):
        _capture(tmp_path, [np.zeros((4, 2)), np.zeros((4, 3))], [4, 4])


def test_a_batch_is_read_back_as_it_was(tmp_path: Path) -> None:
    batches = [np.arange(8.0).reshape(4, 2), np.arange(2.0).reshape(1, 2)]
    samples = captures.StoredOutput(_capture(tmp_path, batches, [4, 1]), tmp_path)
    assert samples.batch(1, 4, 5).values.tobytes() == batches[1].tobytes()
    scalars = [np.array(1.0), np.array(2.0)]
    values = captures.StoredOutput(_capture(tmp_path, scalars, [4, 1]), tmp_path)
    assert values.batch(1, 4, 5).values.shape == ()
    assert values.batch(1, 4, 5).values == 2.0


def test_a_second_prediction_is_compared_byte_by_byte() -> None:
    first = Piece("float32", np.array([[1, np.nan, 0.0, np.inf]], np.float32))
    difference = captures.Difference()
    difference.add(first, Piece("float32", first.values.copy()))
    assert (difference.elements, difference.max_abs) == (0, None)
    difference.add(first, Piece("float32", np.array([[1.5, np.nan, -0.0, np.nan]], np.float32)))
    assert (difference.elements, difference.max_abs) == (3, 0.5)


def test_a_second_prediction_of_another_shape_differs() -> None:
    difference = captures.Difference()
    difference.add(Piece("float32", np.zeros((2, 2))), Piece("float64", np.zeros((2, 3))))
    difference.add(Piece("float32", np.zeros((2, 2))), None)
    assert difference.elements == 6 + 4


# precision


def _layer(policy: object, name: str = "Dense") -> dict:
    return {"class_name": name, "config": {"name": "x", "dtype": policy}}


def _policy(name: str, class_name: str = "DTypePolicy") -> dict:
    return {"module": "keras", "class_name": class_name, "config": {"name": name}, "registered_name": None}


def test_the_dominating_policy_is_rewritten_and_exceptions_stay() -> None:
    mapped = {"default_policy": _policy("bfloat16"), "policy_map": {"a": _policy("bfloat16"), "b": "float32"}}
    quantized = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "bfloat16"}}
    layers = [
        _layer("float32", "InputLayer"),
        _layer(_policy("bfloat16")),
        _layer("bfloat16"),
        {"class_name": "Wrapper", "config": {"layer": _layer(_policy("bfloat16", "Policy"))}},
        _layer({"class_name": "DTypePolicyMap", "config": mapped}),
        _layer("float32", "Lambda"),
        _layer("int32", "Embedding"),
        _layer("string", "StringLookup"),
        _layer(quantized),
        _layer("bfloat16", "Cast"),
    ]
    config = {"class_name": "Functional", "config": {"layers": layers}, "compile_config": _layer("bfloat16")}
    precision.rewrite(config, "float32")
    found = [layer["config"].get("dtype") for layer in layers]
    assert found[:3] == ["float32", _policy("float32"), "float32"]
    assert layers[3]["config"]["layer"]["config"]["dtype"] == _policy("float32", "Policy")
    assert found[4]["config"] == {
        "default_policy": _policy("float32"),
        "policy_map": {"a": _policy("float32"), "b": "float32"},
    }
    assert found[5:] == ["float32", "int32", "string", quantized, "float32"]
    assert config["compile_config"] == _layer("bfloat16")


@pytest.mark.parametrize(
    ("saved", "asked", "expected"),
    [
        ("float32", "bfloat16", "float32"),  # never narrowed: the layers cast
        ("float32", "mixed_float16", "float32"),
        ("float32", "float64", "float64"),
        ("bfloat16", "float32", "float32"),
        ("bfloat16", "float16", "float16"),
        ("int32", "float64", "int32"),
    ],
)
def test_inputs_follow_the_model_but_are_never_narrowed(saved: str, asked: str, expected: str) -> None:
    owner = "bfloat16" if saved == "bfloat16" else "float32"
    config = {"class_name": "Functional", "config": {"layers": [_layer(saved, "InputLayer"), _layer(owner)]}}
    precision.rewrite(config, asked)
    assert config["config"]["layers"][0]["config"]["dtype"] == expected


def test_casts_of_a_mixed_model_follow_its_compute_dtype() -> None:
    layers = [_layer("mixed_bfloat16"), _layer("bfloat16", "Cast"), _layer("float32", "Cast")]
    precision.rewrite({"class_name": "Functional", "config": {"layers": layers}}, "mixed_float16")
    assert [layer["config"]["dtype"] for layer in layers] == ["mixed_float16", "float16", "float32"]


def test_layers_without_a_dtype_are_left_to_the_global_policy() -> None:
    config = {"class_name": "Functional", "config": {"layers": [{"class_name": "Dense", "config": {}}]}}
    precision.rewrite(config, "float64")
    assert config["config"]["layers"] == [{"class_name": "Dense", "config": {}}]


# the machine


def test_the_processor_is_described(tmp_path: Path) -> None:
    text = "processor : 0\nmodel name\t: Fast 9000\nflags\t\t: fpu sse4_2 avx2 fma avx512_bf16 sse\n"
    (tmp_path / "cpuinfo").write_text(text)
    found = imports.cpu(tmp_path / "cpuinfo")
    assert found["model"] == "Fast 9000"
    assert found["features"] == ["avx2", "avx512_bf16", "fma", "sse4_2"]


def test_a_machine_without_cpuinfo_is_described(tmp_path: Path) -> None:
    found = imports.cpu(tmp_path / "absent")
    assert found["model"]
    assert found["features"] == []


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("load", "Requested the deserialization of a Lambda layer; pass safe_mode=False", "safe-mode"),
        ("load", "Unknown layer: 'Scale'. Please ensure you pass `custom_objects`", "custom-objects"),
        ("load", "Unrecognized keyword arguments passed to LSTM: {'time_major': False}", "builder"),
        ("load", "The filename must end in `.weights.h5`", "weights-file"),
        ("load", "bad marshal data (unknown type code)", "python"),
        ("predict", "Invalid dtype: RaggedTensor", "ragged"),
        ("compile", "MeanSquaredError got an unexpected keyword argument 'fn'", "compilation"),
        ("predict", "shapes do not match", None),
        ("train", "safe_mode", None),
    ],
)
def test_what_is_known_about_an_error(name: str, message: str, hint: str | None) -> None:
    with pytest.raises(StageError) as caught, stage(name):
        raise ValueError(message)
    assert caught.value.as_dict()["hint"] == hint


def test_a_sentence_of_ours_has_no_hint() -> None:
    with pytest.raises(StageError) as caught, stage("load"):
        raise UnusableError("give a .keras file, or weights as .weights.h5")
    assert caught.value.as_dict()["hint"] is None
