"""`validator.compare` on arrays and files: what decides, what it says, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import validator
from tests.conftest import ROOT
from validator.errors import ConfigurationError

ARRAY = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)


def test_identical_arrays() -> None:
    result = validator.compare(ARRAY, ARRAY.copy())
    assert (result.verdict, result.passed, result.max_abs, result.noise) == ("identical", True, 0.0, None)
    assert str(result).splitlines()[-1] == "Every byte is the same."


def test_without_a_model_the_tolerance_of_the_dtype_decides_and_no_noise_is_claimed() -> None:
    within = validator.compare(ARRAY, ARRAY + np.float32(1e-7))
    assert (within.verdict, within.outputs[0].rule) == ("rounding", "dtype-tolerance")
    beyond = validator.compare(ARRAY, ARRAY + np.float32(0.5))
    assert (beyond.verdict, beyond.passed, beyond.noise_ratio) == ("changed", False, None)
    assert beyond.max_abs == pytest.approx(0.5, abs=1e-6)
    assert "No noise was measured" in str(beyond)


def test_a_tolerance_of_ones_own() -> None:
    loose = validator.compare(ARRAY, ARRAY + np.float32(0.5), atol=1)
    assert (loose.verdict, loose.outputs[0].rule) == ("rounding", "tolerance")
    assert validator.compare(ARRAY, ARRAY + np.float32(1e-7), rtol=0, atol=0).verdict == "changed"


def test_several_outputs_worst_first_and_shapes_that_differ() -> None:
    result = validator.compare({"a": ARRAY, "b": ARRAY}, {"a": ARRAY, "b": ARRAY[:, :2]})
    assert [(each.output, each.verdict) for each in result.outputs] == [("b", "changed"), ("a", "identical")]
    assert result.outputs[0].rule == "structure"
    missing = validator.compare({"a": ARRAY, "b": ARRAY}, {"a": ARRAY})
    assert [each.rule for each in missing.outputs] == ["missing", "bytes"]


def test_lists_strings_integers_and_half_precision() -> None:
    assert validator.compare([ARRAY, ARRAY], [ARRAY, ARRAY]).verdict == "identical"
    assert [each.output for each in validator.compare([ARRAY], [ARRAY]).outputs] == ["output"]
    words = np.array(["ein", "zwei", "drei"])
    assert validator.compare(words, np.array(["ein", "zwo", "drei"])).outputs[0].rule == "exact"
    assert validator.compare(np.arange(5), np.arange(5) + 1).verdict == "changed"
    half = ARRAY.astype(np.float16)
    assert validator.compare(half, half).outputs[0].numbers.comparison.baseline_dtype == "float16"


def test_nothing_that_was_not_compared_passes() -> None:
    result = validator.compare(np.full((3, 2), np.nan), np.full((3, 2), np.nan))
    assert (result.verdict, result.passed) == ("not-compared", False)


def test_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "before.npz", a=ARRAY)
    np.savez(tmp_path / "after.npz", a=ARRAY + 1)
    result = validator.compare(tmp_path / "before.npz", str(tmp_path / "after.npz"))
    assert [(each.output, each.verdict) for each in result.outputs] == [("a", "changed")]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"candidate": 3.0}, "its first axis must be the samples"),
        ({"candidate": {}}, "there is nothing to compare"),
        ({"candidate": np.array([object()])}, "holds Python objects"),
        ({"candidate": "nowhere.npz"}, "nowhere.npz"),
        ({"candidate": ARRAY, "atol": -1}, "must not be negative"),
        ({"candidate": ARRAY, "model": object()}, "pass model and inputs together"),
        ({"candidate": ARRAY + 1, "model": object(), "inputs": ARRAY}, "object is no Keras model"),
        (
            {"candidate": SimpleNamespace(flat_values=ARRAY, nested_row_splits=[np.array([0, 2, 50])])},
            "is ragged",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        validator.compare(ARRAY, **arguments)  # type: ignore[arg-type]


def test_importing_the_package_imports_nothing_heavy_and_names_what_it_has() -> None:
    code = (
        "import sys, validator; print(sorted({'numpy', 'pydantic', 'rich'} & sys.modules.keys()), "
        "{'compare', 'run', 'record'} <= set(dir(validator)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = validator.nothing
