"""An encoder-decoder with masked embeddings, GRUs and an attention layer of its own."""

from __future__ import annotations

from which_keras import keras

from translator.data import SOURCE_LENGTH, SOURCE_TOKENS, TARGET_LENGTH, TARGET_TOKENS
from translator.layers import Attention


def build(*, units: int = 64, rate: float = 4e-3) -> keras.Model:
    """The compiled model: `source` ids and `target` ids (teacher forcing) to next-token probabilities.

    The decoder's mask reaches the output, so a Keras that honours it leaves padding out of the loss and
    the reported accuracy.
    """
    layers = keras.layers
    source = keras.Input(shape=(SOURCE_LENGTH,), dtype="int32", name="source")
    target = keras.Input(shape=(TARGET_LENGTH,), dtype="int32", name="target")
    words = layers.Embedding(len(SOURCE_TOKENS), units, mask_zero=True, name="words")(source)
    states = layers.GRU(units, return_sequences=True, name="encoder")(words)
    letters = layers.Embedding(len(TARGET_TOKENS), units, mask_zero=True, name="letters")(target)
    # No initial state: Keras 3 gives a recurrent layer that is called with one no mask, tf_keras does.
    decoded = layers.GRU(units, return_sequences=True, name="decoder")(letters)
    attended = Attention(units, name="attention")(decoded, states, source)
    token = layers.Dense(len(TARGET_TOKENS), activation="softmax", name="token")(attended)
    model = keras.Model([source, target], token, name="translator")
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
