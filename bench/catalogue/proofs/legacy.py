"""Proofs of what Keras 3 does otherwise than tf_keras."""

import numpy as np
from common import fill, keras, layers, normal


def hard_sigmoid():
    """The activation itself, and the sigmoid beside it."""
    x = np.linspace(-4, 4, 9).astype("float32")
    shown, control = (np.array(layers.Activation(name)(x)) for name in ("hard_sigmoid", "sigmoid"))
    return {"shown": shown, "control": control}


def conv_lstm_default():
    """A ConvLSTM with its default gates, and one whose gates are named."""

    def run(**options):
        model = fill(keras.Sequential([keras.Input((3, 4, 4, 1)), layers.ConvLSTM2D(2, 3, **options)]))
        return model(normal(1, 3, 4, 4, 1)).numpy()

    return {"shown": run(), "control": run(recurrent_activation="sigmoid")}


def _moving(x):
    layer = layers.BatchNormalization(momentum=0.0)
    layer.build(x.shape)
    layer(x, training=True)
    return layer.get_weights()[3]


def moving_variance():
    """The moving variance of images, and of vectors."""
    return {"shown": _moving(normal(2, 2, 2, 3)), "control": _moving(normal(8, 3))}


def fused_normalisation():
    """The last bits of a normalised image; vectors agree."""

    def run(*shape):
        layer = layers.BatchNormalization()
        layer.build((None, *shape))
        layer.set_weights([normal(shape[-1], seed=n) ** 2 + 0.3 for n in range(4)])
        return layer(normal(4, *shape) * 3).numpy()

    return {"shown": run(5, 5, 8), "control": run(8)}


def input_dropout():
    """How many different masks an LSTM's input dropout draws over time, in one call."""

    def run(rate):
        keras.utils.set_random_seed(0)
        layer = layers.LSTM(64, return_sequences=True, dropout=rate)
        layer.build((1, 6, 64))
        none = np.zeros((64, 64), "float32")
        kernel = np.concatenate([none, none, np.eye(64, dtype="float32"), none], 1)
        bias = np.repeat(np.array([9.0, -30.0, 0.0, 9.0], "float32"), 64)  # in, not kept, candidate, out
        layer.set_weights([kernel, np.zeros((64, 256), "float32"), bias])
        steps = np.array(layer(np.ones((1, 6, 64), "float32"), training=True))[0]
        return float(len({tuple(step < 0.1) for step in steps}))

    return {"shown": run(0.5), "control": run(0.0)}


def saturated_crossentropy():
    """The cross-entropy of a probability of exactly 0, and of one between."""
    loss = keras.losses.BinaryCrossentropy()
    one = np.ones((1, 1), "float32")
    return {"shown": float(loss(one, one * 0)), "control": float(loss(one, one * np.float32(0.3)))}


def tiny_cosine():
    """The cosine loss of tiny vectors, and of vectors of length 1."""
    loss = keras.losses.CosineSimilarity()
    x, y = np.array([[1.0, 0.2]], "float32"), np.array([[0.9, 0.1]], "float32")
    return {"shown": float(loss(x * 1e-6, y * 1e-6)), "control": float(loss(x, y))}


def offset_norm():
    """LayerNormalization of numbers far from 0, and near."""

    def run(offset):
        layer = layers.LayerNormalization()
        return np.array(layer(normal(4, 24) + np.float32(offset)))

    return {"shown": run(3000.0), "control": run(0.0)}


def dropout_draws():
    """What a seeded Dropout drops; and what it keeps where its rate is 0."""

    def run(rate):
        layer = layers.Dropout(rate, seed=7)
        return np.array(layer(np.ones((1, 200), "float32"), training=True))

    return {"shown": run(0.5), "control": run(0.0)}


def optimizer_average():
    """Four steps of SGD with and without a moving average of the weights."""

    def run(**options):
        model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
        model.set_weights([np.ones((1, 1), "float32")])
        model.compile(keras.optimizers.SGD(0.01, **options), "mse")
        rows = np.ones((4, 1), "float32")
        model.fit(rows, rows * 0, batch_size=1, epochs=1, shuffle=False, verbose=0)
        return model.get_weights()[0]

    return {"shown": run(use_ema=True, ema_momentum=0.5), "control": run()}


def activity_penalty():
    """The loss with an activity regularizer, and without."""

    def run(**options):
        model = keras.Sequential([keras.Input((2,)), layers.Dense(2, kernel_initializer="ones", **options)])
        model.compile("sgd", "mse")
        rows = np.ones((4, 2), "float32")
        return model.evaluate(rows, rows, batch_size=4, verbose=0)

    return {"shown": run(activity_regularizer=keras.regularizers.L2(0.1)), "control": run()}


def jit_default():
    """What `compile` does by default about XLA, and when it is told."""
    import inspect

    default = inspect.signature(keras.Model.compile).parameters.get("jit_compile")
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=False)
    return {"shown": str(default and default.default), "control": str(bool(model.jit_compile))}
