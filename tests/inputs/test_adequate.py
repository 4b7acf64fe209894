"""Rows that are added to a recording, and whether a recording fits a model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.inputs.files import entry, functional, write_keras
from validator.errors import ConfigurationError
from validator.inputs import make_adequate, misfit, read_specification
from validator.recorder.writing import SampleTable, write
from validator.storage import recording


def recorded(folder: Path, labels: bool = False, **arrays: np.ndarray) -> Path:
    ids = [f"row {number}" for number in range(len(next(iter(arrays.values()))))]
    answers = SampleTable({"label": np.arange(len(ids))}, ids, "a test") if labels else None
    write(folder, SampleTable(arrays, ids, "a test"), answers)
    return folder


def test_what_is_missing_is_added(tmp_path: Path) -> None:
    folder = recorded(
        tmp_path / "r",
        ids=np.ones((64, 6), np.int32),
        x=np.tile(np.arange(3, dtype=np.float32), (64, 1)),
        s=np.array(["a"] * 64),
    )
    added = make_adequate(folder, {"ids": 1000})
    assert set(added) == {
        *("padded", "masked-row", "large-id", "negative", "large", "tiny", "empty-text", "smaller-batch")
    }
    result = recording.load(folder)
    made = result.manifest.synthetic
    assert result.samples == 64 + made
    assert all(name.startswith("synthetic:") for name in result.manifest.ids[64:])
    assert result.manifest.ids[:2] == ("row 0", "row 1")
    assert not result.synthetic
    assert np.load(folder / "0.npy").max() == 999
    assert make_adequate(folder, {"ids": 1000}) == ()


def test_no_id_is_made_that_the_model_may_not_know(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "r", ids=np.ones((64, 6), np.int32))
    assert "large-id" not in make_adequate(folder, {})
    assert np.load(folder / "0.npy").max() == 1


def test_made_rows_have_no_weight_among_labels(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "r", labels=True, x=np.ones((40, 3), np.float32))
    make_adequate(folder, {})
    labels = recording.load(folder / "labels")
    assert labels.samples == recording.load(folder).samples
    weights = {tensor.name: tensor.open().values for tensor in labels.open()}["sample_weight"]
    assert weights[:40].tolist() == [1.0] * 40
    assert set(weights[40:].tolist()) == {0.0}


def test_ragged_inputs_are_refused(tmp_path: Path) -> None:
    from validator.recorder.rows import RaggedRow

    rows = [RaggedRow(np.arange(number), ()) for number in (1, 2)]
    write(tmp_path / "r", SampleTable({"x": rows}, ["a", "b"], "a test"))
    with pytest.raises(ConfigurationError, match="'x', which is ragged"):
        make_adequate(tmp_path / "r", {})


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"image": np.zeros((4, 8, 8, 1))}, ""),
        ({"arr_0": np.zeros((4, 8, 8, 1))}, ""),
        ({"image": np.zeros((4, 8, 8, 1)), "id": np.zeros(4)}, ""),  # more than needed is only noted
        ({"image": np.zeros((4, 8, 8))}, ""),  # Keras adds the last axis
        ({"image": np.zeros((4, 9, 8, 1))}, "takes (8, 8, 1) a sample, the recording has (9, 8, 1)"),
        ({"image": np.array(["a"] * 4)}, "takes float32, the recording has string"),
        ({"picture": np.zeros((4, 8, 8, 1))}, "the recording has 'picture' (8, 8, 1); name its tensors"),
    ],
)
def test_whether_a_recording_fits(tmp_path: Path, arrays: dict[str, np.ndarray], sentence: str) -> None:
    path = write_keras(tmp_path / "m.keras", functional(entry("image", [None, 8, 8, 1])))
    tensors = recording.load(recorded(tmp_path / "r", **arrays)).manifest.tensors
    problem = misfit(read_specification(path), tensors)
    assert sentence in problem
    assert bool(problem) == bool(sentence)


def test_a_structure_within_a_structure_is_left_to_the_worker(tmp_path: Path) -> None:
    config = functional(entry("age", [None, 1]), entry("town", [None, 1]))
    ends = {"person": {"age": ["age", 0, 0]}, "place": [["town", 0, 0]]}
    nested = {**config, "config": {**config["config"], "input_layers": ends}}
    path = write_keras(tmp_path / "m.keras", nested)
    arrays = {"person/age": np.zeros((4, 1)), "place/0": np.zeros((4, 1))}
    tensors = recording.load(recorded(tmp_path / "r", **arrays)).manifest.tensors
    assert misfit(read_specification(path), tensors) == ""
    flat = write_keras(tmp_path / "flat.keras", config)
    assert misfit(read_specification(flat), tensors) != ""


def test_a_dtype_that_the_file_does_not_give_refuses_nothing(tmp_path: Path) -> None:
    first = {"class_name": "Texts", "config": {"name": "texts", "batch_input_shape": [None, 1]}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [first]}}
    path = write_keras(tmp_path / "m.keras", config)
    tensors = recording.load(recorded(tmp_path / "r", x=np.array([["a"]] * 4))).manifest.tensors
    assert misfit(read_specification(path), tensors) == ""


def test_what_fits_is_what_fits_in_the_worker() -> None:
    """The worker stands alone, so that it has a copy of both rules."""
    text = (ROOT / "validator" / "worker" / "keras_capture" / "model" / "feeding.py").read_text()
    copy = (ROOT / "validator" / "inputs" / "fitting.py").read_text()
    [anonymous] = re.findall(r"_ANONYMOUS = re.compile\(\n(.*?)\n\)", copy, re.DOTALL)
    assert anonymous in text
    [fits] = re.findall(r"def _fits.*?\n(    if len.*?)    return", copy, re.DOTALL)
    assert fits in text
