"""A CNN with batch normalisation, a separable convolution and GELU."""

from __future__ import annotations

from which_keras import keras

SIZE = 8
CLASSES = 10


def build(*, filters: int = 24, rate: float = 2e-3) -> keras.Model:
    """The compiled model: images (batch, 8, 8, 1) in 0..1 to the probabilities of ten digits."""
    layers = keras.layers
    image = keras.Input(shape=(SIZE, SIZE, 1), name="image")
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name="stem")(image)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.Activation("gelu", name="stem_gelu")(x)
    x = layers.SeparableConv2D(2 * filters, 3, padding="same", use_bias=False, name="separable")(x)
    x = layers.BatchNormalization(name="separable_norm")(x)
    x = layers.Activation("gelu", name="separable_gelu")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Conv2D(2 * filters, 3, padding="same", activation="gelu", name="conv")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    digit = layers.Dense(CLASSES, activation="softmax", name="digit")(x)
    model = keras.Model(image, digit, name="digits")
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model
