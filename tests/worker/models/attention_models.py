"""Models with and without layers that ask Keras' switch for flash attention. For test_worker_attention."""

import keras


def attending(flash=None):
    x = keras.Input((4,), name="features")
    row = keras.layers.Reshape((2, 2))(x)
    options = {} if flash is None else {"flash_attention": flash}
    return keras.Model(x, keras.layers.MultiHeadAttention(1, 2, name="attend", **options)(row, row))


def dense():
    x = keras.Input((4,), name="features")
    return keras.Model(x, keras.layers.Dense(2)(x))
