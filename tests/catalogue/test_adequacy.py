"""What recorded inputs hold, and which changes they cannot show."""

from __future__ import annotations

import numpy as np

from validator.catalogue.adequacy import adequacy, missing
from validator.catalogue.entries import change


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
