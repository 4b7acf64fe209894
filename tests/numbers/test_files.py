from __future__ import annotations

import numpy as np
import pytest

from validator.errors import ConfigurationError
from validator.storage.tensors import TensorEntry, open_tensors


def entry(**more):
    values = {"name": "logits", "path": "0.npy", "dtype": "float32", "shape": (2, 3)} | more
    return TensorEntry(**values)


def refused(folder, match, **more):
    with pytest.raises(ConfigurationError, match=match) as caught:
        open_tensors([entry(**more)], folder)
    assert "logits" in str(caught.value)


def test_a_missing_file(tmp_path):
    refused(tmp_path, r"0\.npy.*does not exist")


def test_an_empty_file(tmp_path):
    (tmp_path / "0.npy").touch()
    refused(tmp_path, "not a .npy file")


def test_a_short_file(tmp_path):
    np.save(tmp_path / "0.npy", np.ones((2, 3), np.float32))
    data = (tmp_path / "0.npy").read_bytes()
    (tmp_path / "0.npy").write_bytes(data[:-1])
    refused(tmp_path, "ends after 151 bytes of 152")


def test_pickled_objects(tmp_path):
    np.save(tmp_path / "0.npy", np.array([{}, None]), allow_pickle=True)
    refused(tmp_path, "never loaded")


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.ones((2, 3)), "float64"),
        (np.ones((3, 2), np.float32), r"\(3, 2\)"),
        (np.asfortranarray(np.ones((2, 3), np.float32)), "Fortran"),
    ],
)
def test_other_contents_than_described(tmp_path, array, match):
    np.save(tmp_path / "0.npy", array)
    refused(tmp_path, match)


def test_bits_of_a_wrong_width(tmp_path):
    np.save(tmp_path / "0.npy", np.ones((2, 3), np.uint32))
    refused(tmp_path, "uint32", storage="bits", dtype="bfloat16")


def test_bad_offsets_of_strings(tmp_path):
    (tmp_path / "0.utf8").write_bytes(b"abc")
    text = {"storage": "utf8", "dtype": "string", "path": "0.utf8", "shape": (2,)}
    refused(tmp_path, "offsets", **text)
    for offsets, match in [([0, 3], "2 offsets"), ([0, 4, 3], "do not rise"), ([0, 1, 2], "do not rise")]:
        np.save(tmp_path / "o.npy", np.array(offsets, np.int64))
        refused(tmp_path, match, offsets="o.npy", **text)
    np.save(tmp_path / "o.npy", np.array([0, 1, 3], np.int64))
    opened = open_tensors([entry(offsets="o.npy", **text)], tmp_path)[0].open()
    assert opened.strings(0, 2) == [b"a", b"bc"]


def test_bad_row_splits(tmp_path):
    np.save(tmp_path / "0.npy", np.ones((4, 2), np.float32))
    for splits, match in [([1, 4], "rise"), ([0, 3], "end at 3"), ([], "rise")]:
        np.save(tmp_path / "s.npy", np.array(splits, np.int64))
        refused(tmp_path, match, shape=(4, 2), ragged=("s.npy",))


def test_all_strings_empty(tmp_path):
    (tmp_path / "0.utf8").touch()
    np.save(tmp_path / "o.npy", np.zeros(3, np.int64))
    text = {"storage": "utf8", "dtype": "string", "path": "0.utf8", "shape": (2,), "offsets": "o.npy"}
    assert open_tensors([entry(**text)], tmp_path)[0].open().strings(0, 2) == [b"", b""]
