"""`record` for files and functions, and its rows for known changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.adoption.commands import command, refused
from validator.storage import recording

FUNCTION = """
import numpy as np
def data(): return {"x": np.zeros((700, 2), np.float32)}, np.zeros(700)
def hide(sample): return {**sample, "x": np.zeros(2, np.float32)}
"""


def test_a_csv_with_labels_and_ids(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("name,age,town,sick\nann,30,Bonn,0\nbob,40,Ulm,1\n")
    done = command(tmp_path, "record", "rows.csv", "out", "--labels", "sick", "--id", "name")
    assert done.returncode == 0, done.stderr
    inputs, labels = (recording.load(tmp_path / "out" / part) for part in ("", "labels"))
    assert inputs.manifest.ids == labels.manifest.ids == ("ann", "bob")
    assert [tensor.name for tensor in inputs.manifest.tensors] == ["age", "town"]
    assert [tensor.name for tensor in labels.manifest.tensors] == ["label"]
    assert "inputs: out, labels: out/labels" in done.stdout


def test_a_sample_of_an_npz_with_labels_of_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.arange(1000))
    np.save(tmp_path / "y.npy", np.arange(1000))
    done = command(tmp_path, "record", "x.npz", "out", "--labels", "y.npy", "--samples", "100")
    assert done.returncode == 0, done.stderr
    kept = np.load(tmp_path / "out" / "0.npy")
    assert len(kept) == 100
    assert kept.tolist() == np.load(tmp_path / "out" / "labels" / "0.npy").tolist()
    assert recording.load(tmp_path / "out").manifest.ids[0] == f"x.npz:{kept[0]}"


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(arrow.table({"age": [1.0, 2.0], "y": [0, 1]}), tmp_path / "rows.parquet")
    done = command(tmp_path, "record", "rows.parquet", "out", "--labels", "y")
    assert done.returncode == 0, done.stderr
    assert recording.load(tmp_path / "out" / "labels").samples == 2


def test_a_function_runs_in_a_python_of_the_user(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(FUNCTION)
    done = command(tmp_path, "record", "own:data", "out", "--redact", "own:hide")
    assert done.returncode == 0, done.stderr
    assert recording.load(tmp_path / "out").samples == 512
    assert recording.load(tmp_path / "out" / "labels").samples == 512


def test_adequate_rows_are_added_in_place(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", ids=np.ones((40, 6), np.int32))
    done = command(tmp_path, "record", "x.npz", "out", "--adequate")
    assert "added synthetic rows:" in done.stdout, done.stderr
    once = recording.load(tmp_path / "out").samples
    done = command(tmp_path, "record", "out", "--adequate")
    assert "nothing: the inputs can show every change" in done.stdout
    assert recording.load(tmp_path / "out").samples == once


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("absent.npz",), "absent.npz: there is no such file"),
        (("x.npz", "full"), "full exists and is no recording"),
        (("x.npz", "out", "--labels", "z"), "--labels z: neither a file, nor an array of x.npz, which has x"),
        (("x.npz", "out", "--labels", "x"), "nothing is left as an input"),
        (("x.npz", "out", "--id", "z"), "--id z: x.npz has x"),
        (("x.npz", "out", "--labels", "short.npy"), "different numbers of samples"),
        (("own:absent", "out"), "own has no function 'absent'"),
        (("own:data", "out", "--python", "nowhere/python"), "nowhere/python: No such file"),
        (("own:data", "out", "--labels", "y"), "--labels is for files"),
        (("words.doc", "out"), "not '.doc'"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 2)))
    np.save(tmp_path / "short.npy", np.zeros(3))
    (tmp_path / "own.py").write_text(FUNCTION)
    (tmp_path / "words.doc").write_text("words")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    assert sentence in refused(command(tmp_path, "record", *arguments))
    assert not (tmp_path / "out").exists()
