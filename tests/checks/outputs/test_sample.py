"""The sample that differs most, as the model was fed it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.checks.outputs.output_cases import OLD, output
from validator.checks.outputs.sample import worst_sample
from validator.checks.outputs.types import WorstSample
from validator.storage import recording
from validator.verdict.bands import BANDS

NEW = OLD.copy()
NEW[7, 2] += 1


def sample(folder: Path, **inputs: np.ndarray) -> WorstSample | None:
    np.savez(folder / "inputs.npz", **inputs)
    recording.prepare(folder / "inputs.npz", folder / "inputs")
    return worst_sample(folder / "inputs", [output(NEW, ratio=1e6)], BANDS.outputs)


def test_it_is_the_sample_of_the_largest_difference_with_its_inputs(tmp_path: Path) -> None:
    images = np.random.default_rng(1).normal(0, 1, (len(OLD), 64, 64, 3))
    texts = np.array([f"text {number}" for number in range(len(OLD))])
    drawn = sample(tmp_path, images=images, texts=texts)
    assert drawn is not None
    assert drawn.index == 7
    image, text = sorted(drawn.inputs, key=lambda each: each.name)
    assert (image.shape, image.step) == ((64, 64, 3), 4)
    assert len(image.values) == 16 * 16 * 3
    assert text.texts == (f"text {drawn.index}",)


def test_an_input_of_many_short_axes_is_kept_whole(tmp_path: Path) -> None:
    drawn = sample(tmp_path, x=np.zeros((len(OLD), 4, 4, 4, 4, 4, 4)))
    assert drawn is not None
    assert len(drawn.inputs[0].values) == 4**6
