"""Models of a few layers whose numbers one release of Keras changed."""

from __future__ import annotations

import keras
import numpy as np


def _filled(model: keras.Model, seed: int = 3) -> keras.Model:
    """Weights that do not depend on the release's initialisers."""
    random = np.random.default_rng(seed)
    model.set_weights(
        [random.normal(0, 0.3, weight.shape).astype("float32") for weight in model.get_weights()]
    )
    return model


class Attention(keras.layers.Layer):
    """`dot_product_attention` in float16: since 3.7.0 the scale is cast instead of the logits."""

    def call(self, inputs):
        heads = keras.ops.reshape(inputs, (-1, 8, 2, 8))
        return keras.ops.nn.dot_product_attention(heads, heads * 0.5, heads + 0.1)


def attention() -> keras.Model:
    inputs = keras.Input((8, 16))
    return keras.Model(inputs, Attention(dtype="float16")(inputs))


def unit_normalization() -> keras.Model:
    """Since 3.6.0 a tiny vector is normalised, too."""
    inputs = keras.Input((8, 16))
    small = keras.layers.Rescaling(1e-7)(inputs)
    return keras.Model(inputs, keras.layers.UnitNormalization(axis=-1)(small))


class MaskedSoftmax(keras.layers.Layer):
    """Since 3.10.0 a row that is masked as a whole is no softmax of what it hides."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.softmax = keras.layers.Softmax()

    def call(self, inputs):
        return self.softmax(inputs, mask=keras.ops.zeros_like(inputs, dtype="bool"))


def masked_softmax() -> keras.Model:
    inputs = keras.Input((8, 16))
    return keras.Model(inputs, MaskedSoftmax()(inputs))


def multi_head_attention() -> keras.Model:
    """In bfloat16, two commits of 3.7.0 and one of 3.8.0 each change it."""
    inputs = keras.Input((8, 16))
    heads = keras.layers.MultiHeadAttention(2, 8, dtype="bfloat16")
    return _filled(keras.Model(inputs, heads(inputs, inputs)))


def merged_mask() -> keras.Model:
    """Since 3.4.0 a merge layer hands the mask on."""
    ids = keras.Input((8,), dtype="int32")
    embedded = keras.layers.Embedding(32, 16, mask_zero=True)(ids)
    added = keras.layers.Add()([embedded, keras.layers.Dense(16)(embedded)])
    return _filled(keras.Model(ids, keras.layers.LSTM(8)(added)))


def regularised() -> keras.Model:
    """Trained, it differs since 3.14.0: the loss of an activity is divided by the size of the batch."""
    inputs = keras.Input((8, 16))
    flat = keras.layers.Flatten()(inputs)
    hidden = keras.layers.Dense(8, activation="relu", activity_regularizer=keras.regularizers.L2(0.1))(flat)
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    return _filled(model)


def accumulated() -> keras.Model:
    """Trained, it differs since 3.5.0: of accumulated gradients the sum is clipped, not each."""
    inputs = keras.Input((8, 16))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))
    optimizer = keras.optimizers.SGD(0.01, clipnorm=0.1, gradient_accumulation_steps=2)
    model.compile(optimizer=optimizer, loss="mse")
    return _filled(model)


def features() -> dict[str, np.ndarray]:
    return {"inputs": np.random.default_rng(1).normal(0, 1, (8, 8, 16)).astype("float32")}


def tokens() -> dict[str, np.ndarray]:
    ids = np.random.default_rng(2).integers(1, 32, (8, 8)).astype("int32")
    ids[:, 5:] = 0
    return {"ids": ids}


def targets() -> dict[str, np.ndarray]:
    return {"targets": np.random.default_rng(4).normal(0, 1, (8, 1)).astype("float32")}


def numpy_alone() -> keras.Model:
    """Scales by another number with NumPy 2.3.2 and newer: stands for a package that moves the numbers."""
    return _scaled(2.0 if _release(np.__version__) >= (2, 3, 2) else 1.0)


def only_together() -> keras.Model:
    """Scales by another number where both Keras and NumPy are new."""
    both = _release(np.__version__) >= (2, 3, 2) and _release(keras.__version__) >= (3, 15)
    return _scaled(2.0 if both else 1.0)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3])


def _scaled(factor: float) -> keras.Model:
    inputs = keras.Input((8, 16))
    return keras.Model(inputs, keras.layers.Rescaling(factor)(inputs))
