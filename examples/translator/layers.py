"""The attention of the translator: a custom layer that runs under tf_keras and Keras 3 alike."""

from __future__ import annotations

from typing import Any

from which_keras import LEGACY, keras

if LEGACY:  # tf_keras has no `ops`
    import tensorflow as tf

    _matmul, _softmax, _where, _concatenate = tf.matmul, tf.nn.softmax, tf.where, tf.concat
else:
    _matmul, _softmax = keras.ops.matmul, keras.ops.softmax
    _where, _concatenate = keras.ops.where, keras.ops.concatenate


@keras.saving.register_keras_serializable(package="translator")
class Attention(keras.layers.Layer):
    """Luong's attention, "general" score (https://arxiv.org/abs/1508.04025), and the mixing after it.

    Called with the decoder's states (batch, target, units), the encoder's states (batch, source, units)
    and the source ids (batch, source); the id 0 is padding and gets no attention. The padding comes from
    the ids, not from Keras' masks, because which layers hand a mask on has changed between releases. The
    mask of the decoder's states is the mask of the result (batch, target, units).
    """

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.supports_masking = True
        self.score = keras.layers.Dense(units, use_bias=False, name="score")
        self.mix = keras.layers.Dense(units, activation="tanh", name="mix")

    def build(self, input_shape: Any) -> None:
        self.score.build((None, None, self.units))
        self.mix.build((None, None, 2 * self.units))
        self.built = True

    def call(self, decoder: Any, encoder: Any, source: Any) -> Any:
        scores = _matmul(decoder, self._transpose(self.score(encoder)))
        scores = _where((source != 0)[:, None, :], scores, -1e9)  # finite: a row of padding stays finite
        context = _matmul(_softmax(scores), encoder)
        return self.mix(_concatenate([decoder, context], -1))

    @staticmethod
    def _transpose(states: Any) -> Any:
        return tf.transpose(states, (0, 2, 1)) if LEGACY else keras.ops.transpose(states, (0, 2, 1))

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return mask[0] if isinstance(mask, (list, tuple)) else mask

    def compute_output_shape(self, decoder_shape: Any, *_others: Any, **_named: Any) -> Any:
        return (*decoder_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units}
