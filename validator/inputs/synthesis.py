"""A specification → samples: values of the whole range, padded rows, empty rows, a smaller last batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from validator.inputs.specification import Input, Meaning, Specification

Array = NDArray[Any]
#: Three batches of 32, and a smaller last one.
SAMPLES = 100
_LENGTH, _SIDE = 24, 64  # of an axis that may have any length: steps, and pixels
_UNKNOWN_IDS = 10
_WORDS = ("the", "of", "and", "to", "in", "is", "you", "that", "it", "for", "on", "with")
_PREFIX = "synthetic"


def synthesise(specification: Specification, samples: int = SAMPLES, seed: int = 0) -> dict[str, Array]:
    """Samples for every input, by its name: the first axis is the sample.

    Row 0 is padded to about a half, row 1 wholly, row 2 is not padded and holds the largest ids; every third
    row after them is padded to a length of its own, the same in every input.
    """
    if specification.batch:
        samples = max(1, samples // specification.batch) * specification.batch
    random = np.random.default_rng(seed)
    length = _steps(specification.inputs)
    kept = _lengths(samples, length, random)
    arrays = {}
    for each in specification.inputs:
        shape = (samples, *(_axis(each, axis) for axis in range(len(each.shape))))
        values = _MAKERS[each.meaning](each, shape, random)
        arrays[each.name] = _padded(each, values, kept, length)
    return arrays


def synthetic_ids(samples: int) -> list[str]:
    """A name for each made sample, which says that it was made."""
    return [f"{_PREFIX}:{number}" for number in range(samples)]


def _steps(inputs: Sequence[Input]) -> int:
    """The common length of sequences."""
    known = [each.shape[0] for each in inputs if each.meaning == "id" and each.shape and each.shape[0]]
    return known[0] if known else _LENGTH


def _axis(each: Input, axis: int) -> int:
    length = each.shape[axis]
    if length is not None:
        return length
    return _SIDE if len(each.shape) >= 3 else _LENGTH


def _lengths(samples: int, length: int, random: np.random.Generator) -> NDArray[np.int64]:
    """How many steps of each row are not padding."""
    kept = np.full(samples, length)
    kept[3::3] = random.integers(1, max(2, length), len(kept[3::3]))
    kept[: min(2, samples)] = [max(1, length // 2), 0][: min(2, samples)]
    return kept


def _padded(each: Input, values: Array, kept: NDArray[np.int64], length: int) -> Array:
    """The values with the steps behind each row's length put out, where the input has steps to pad."""
    sequence = values.ndim > 1 and values.shape[1] == length and length > 1
    if each.meaning == "mask" and sequence:
        filler: float = 0
    elif each.padded_with is not None and values.ndim > 1 and values.shape[1] > 1:
        filler = each.padded_with
    else:
        return values
    steps = values.shape[1]
    scaled = kept if steps == length else kept * steps // max(1, length)
    behind = np.arange(steps)[None, :] >= scaled[:, None]
    values[behind] = filler
    return values


def _numbers(each: Input, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Standard normal, with a row far from 0 and a row near it."""
    values = random.standard_normal(shape)
    if shape[0] > 5:
        values[4] = values[4] * 0.1 + 300
        values[5] *= 1e-5
    return values.astype(_numpy(each.dtype))


def _ids(each: Input, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Ids over the whole vocabulary; the largest and the smallest are among them."""
    high = each.high or _UNKNOWN_IDS
    low = 1 if each.padded_with == 0 and high > 1 else 0
    values = random.integers(low, high, shape)
    if shape[0] > 2:
        values[2] = high - 1
    return values.astype(_numpy(each.dtype))


def _texts(each: Input, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Words of the vocabulary, a few unknown ones, an empty text."""
    known = [word for word in each.words if word and not word.startswith("[")] or list(_WORDS)
    single = len(each.shape) == 0 or np.prod(shape[1:]) == 1
    texts = np.empty(int(np.prod(shape)), object)
    for number in range(texts.size):
        count = int(random.integers(3, 25)) if single and len(known) > 8 else 1
        words = [known[int(pick)] for pick in random.integers(0, len(known), count)]
        texts[number] = " ".join(words)
    if texts.size > 4:
        texts[1], texts[4] = "", "zyxwv"  # a fully padded row, and a word that no vocabulary has
    return texts.astype(str).reshape(shape)


def _pixels(each: Input, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    values = random.integers(0, 256, shape)
    if shape[0] > 1:
        values[1] = 0
    return values.astype(_numpy(each.dtype))


def _mask(each: Input, shape: tuple[int, ...], _: np.random.Generator) -> Array:
    return np.ones(shape, _numpy(each.dtype))


def _flags(each: Input, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    return random.integers(0, 2, shape).astype(_numpy(each.dtype))


_MAKERS: Mapping[Meaning, Callable[[Input, tuple[int, ...], np.random.Generator], Array]] = {
    "number": _numbers,
    "id": _ids,
    "text": _texts,
    "pixel": _pixels,
    "mask": _mask,
    "flag": _flags,
}


def _numpy(dtype: str) -> str:
    """The dtype that is written: those that NumPy lacks are fed as float32, which Keras casts."""
    return "float32" if dtype in ("bfloat16", "") or dtype.startswith("float8") else dtype
