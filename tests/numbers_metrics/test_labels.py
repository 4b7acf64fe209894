from __future__ import annotations

import numpy as np
import pytest

from validator.errors import ConfigurationError
from validator.numbers.metrics.labels import pair_labels
from validator.storage.tensors import StoredTensor


def stored(array, name="output"):
    return StoredTensor.from_array(name, np.asarray(array))


def test_labels_find_their_outputs():
    heads = [stored(np.ones((2, 3)), "digit"), stored(np.ones((2, 1)), "odd")]
    found = pair_labels(heads, [stored([0, 1], "odd"), stored([1, 1], "odd/sample_weight")])
    assert [(item.output.name, item.labels.name) for item in found] == [("odd", "odd")]
    assert found[0].weights is not None
    alone = pair_labels(heads[:1], [stored([0, 1], "y"), stored([1, 1], "sample_weight")])
    assert alone[0].weights.name == "sample_weight"


def test_labels_without_an_output_are_refused():
    heads = [stored(np.ones((2, 3)), "digit"), stored(np.ones((2, 1)), "odd")]
    with pytest.raises(ConfigurationError, match="did you mean 'digit'"):
        pair_labels(heads, [stored([0, 1], "digits")])
    with pytest.raises(ConfigurationError, match="labels themselves"):
        pair_labels(heads, [stored([0, 1], "sample_weight")])
