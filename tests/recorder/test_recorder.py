"""The recorder without Keras: the choice of samples, what may be fed, the files, what cannot be recorded."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator import record
from validator.recorder import RecordingError
from validator.storage import recording

ROOT = Path(__file__).resolve().parents[2]
Arrays = dict[str, Any]


class Model:
    """What the recorder needs of a model: methods with Keras' parameters."""

    def predict(self, x: Any, batch_size: int | None = None) -> Any:
        return x

    def evaluate(self, x: Any = None, y: Any = None, sample_weight: Any = None) -> Any:
        return self.predict(x)


def names(folder: Path) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in recording.load(folder).open()}


def test_a_reservoir_prefers_no_sample(tmp_path: Path) -> None:
    hits = np.zeros(100)
    for seed in range(300):
        recorder = record(None, tmp_path / "x", samples=10, seed=seed)
        for start in range(0, 100, 7):
            recorder.add(np.arange(start, min(start + 7, 100)))
        hits[[sample.position for sample in recorder._reservoir.kept]] += 1
    assert hits.sum() == 3000
    assert abs(hits[:50].sum() - 1500) < 120  # 4.4 standard deviations
    assert hits.min() > 8
    assert hits.max() < 60


def test_no_other_generator_moves(tmp_path: Path) -> None:
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    with record(Model(), tmp_path / "x", samples=2) as recorder:
        recorder.model.predict(np.zeros((9, 2), np.float32))
    assert np.random.get_state()[1].tolist() == before


def test_dicts_lists_and_single_arrays(tmp_path: Path) -> None:
    model = Model()
    with record(model, tmp_path / "a"):
        model.predict({"age": np.zeros(3, np.float32), "town": np.array(["a", "b", "c"])})
    assert names(tmp_path / "a") == {"age": (3,), "town": (3,)}
    with record(model, tmp_path / "b"):
        model.predict([np.zeros((3, 2)), np.zeros((3, 4))])
    assert names(tmp_path / "b") == {"0": (3, 2), "1": (3, 4)}
    with record(model, tmp_path / "c"):
        model.predict([[1.0, 2.0], [3.0, 4.0]])
    assert names(tmp_path / "c") == {"input": (2, 2)}


def test_labels_and_weights(tmp_path: Path) -> None:
    model = Model()
    with record(model, tmp_path / "a"):
        model.evaluate(np.zeros((3, 2)), np.arange(3), sample_weight=np.ones(3))
    assert names(tmp_path / "a") == {"input": (3, 2)}
    assert names(tmp_path / "a" / "labels") == {"label": (3,), "sample_weight": (3,)}


def test_the_outermost_call_is_recorded_once(tmp_path: Path) -> None:
    model = Model()
    with record(model, tmp_path / "a"):
        model.evaluate(np.zeros((3, 2)))  # which predicts
    assert names(tmp_path / "a") == {"input": (3, 2)}


def test_a_decorator_writes_as_more_goes_in(tmp_path: Path) -> None:
    model = Model()

    @record(model, tmp_path / "a")
    def serve(rows: int) -> Any:
        return model.predict(np.zeros((rows, 2), np.float32))

    assert serve(3).shape == (3, 2)
    assert names(tmp_path / "a") == {"input": (3, 2)}
    serve(1)
    assert names(tmp_path / "a") == {"input": (3, 2)}
    serve(4)
    assert names(tmp_path / "a") == {"input": (8, 2)}
    assert "predict" not in model.__dict__


def test_a_size_bound_keeps_fewer_samples(tmp_path: Path) -> None:
    recorder = record(None, tmp_path / "a", samples=500, megabytes=0.1)
    recorder.add(np.zeros((500, 100), np.float64))
    recorder.save()
    samples = recording.load(tmp_path / "a").samples
    assert 50 < samples * 800 / 1000 < 110


def test_redaction_sees_what_stays_and_nothing_else_is_kept(tmp_path: Path) -> None:
    def redact(sample: Arrays) -> Arrays:
        return {**sample, "name": np.array(b"*")}

    model = Model()
    with record(model, tmp_path / "a", redact=redact):
        model.predict({"name": np.array(["ann", "bob"]), "age": np.array([1.0, 2.0])})
    assert (tmp_path / "a" / "0.utf8").read_bytes() == b"**"


@pytest.mark.filterwarnings("always")
def test_a_redaction_that_fails_records_nothing_and_predicts(tmp_path: Path) -> None:
    model = Model()
    with (
        pytest.warns(UserWarning, match="is not recorded: boom"),
        record(model, tmp_path / "a", redact=lambda sample: (_ for _ in ()).throw(ValueError("boom"))),
    ):
        assert model.predict(np.zeros((2, 2))).shape == (2, 2)
    assert not (tmp_path / "a").exists()


def test_rows_of_other_lengths_are_padded_and_that_is_reported(tmp_path: Path) -> None:
    model = Model()
    with pytest.warns(UserWarning, match="padded at the end to"), record(model, tmp_path / "a"):
        model.predict(np.ones((2, 3), np.int32))
        model.predict(np.ones((2, 5), np.int32))
    assert np.load(tmp_path / "a" / "0.npy")[0].tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("fed", "sentence"),
    [
        (np.array([object()]), "Python objects"),
        (np.array(["2026-01-01"], "datetime64[D]"), "dates"),
        (np.float32(3), "single value"),
        ({"a": np.zeros(2), "b": np.zeros(3)}, "different numbers of samples: 'a' 2, 'b' 3"),
        (iter([np.zeros(2)]), "cannot be watched"),
    ],
)
def test_what_cannot_be_recorded_is_a_warning(tmp_path: Path, fed: Any, sentence: str) -> None:
    model = Model()
    with pytest.warns(UserWarning, match=sentence), record(model, tmp_path / "a"):
        assert model.predict(fed) is fed


def test_calls_with_other_inputs_are_refused(tmp_path: Path) -> None:
    model = Model()
    with pytest.warns(UserWarning, match="an earlier call|an earlier one"), record(model, tmp_path / "a"):
        model.predict({"a": np.zeros(2)})
        model.predict({"b": np.zeros(2)})


def test_nothing_recorded_is_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="nothing was recorded"), record(Model(), tmp_path / "a"):
        pass


def test_what_is_no_recording_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("years")
    with pytest.raises(RecordingError, match="is no recording"):
        record(Model(), tmp_path / "a")
    with pytest.raises(RecordingError, match="must be positive"):
        record(Model(), tmp_path / "b", samples=0)


def test_an_earlier_recording_is_replaced(tmp_path: Path) -> None:
    model = Model()
    for rows in (3, 2):
        with record(model, tmp_path / "a"):
            model.evaluate(np.zeros((rows, 2)), np.zeros(rows))
    assert recording.load(tmp_path / "a").samples == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_an_exception_in_the_block_writes_nothing(tmp_path: Path) -> None:
    model = Model()
    with pytest.raises(KeyError), record(model, tmp_path / "a"):
        model.predict(np.zeros((2, 2)))
        raise KeyError
    assert not (tmp_path / "a").exists()
    assert "predict" not in model.__dict__


def test_two_recorders_watch_one_model(tmp_path: Path) -> None:
    model = Model()
    with record(model, tmp_path / "a"), record(model, tmp_path / "b"):
        model.predict(np.zeros((2, 2)))
    assert names(tmp_path / "a") == names(tmp_path / "b")


FUNCTIONS = """
import numpy as np
def arrays(): return {"x": np.zeros((3, 2))}
def pair(): return np.zeros((3, 2)), np.zeros(3)
def batches():
    for _ in range(3): yield np.zeros((2, 2)), np.zeros(2)
def fails(): raise ValueError("no data today")
def nothing(): return None
"""


@pytest.mark.parametrize(
    ("reference", "samples", "labelled"), [("arrays", 3, False), ("pair", 3, True), ("batches", 6, True)]
)
def test_the_command_records_a_function(tmp_path: Path, reference: str, samples: int, labelled: bool) -> None:
    done = run(tmp_path, f"own:{reference}")
    assert done.returncode == 0, done.stderr
    assert recording.load(tmp_path / "out").samples == samples
    assert (tmp_path / "out" / "labels").is_dir() == labelled


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("own:fails", "own:fails raised ValueError: no data today"),
        ("own:nothing", "own:nothing: the call feeds nothing"),
        ("own:other", "own has no function 'other'"),
        ("absent:f", "absent cannot be imported"),
        ("own", "is no package.module:function"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, reference: str, sentence: str) -> None:
    done = run(tmp_path, reference)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def run(folder: Path, reference: str) -> subprocess.CompletedProcess[str]:
    (folder / "own.py").write_text(FUNCTIONS)
    command = [sys.executable, "-m", "validator.recorder", reference, "out"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, check=False
    )


def test_the_recorder_stands_alone() -> None:
    allowed = {"numpy", "ml_dtypes", *sys.stdlib_module_names}
    for path in (ROOT / "validator" / "recorder").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level and path.name != "__main__.py":
                assert (node.module or "").partition(".")[0] in allowed, path
            elif isinstance(node, ast.Import):
                assert {alias.name.partition(".")[0] for alias in node.names} <= allowed, path


def test_a_copy_of_the_folder_works(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(ROOT / "validator" / "recorder", tmp_path / "keras_recorder")
    code = "import numpy as np, keras_recorder as k\n"
    code += "r = k.record(None, 'out'); r.add(np.zeros((2, 2))); r.save()"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert recording.load(tmp_path / "out").samples == 2


def test_warnings_do_not_become_errors_of_the_prediction(tmp_path: Path) -> None:
    model = Model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with record(model, tmp_path / "a"):
            assert model.predict(np.array([None])).shape == (1,)
