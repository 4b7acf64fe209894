"""Folders of Keras models: packed again, told from presets, and refused where it is not clear."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from validator.errors import ConfigurationError
from validator.storage.archives import is_preset, is_unzipped, pack


def unzipped(folder: Path, *weights: str, **metadata: str) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "metadata.json").write_text(json.dumps({"keras_version": "3.5.0", **metadata}))
    for name in weights:
        (folder / name).write_bytes(name.encode())
    (folder / "assets" / "text").mkdir(parents=True)
    (folder / "assets" / "text" / "words.txt").write_text("a b")
    (folder / "README.md").write_text("a card")
    return folder


@pytest.mark.parametrize("weights", ["model.weights.h5", "epoch-7.weights.h5"])
def test_an_unzipped_folder_becomes_a_file(tmp_path: Path, weights: str) -> None:
    folder = unzipped(tmp_path / "digits", weights)
    assert is_unzipped(folder)
    pack(folder, tmp_path / "packed" / "digits.keras")
    with zipfile.ZipFile(tmp_path / "packed" / "digits.keras") as archive:
        names = ["assets/text/words.txt", "config.json", "metadata.json", "model.weights.h5"]
        assert sorted(archive.namelist()) == names
        assert archive.read("model.weights.h5") == weights.encode()


def test_packing_is_reproducible(tmp_path: Path) -> None:
    folder = unzipped(tmp_path / "digits", "model.weights.h5")
    for name in ("a.keras", "b.keras"):
        pack(folder, tmp_path / name)
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()


def test_weights_in_parts_keep_their_names(tmp_path: Path) -> None:
    folder = unzipped(tmp_path / "large", "model_00000.weights.h5", "model_00001.weights.h5")
    (folder / "model.weights.json").write_text("{}")
    pack(folder, tmp_path / "large.keras")
    with zipfile.ZipFile(tmp_path / "large.keras") as archive:
        assert {"model.weights.json", "model_00001.weights.h5"} < set(archive.namelist())


def test_several_weights_of_which_none_is_the_models(tmp_path: Path) -> None:
    folder = unzipped(tmp_path / "digits", "a.weights.h5", "b.weights.h5")
    with pytest.raises(
        ConfigurationError, match=r"which of a\.weights\.h5, b\.weights\.h5 has the weights\?"
    ):
        pack(folder, tmp_path / "digits.keras")


def test_a_preset_is_no_unzipped_folder(tmp_path: Path) -> None:
    said = unzipped(tmp_path / "said", "model.weights.h5", keras_hub_version="0.32.0")
    task = unzipped(tmp_path / "task", "model.weights.h5")
    (task / "task.json").write_text("{}")
    assert [(is_preset(each), is_unzipped(each)) for each in (said, task)] == [(True, False)] * 2


@pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
def test_half_a_folder_is_none(tmp_path: Path, missing: str) -> None:
    folder = unzipped(tmp_path / "digits", "model.weights.h5")
    (folder / missing).unlink()
    assert not is_unzipped(folder)
