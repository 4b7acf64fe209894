"""A decoder-only language model under one dtype policy, bfloat16 unless told otherwise. Keras 3 only."""

from __future__ import annotations

import keras

from llama.data import PAD, VOCABULARY
from llama.layers import GroupedQueryAttention, RMSNormalization, SwiGLU, causal_mask, mask_shape

WIDTH, BLOCKS, HEADS, GROUPS, FEED = 64, 3, 4, 2, 128


def build(*, attention: str = "mask", precision: str = "bfloat16", rate: float = 3e-3) -> keras.Model:
    """The compiled model: ids (batch, length) to the logits of the next word (batch, length, words).

    `attention` is "mask" (attention goes by the mask made in the graph) or "causal" (each attention layer
    makes its own); both are the same model. Padding is left out of the loss.
    """
    layers = keras.layers
    ids = keras.Input(shape=(None,), dtype="int32", name="ids")
    # Declared float32 though the values are boolean, as keras#20189 had it: 3.5.0 to 3.9.2 then cast it.
    mask = layers.Lambda(causal_mask, output_shape=mask_shape, dtype="float32", name="causal_mask")(ids)
    hidden = layers.Embedding(len(VOCABULARY), WIDTH, dtype=precision, name="words")(ids)
    for block in range(BLOCKS):
        normal = RMSNormalization(dtype=precision, name=f"attention_norm_{block}")(hidden)
        attend = GroupedQueryAttention(
            HEADS, GROUPS, attention=attention, dtype=precision, name=f"attention_{block}"
        )
        hidden = layers.Add(dtype=precision, name=f"attended_{block}")([hidden, attend(normal, mask)])
        normal = RMSNormalization(dtype=precision, name=f"feed_norm_{block}")(hidden)
        fed = SwiGLU(FEED, dtype=precision, name=f"feed_{block}")(normal)
        hidden = layers.Add(dtype=precision, name=f"fed_{block}")([hidden, fed])
    normal = RMSNormalization(dtype=precision, name="norm")(hidden)
    logits = layers.Dense(len(VOCABULARY), use_bias=False, dtype=precision, name="logits")(normal)
    model = keras.Model(ids, logits, name="llama")
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=PAD),
    )
    return model
