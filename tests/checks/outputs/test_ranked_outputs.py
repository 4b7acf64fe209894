"""Where the largest value of a row is a prediction, and where it is one coordinate of four."""

from __future__ import annotations

import numpy as np
import pytest

from validator.checks.outputs.compare import _ranked, output_numbers
from validator.config.settings import ModelSettings
from validator.storage.tensors import StoredTensor

RANDOM = np.random.RandomState(0)
BOXES = RANDOM.normal(100, 50, (9, 4)).astype(np.float32)
SCORES = np.exp(RANDOM.normal(size=(9, 4))).astype(np.float32)
SCORES /= SCORES.sum(axis=1, keepdims=True)


def ranked(values: np.ndarray, **model: object) -> bool:
    sides = [StoredTensor.from_array("output", side) for side in (values, values[:, ::-1].copy())]
    (numbers,) = output_numbers(sides[:1], sides[1:], None)
    assert numbers.comparison is not None
    settings = {"name": "m", "builder": "m:build", "inputs": "x.npz", **model}
    return numbers.ranked or _ranked(numbers, ModelSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("values", "model", "expected"),
    [
        (SCORES, {}, True),
        (BOXES, {}, False),
        (SCORES.astype(np.float16), {}, True),
        (BOXES, {"metrics": ("accuracy",), "labels": "y.npz"}, True),
        (BOXES, {"metrics": ("top-5",), "labels": "y.npz"}, True),
        (BOXES, {"metrics": ("mae",), "labels": "y.npz"}, False),
        (BOXES, {"decode": {"prompt_length": 2}}, True),
        (BOXES[:, :1], {}, False),
    ],
)
def test_coordinates_have_no_top_prediction(
    values: np.ndarray, model: dict[str, object], expected: bool
) -> None:
    assert ranked(values, **model) is expected
