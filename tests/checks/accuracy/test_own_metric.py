from pathlib import Path

import numpy as np
import pytest

from validator.checks.accuracy.scoring import user_metric
from validator.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own_metrics.py").write_text(
        "import numpy\n"
        "def right(predictions, labels):\n"
        "    return predictions['output'].argmax(-1) == labels['y']\n"
        "number = 3\n"
    )
    (tmp_path / "broken_metrics.py").write_text("def oops(:\n")
    return tmp_path


def test_a_function_beside_the_configuration_is_found_and_leaves_the_path_alone(folder: Path) -> None:
    import sys

    before = list(sys.path)
    metric = user_metric(folder, "own_metrics:right")
    scores = metric({"output": np.eye(3)}, {"y": np.array([0, 1, 1])})
    assert np.asarray(scores).tolist() == [True, True, False]
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:right", "No module named 'no_such_module'"),
        ("own_metrics:wrong", "wrong"),
        ("own_metrics:number", "is a int and not a function"),
        ("broken_metrics:oops", "cannot be imported"),
    ],
)
def test_what_cannot_be_used_is_a_clear_sentence(folder: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        user_metric(folder, name)
