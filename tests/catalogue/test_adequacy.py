"""What recorded inputs hold, and which changes they cannot show."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from validator.catalogue.adequacy import adequacy, missing, of_recording
from validator.catalogue.entries import change
from validator.storage import recording


def test_padded_ids() -> None:
    ids = np.array([[3, 4, 0], [0, 0, 0], [300, 1, 2]], "int32")
    found = adequacy({"ids": ids}, batch=2)
    assert found.holds == {"padded", "masked-row", "large-id", "smaller-batch"}


def test_full_rows_of_small_ids_lack_all_of_it() -> None:
    found = adequacy({"ids": np.ones((4, 3), "int32")}, batch=4)
    assert found.lacks == {"padded", "masked-row", "large-id", "wide-id", "smaller-batch"}


def test_floats() -> None:
    values = np.array([[-1.0, 1.0], [1e-6, 2e-6], [5000.0, 5001.0], [np.nan, 1.0]], "float32")
    assert {"negative", "tiny", "large", "nan"} <= adequacy({"x": values}).holds
    assert {"negative", "tiny", "large", "nan"} <= adequacy({"x": np.full((2, 2), [0.5, 1.0])}).lacks


def test_empty_texts() -> None:
    assert "empty-text" in adequacy({"text": np.array(["", "a"])}).holds


def test_changes_that_cannot_show() -> None:
    merge = change("K07")
    assert merge is not None
    found = adequacy({"ids": np.ones((4, 3), "int32")})
    assert missing([merge], found) == {"padded": [merge]}
    assert not found.shows(merge)


@pytest.mark.parametrize("place", [0, 40_000, 69_999])
def test_one_sample_of_many_is_seen_wherever_it_is(place: int) -> None:
    ids = np.ones((70_000, 8), "int32")
    ids[place, 5:] = 0
    ids[(place + 1) % len(ids)] = 0
    assert adequacy({"ids": ids}, batch=32).holds == {"padded", "masked-row", "smaller-batch"}


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), ()])
def test_arrays_without_values_hold_nothing(shape: tuple[int, ...]) -> None:
    assert adequacy({"x": np.zeros(shape, "float32"), "ids": np.zeros(shape, "int32")}).holds == set()


def test_a_recording_holds_what_its_arrays_hold_in_little_memory(tmp_path: Path) -> None:
    rows = 600_000
    arrays = {
        "x": np.linspace(1.0, 2.0, rows * 16, dtype=np.float32).reshape(rows, 16),
        "text": np.array(["some"] * (rows - 1) + [""]),
        "ids": np.ones((rows, 2), np.int64),
    }
    arrays["x"][-1] = np.nan
    np.savez(tmp_path / "inputs.npz", **arrays)
    recording.prepare(tmp_path / "inputs.npz", tmp_path / "inputs")
    tensors = recording.load(tmp_path / "inputs").open()
    tracemalloc.start()
    held = of_recording(tensors)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held == adequacy(arrays)
    assert held.holds == {"nan", "empty-text", "large"}
    assert peak < 40e6  # of 64 MB of values, and several times that where they were copied at once
