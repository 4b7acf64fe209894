"""What every proof uses: the environment's Keras, the same numbers everywhere, names of errors."""

import os

import numpy as np

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"

if LEGACY:
    import tf_keras as keras
else:
    import keras

layers = keras.layers


def rng(seed=0):
    """A generator of numbers."""
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    """Standard normal numbers of float32."""
    return rng(seed).standard_normal(shape).astype("float32")


def fill(model, scale=0.5):
    """Give every weight of a model, by its place, the same values in every release."""
    for place, layer in enumerate(model.layers):
        weights = layer.get_weights()
        if weights:
            layer.set_weights(
                [_value(weight, 100 * place + number, scale) for number, weight in enumerate(weights)]
            )
    return model


def _value(weight, seed, scale):
    if weight.dtype.kind != "f" and str(weight.dtype) != "bfloat16":
        return weight
    return (
        (np.abs(rng(seed).standard_normal(weight.shape)) * scale + 0.1).astype("float32")
        if weight.ndim < 2
        else (rng(seed).standard_normal(weight.shape) * scale).astype("float32")
    )


def ids():
    """Padded rows of word ids, one of them without a word."""
    return np.array(
        [[3, 5, 2, 7, 0, 0], [4, 1, 0, 0, 0, 0], [2, 6, 3, 1, 5, 2], [0, 0, 0, 0, 0, 0]], dtype="int32"
    )


def text(mask=True, name="ids", width=4):
    """An input of six ids, and its embedding."""
    first = keras.Input((6,), dtype="int32", name=name)
    return first, layers.Embedding(9, width, mask_zero=mask, name=f"embedded_{name}")(first)


def outcome(function):
    """What a call gives, or the class of its error."""
    try:
        return function()
    except Exception as error:
        return type(error).__name__


def accepted(function):
    """`accepted`, or the class of the error that a call raises."""
    try:
        function()
        return "accepted"
    except Exception as error:
        return type(error).__name__


def numbers(tensor):
    """A tensor of any backend as a NumPy array of float32 (bfloat16 included)."""
    if hasattr(tensor, "detach"):
        return tensor.detach().float().cpu().numpy()
    array = np.asarray(keras.ops.convert_to_numpy(tensor) if hasattr(keras, "ops") else tensor)
    return array.astype("float32")
