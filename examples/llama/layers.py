"""The layers of a Llama, as a third-party library would write them: Keras 3, any backend, any dtype policy.

Every cast is spelled out, so that the rules by which Keras releases promote dtypes do not matter here.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_register = keras.saving.register_keras_serializable(package="llama")


@_register
def causal_mask(ids: Any) -> Any:
    """Boolean (batch, length, length), true where a position may be looked at: itself and those before it."""
    steps = ops.arange(ops.shape(ids)[1])
    allowed = ops.expand_dims(steps, 1) >= ops.expand_dims(steps, 0)
    every = ops.ones_like(ids, dtype="bool")  # brings in the batch
    return ops.logical_and(ops.expand_dims(allowed, 0), ops.expand_dims(every, 1))


@_register
def mask_shape(ids_shape: Any) -> Any:
    """Shape of the mask. A function, because 3.3.3 cannot read back a Lambda whose shape is a tuple."""
    return (ids_shape[0], ids_shape[1], ids_shape[1])


@_register
class RMSNormalization(keras.layers.Layer):
    """Root mean square normalisation over the last axis, in float32 (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, epsilon: float = 1e-6, **options: Any) -> None:
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(name="scale", shape=(input_shape[-1],), initializer="ones")
        self.built = True

    def call(self, hidden: Any) -> Any:
        wide = ops.cast(hidden, "float32")
        power = ops.mean(ops.square(wide), axis=-1, keepdims=True)
        scale = ops.cast(ops.convert_to_tensor(self.scale), "float32")
        return ops.cast(wide * ops.rsqrt(power + self.epsilon) * scale, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


@_register
class RotaryEmbedding(keras.layers.Layer):
    """Rotates pairs of features by position (https://arxiv.org/abs/2104.09864): (batch, length, heads, n)."""

    def __init__(self, wavelength: float = 10000.0, **options: Any) -> None:
        super().__init__(**options)
        self.wavelength = wavelength

    def build(self, input_shape: Any) -> None:
        self.built = True

    def call(self, heads: Any) -> Any:
        half = heads.shape[-1] // 2
        exponents = ops.arange(half, dtype="float32") / half
        steps = ops.cast(ops.arange(ops.shape(heads)[1]), "float32")
        angles = ops.expand_dims(steps, 1) * ops.expand_dims(self.wavelength**-exponents, 0)
        cosine, sine = ops.cos(angles)[None, :, None, :], ops.sin(angles)[None, :, None, :]
        wide = ops.cast(heads, "float32")
        left, right = wide[..., :half], wide[..., half:]
        turned = ops.concatenate([left * cosine - right * sine, right * cosine + left * sine], axis=-1)
        return ops.cast(turned, self.compute_dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "wavelength": self.wavelength}


@_register
class GroupedQueryAttention(keras.layers.Layer):
    """Attention in which several query heads share a key and value head (https://arxiv.org/abs/2305.13245).

    `attention="mask"` goes by the mask it is given, by the common convention: a boolean mask says what may
    be looked at, any other is a bias added to the scores. `attention="causal"` builds the causal mask
    itself and ignores the given one.
    """

    def __init__(self, heads: int, groups: int, *, attention: str = "mask", **options: Any) -> None:
        super().__init__(**options)
        if attention not in ("mask", "causal"):
            raise ValueError(f'attention must be "mask" or "causal", not {attention!r}')
        self.heads, self.groups, self.attention = heads, groups, attention

    def build(self, hidden_shape: Any, *_others: Any) -> None:
        width = hidden_shape[-1]
        self.size = width // self.heads
        self.query = self._dense(self.heads * self.size, width, "query")
        self.key = self._dense(self.groups * self.size, width, "key")
        self.value = self._dense(self.groups * self.size, width, "value")
        self.output_dense = self._dense(width, self.heads * self.size, "output_dense")
        self.rotary = RotaryEmbedding(dtype=self.dtype_policy, name="rotary")
        self.built = True

    def _dense(self, units: int, width: int, name: str) -> keras.layers.Dense:
        dense = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name=name)
        dense.build((None, None, width))
        return dense

    def call(self, hidden: Any, attention_mask: Any) -> Any:
        query = ops.transpose(self.rotary(self._split(self.query(hidden), self.heads)), (0, 2, 1, 3))
        key = self._share(self.rotary(self._split(self.key(hidden), self.groups)))
        value = self._share(self._split(self.value(hidden), self.groups))
        scores = ops.cast(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))), "float32") * self.size**-0.5
        weights = ops.softmax(self._masked(scores, attention_mask), axis=-1)
        mixed = ops.matmul(ops.cast(weights, self.compute_dtype), value)
        length = ops.shape(hidden)[1]
        joined = ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, length, self.heads * self.size))
        return self.output_dense(joined)

    def _masked(self, scores: Any, mask: Any) -> Any:
        if self.attention == "causal":
            steps = ops.arange(ops.shape(scores)[2])
            causal = ops.expand_dims(steps, 1) >= ops.expand_dims(steps, 0)
            return ops.where(causal[None, None], scores, -1e9)
        mask = ops.expand_dims(mask, 1)
        if keras.backend.standardize_dtype(mask.dtype) == "bool":
            return ops.where(mask, scores, -1e9)
        return scores + ops.cast(mask, "float32")

    def _split(self, features: Any, heads: int) -> Any:
        return ops.reshape(features, (-1, ops.shape(features)[1], heads, self.size))

    def _share(self, heads: Any) -> Any:
        shared = ops.repeat(heads, self.heads // self.groups, axis=2)
        return ops.transpose(shared, (0, 2, 1, 3))

    def compute_output_shape(self, hidden_shape: Any, *_others: Any, **_named: Any) -> Any:
        return hidden_shape

    def get_config(self) -> dict[str, Any]:
        own = {"heads": self.heads, "groups": self.groups, "attention": self.attention}
        return {**super().get_config(), **own}


@_register
class SwiGLU(keras.layers.Layer):
    """The gated feed-forward block (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        self.gate = self._dense(self.units, width, "gate")
        self.up = self._dense(self.units, width, "up")
        self.down = self._dense(width, self.units, "down")
        self.built = True

    def _dense(self, units: int, width: int, name: str) -> keras.layers.Dense:
        dense = keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name=name)
        dense.build((None, None, width))
        return dense

    def call(self, hidden: Any) -> Any:
        return self.down(ops.silu(self.gate(hidden)) * self.up(hidden))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
