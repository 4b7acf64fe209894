"""Handwritten digits of 8x8 pixels (UCI ML hand-written digits, as shipped with scikit-learn)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SEED = 7
HELD_OUT = 361  # not a multiple of the batch size: the last batch is smaller


class Split(NamedTuple):
    """Images of shape (samples, 8, 8, 1), float32 in 0..1, and their digits, int32."""

    images: np.ndarray
    digits: np.ndarray


def load() -> tuple[Split, Split]:
    """Training and held-out samples. Needs scikit-learn, which carries the data with it."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images[..., None] / 16.0).astype("float32")
    digits = bunch.target.astype("int32")
    order = np.random.RandomState(SEED).permutation(len(digits))
    kept, held_out = order[HELD_OUT:], order[:HELD_OUT]
    return Split(images[kept], digits[kept]), Split(images[held_out], digits[held_out])
