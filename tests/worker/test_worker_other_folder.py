"""Inputs from a function of another folder than the model's modules, under the same names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from keras_capture.failures import InputsError
from keras_capture.wire import recording

SAMPLES = """import numpy as np
from dune_parts import scale

def rows():
    return {"x": np.full((3, 2), scale)}
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    made = {}
    for name, value in (("base", 1.0), ("head", 2.0)):
        folder = made[name] = tmp_path / name
        (folder / "dune_parts").mkdir(parents=True)
        (folder / "dune_parts" / "__init__.py").write_text(f"scale = {value}\n")
        (folder / "dune_samples.py").write_text(SAMPLES)
    monkeypatch.syspath_prepend(str(made["base"]))
    yield made
    for name in [name for name in sys.modules if name.startswith("dune_")]:
        del sys.modules[name]


def test_the_function_and_what_it_imports_are_of_the_named_folder(folders: dict[str, Path]) -> None:
    own = importlib.import_module("dune_parts")
    path = list(sys.path)
    other = recording.open_recording(f"{folders['head']}::dune_samples:rows")
    same = recording.open_recording("dune_samples:rows")

    assert [float(each.tensors["x"].rows(0, 1).max()) for each in (other, same)] == [2.0, 1.0]
    assert other.source == same.source == "dune_samples:rows"
    assert sys.modules["dune_parts"] is own
    assert sys.path == path


def test_a_function_that_fails_leaves_the_modules_as_they_were(folders: dict[str, Path]) -> None:
    own = importlib.import_module("dune_parts")
    (folders["head"] / "dune_samples.py").write_text("import numpy\n\ndef rows():\n    return 3\n")
    with pytest.raises(InputsError, match="returned int"):
        recording.open_recording(f"{folders['head']}::dune_samples:rows")
    assert sys.modules["dune_parts"] is own
    assert str(folders["head"]) not in sys.path
