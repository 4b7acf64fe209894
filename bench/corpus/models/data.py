"""Recorded inputs and labels: seeded, so that every environment gets the same bytes."""

import os

import numpy as np

#: As in `common`: other inputs, in every environment of a run.
SEED = [int(seed) for seed in os.environ.get("KV_CORPUS_SEED", "").split()]
ROWS = 72  # two batches of 32 and a smaller one
LENGTH, WORDS = 8, 40


def _random(seed):
    return np.random.default_rng([seed, *SEED] if SEED else seed)


def _normal(seed, *shape):
    return _random(seed).standard_normal((ROWS, *shape)).astype(np.float32)


def images():
    """Small images of three channels."""
    return {"image": _normal(1, 8, 8, 3)}


def films():
    """Three frames of 6 by 6."""
    return {"film": _normal(2, 3, 6, 6, 2)}


def series():
    """Eight steps of six features."""
    return {"series": _normal(3, LENGTH, 6)}


def vectors():
    """Vectors of 24 features, among them zeros."""
    values = _normal(4, 24)
    values[::7, ::5] = 0.0
    return {"vector": values}


def few():
    """As `vectors`, eight rows."""
    return {"vector": _normal(12, 24)[:8]}


def hidden():
    """Eight steps of the width of the transformer."""
    return {"hidden": _normal(5, LENGTH, 32)}


def tiny():
    """Vectors far below the epsilon of a normalisation."""
    return {"vector": _normal(6, 24) * np.float32(1e-7)}


def offset():
    """Vectors whose mean is far larger than their spread."""
    return {"vector": _normal(7, 24) * np.float32(0.1) + np.float32(300.0)}


def _tokens(seed, rows=ROWS):
    random = _random(seed)
    ids = random.integers(1, WORDS, (rows, LENGTH))
    ids[np.arange(LENGTH) >= random.integers(1, LENGTH + 1, (rows, 1))] = 0
    return ids.astype(np.int32)


def tokens():
    """Ids, padded behind; one row is nothing but padding."""
    ids = _tokens(8)
    ids[5] = 0
    return {"ids": ids}


def pairs():
    """Two texts a row, padded differently."""
    return {"first": _tokens(9), "second": _tokens(10)}


def full_batches():
    """Two texts a row, in whole batches of 32."""
    return {"first": _tokens(9, 64), "second": _tokens(10, 64)}


def gaps():
    """Eight steps of six features, of which some samples leave out the last ones: zeros."""
    values = _normal(12, LENGTH, 6)
    values[np.arange(LENGTH) >= _random(13).integers(2, LENGTH + 1, (ROWS, 1))] = 0.0
    return {"series": values}


def holes():
    """The same, where one sample in nine has a step of NaN."""
    values = _normal(14, LENGTH, 6)
    values[::9, 3] = np.nan
    return {"series": values}


def frames():
    """Three frames of six patches."""
    return {"film": _normal(15, 3, 6, 8)}


def bytes_of_photos():
    """Small photos in bytes."""
    return {"photo": _random(16).integers(0, 256, (ROWS, 10, 10, 3)).astype(np.uint8)}


def ages():
    """A number for each sample."""
    return {"age": _random(17).gamma(4.0, 10.0, (ROWS, 1)).astype(np.float32)}


def bright():
    """Small images whose variance float16 does not hold."""
    return {"image": np.float32(1000.0) * _normal(18, 8, 8, 3)}


def two_vectors():
    """Two vectors a sample, whose names are not in alphabetical order."""
    return {"right": _normal(19, 24), "left": _normal(20, 24)}


def wide_ids():
    """Ids of 64 bits."""
    return {"wide_ids": _random(22).integers(0, 1 << 40, (ROWS, LENGTH))}


def labels():
    """Name of a labels file → its arrays."""
    random = _random(11)
    spoken = np.where(_tokens(8) > 0, random.integers(1, 5, (ROWS, LENGTH)), 0)
    spoken[5] = 0
    return {
        "words": {"labels": spoken.astype(np.int32)},
        "classes": {"labels": np.eye(4, dtype=np.float32)[random.integers(0, 4, ROWS)]},
        "numbers": {"labels": random.standard_normal((ROWS, 3)).astype(np.float32)},
        "bits": {"labels": random.integers(0, 2, (ROWS, 3)).astype(np.float32)},
        "parts": {
            "labels": random.integers(0, 2, (ROWS, 1)).astype(np.float32),
            "sample_weight": (0.1 + 0.8 * random.random(ROWS)).astype(np.float32),
        },
        "topics": {"labels": random.integers(0, 4, ROWS).astype(np.int32)},
        "near_and_far": {
            name: random.standard_normal((ROWS, 3)).astype(np.float32) for name in ("near", "far")
        },
    }
