"""Builders whose candidate (Keras 3.5.0) carries one planted change. Column 0 of the inputs numbers the samples."""

import os

import keras
import numpy as np
from keras import layers, ops

CANDIDATE = keras.__version__.startswith("3.5")
HERE = os.path.dirname(os.path.abspath(__file__))


def weights(*shape, seed=0, scale=0.3):
    return (np.random.RandomState(seed).standard_normal(shape) * scale).astype("float32")


class Planted(layers.Layer):
    """In the candidate, changes what goes through it; `x` are the model's inputs."""

    def __init__(self, change, **kwargs):
        super().__init__(**kwargs)
        self.change = change

    def call(self, y, x):
        return self.change(y, x) if CANDIDATE else y


class Either(layers.Layer):
    """The same function, computed in another way in the candidate."""

    def __init__(self, baseline, candidate, **kwargs):
        super().__init__(**kwargs)
        self.baseline, self.candidate = baseline, candidate

    def call(self, x):
        return self.candidate(x) if CANDIDATE else self.baseline(x)


def dense(x, units, activation=None, seed=0, name=None):
    layer = layers.Dense(units, activation, name=name)
    y = layer(x)
    layer.set_weights([weights(x.shape[-1], units, seed=seed), weights(units, seed=seed + 1)])
    return y


def features():
    """The inputs, and the part of them that models compute with."""
    x = keras.Input((8,), name="features")
    return x, x[:, 1:]


def probabilities(seed=0):
    x, v = features()
    return x, dense(dense(v, 16, "tanh", seed), 10, "softmax", seed + 5)


def sound():
    x, y = probabilities()
    return keras.Model(x, y)


def at_row(x, number, changed, kept):
    """`changed` for the sample of that number, `kept` for all others."""
    hit = ops.equal(x[:, 0], float(number))
    return ops.where(ops.reshape(hit, (-1,) + (1,) * (len(kept.shape) - 1)), changed, kept)


def at(y, axis, number, changed):
    """`changed` at one place of the last or second axis, `y` elsewhere."""
    shape = [1] * len(y.shape)
    shape[axis] = y.shape[axis]
    hit = np.zeros(shape, "bool")
    hit[tuple(number if i == axis % len(shape) else 0 for i in range(len(shape)))] = True
    return ops.where(hit, changed, y)


NAN, INF = float("nan"), float("inf")
#: Changes of ten probabilities of each sample.
ROWS = {
    "all-off-by-1-percent": lambda y, x: y * 1.01,
    "all-off-by-a-thousandth": lambda y, x: y * 1.001,
    "all-doubled": lambda y, x: y * 2.0,
    "all-negated": lambda y, x: -y,
    "all-shifted": lambda y, x: y + 1e-3,
    "all-zero": lambda y, x: y * 0.0,
    "all-one-value": lambda y, x: y * 0.0 + 0.1,
    "all-nan": lambda y, x: y * NAN,
    "all-infinite": lambda y, x: y * 0.0 + INF,
    "column-shifted": lambda y, x: at(y, -1, 3, y + 0.05),
    "column-off-by-2-percent": lambda y, x: at(y, -1, 3, y * 1.02),
    "column-zero": lambda y, x: at(y, -1, 9, y * 0.0),
    "column-nan": lambda y, x: at(y, -1, 0, y * NAN),
    "columns-swapped": lambda y, x: ops.take(y, [1, 0, 2, 3, 4, 5, 6, 7, 8, 9], -1),
    "columns-reversed": lambda y, x: ops.flip(y, -1),
    "columns-rolled": lambda y, x: ops.roll(y, 1, -1),
    "columns-sorted": lambda y, x: ops.sort(y, -1),
    "column-copied": lambda y, x: ops.take(y, [0, 1, 2, 3, 3, 5, 6, 7, 8, 9], -1),
    "row-off-by-5-percent": lambda y, x: at_row(x, 7, y * 1.05, y),
    "row-zero": lambda y, x: at_row(x, 7, y * 0.0, y),
    "row-negated": lambda y, x: at_row(x, 7, -y, y),
    "row-nan": lambda y, x: at_row(x, 7, y * NAN, y),
    "row-infinite": lambda y, x: at_row(x, 7, y * 0.0 + INF, y),
    "row-of-its-neighbour": lambda y, x: at_row(x, 7, ops.roll(y, 1, 0), y),
    "last-row-off": lambda y, x: at_row(x, 299, y * 1.05, y),
    "first-row-off": lambda y, x: at_row(x, 0, y * 1.05, y),
    "rows-reversed-in-a-batch": lambda y, x: ops.flip(y, 0),
    "rows-rolled-in-a-batch": lambda y, x: ops.roll(y, 1, 0),
    "row-repeated-in-a-batch": lambda y, x: y * 0.0 + y[:1],
    "batch-mean-removed": lambda y, x: y - ops.mean(y, 0, keepdims=True),
    "half-of-the-rows": lambda y, x: ops.where(x[:, :1] < 150.0, y, y * 1.01),
    "element-off": lambda y, x: at_row(x, 7, at(y, -1, 3, y + 0.1), y),
    "element-off-a-little": lambda y, x: at_row(x, 7, at(y, -1, 3, y * 1.01), y),
    "element-nan": lambda y, x: at_row(x, 7, at(y, -1, 3, y * NAN), y),
    "element-infinite": lambda y, x: at_row(x, 7, at(y, -1, 3, y * 0.0 + INF), y),
    "element-negative-infinite": lambda y, x: at_row(x, 7, at(y, -1, 3, y * 0.0 - INF), y),
    "element-zero": lambda y, x: at_row(x, 7, at(y, -1, 3, y * 0.0), y),
    "rounded-to-3-digits": lambda y, x: ops.round(y * 1000.0) / 1000.0,
    "through-bfloat16": lambda y, x: ops.cast(ops.cast(y, "bfloat16"), "float32"),
    "through-float16": lambda y, x: ops.cast(ops.cast(y, "float16"), "float32"),
    "clipped": lambda y, x: ops.clip(y, 0.02, 0.98),
    "sharpened": lambda y, x: ops.softmax(ops.log(y) * 1.02),
    "in-logarithms": lambda y, x: ops.log(y),
    "squared": lambda y, x: y * y,
    "top-1-alone": lambda y, x: ops.one_hot(ops.argmax(y, -1), 10),
    "not-normalised": lambda y, x: y / ops.max(y, -1, keepdims=True),
    "rippled": lambda y, x: y + 1e-3 * ops.sin(1e3 * y),
    "tiny-values-lost": lambda y, x: ops.where(y < 0.01, y * 0.0, y),
}
#: Changes of twelve steps of four numbers each.
STEPS = {
    "last-step-off": lambda y, x: at(y, 1, 11, y * 1.05),
    "first-step-off": lambda y, x: at(y, 1, 0, y * 1.05),
    "last-step-zero": lambda y, x: at(y, 1, 11, y * 0.0),
    "last-step-nan": lambda y, x: at(y, 1, 11, y * NAN),
    "steps-rolled": lambda y, x: ops.roll(y, 1, 1),
    "steps-reversed": lambda y, x: ops.flip(y, 1),
    "last-step-repeated": lambda y, x: at(y, 1, 11, ops.roll(y, 1, 1)),
    "steps-added-up": lambda y, x: ops.cumsum(y, 1),
    "step-of-one-row-off": lambda y, x: at_row(x, 7, at(y, 1, 11, y * 1.1), y),
}
#: Changes of a thousand probabilities of about a thousandth.
CLASSES = {
    "one-class-of-1000-half-again": lambda y, x: at(y, -1, 517, y * 1.5),
    "one-class-of-1000-zero": lambda y, x: at(y, -1, 517, y * 0.0),
    "two-classes-of-1000-swapped": lambda y, x: ops.take(y, [1, 0, *range(2, 1000)], -1),
    "one-class-of-1000-in-one-row": lambda y, x: at_row(x, 7, at(y, -1, 517, y * 2.0), y),
}


def outputs(table):
    """One output for each change of a table, and one without."""
    x, v = features()
    changes = {"rows": ROWS, "steps": STEPS, "classes": CLASSES}[table]
    y = dense(
        dense(v, 16, "tanh"),
        {"rows": 10, "steps": 48, "classes": 1000}[table],
        None if table == "steps" else "softmax",
        5,
    )
    y = layers.Reshape((12, 4))(y) if table == "steps" else y
    named = {name: Planted(change, name="planted_" + name)(y, x) for name, change in changes.items()}
    return keras.Model(x, {**named, "untouched": Planted(lambda y, x: y, name="untouched")(y, x)})


#: Functions that rounding alone tells apart.
SAME = {
    "sum-reordered": (lambda v: ops.sum(v * v, -1), lambda v: ops.sum(ops.flip(v * v, -1), -1)),
    "sum-in-two-parts": (lambda v: ops.sum(v, -1), lambda v: ops.sum(v[:, :3], -1) + ops.sum(v[:, 3:], -1)),
    "product-split": (
        lambda v: ops.matmul(v, weights(7, 5)),
        lambda v: ops.matmul(v[:, :3], weights(7, 5)[:3]) + ops.matmul(v[:, 3:], weights(7, 5)[3:]),
    ),
    "mean-as-sum": (lambda v: ops.mean(v, -1), lambda v: ops.sum(v, -1) / 7.0),
    "softmax-by-hand": (
        lambda v: ops.softmax(v),
        lambda v: ops.exp(v) / ops.sum(ops.exp(v), -1, keepdims=True),
    ),
    "distributed": (lambda v: (v + 1.0) * 3.0, lambda v: v * 3.0 + 3.0),
    "sigmoid-by-tanh": (lambda v: ops.sigmoid(v), lambda v: 0.5 * (ops.tanh(0.5 * v) + 1.0)),
    "divided-by-product": (lambda v: v / 3.0, lambda v: v * np.float32(1 / 3)),
    "in-float64-inside": (
        lambda v: ops.sum(v * v, -1),
        lambda v: ops.cast(ops.sum(ops.cast(v * v, "float64"), -1), "float32"),
    ),
    "identity-twice": (lambda v: ops.tanh(v), lambda v: ops.flip(ops.tanh(ops.flip(v, -1)), -1)),
}


def same(name):
    x, v = features()
    y = Either(*SAME[name])(dense(v, 7, "tanh"))
    return keras.Model(x, y)


def in_training(kind):
    """The class of a layer that is in training mode in the candidate, whatever the model is in."""

    class InTraining(kind):
        def call(self, inputs, training=None):
            return super().call(inputs, training=CANDIDATE)

    return InTraining


def beside_huge(x, hidden):
    """Small columns, 20 % larger in the candidate, beside columns that are 1e15 times as large."""
    a = weights(16, 4, seed=7)
    b = a + 1e-6 * weights(16, 4, seed=8)

    def small(factor):
        return lambda h: ops.concatenate([factor * (ops.matmul(h, b) - ops.matmul(h, a)), 1e10 * h[:, :3]], 1)

    return keras.Model(x, Either(small(1.0), small(1.2))(hidden))


def own_predict(x, hidden):
    """A model that predicts by a method of its own, otherwise in the candidate."""
    model = keras.Model(x, dense(hidden, 5, None, 3))
    predict = model.predict
    model.predict = lambda *given, **more: predict(*given, **more) * (1.01 if CANDIDATE else 1.0)
    return model


def variant(change):
    """A model of another form, type or setting in the candidate."""
    x, v = features()
    c = CANDIDATE
    hidden = dense(v, 16, "tanh")
    if change in ("small-beside-huge", "own-predict"):
        return (own_predict if change == "own-predict" else beside_huge)(x, hidden)
    if change == "epsilon":
        return keras.Model(x, layers.LayerNormalization(epsilon=1e-2 if c else 1e-3)(hidden))
    if change == "gelu":
        return keras.Model(
            x,
            Either(lambda h: ops.gelu(h, approximate=False), lambda h: ops.gelu(h, approximate=True))(hidden),
        )
    if change == "activation":
        return keras.Model(x, dense(hidden, 5, "elu" if c else "relu", 3))
    if change == "dropout-active":
        return keras.Model(x, in_training(layers.Dropout)(0.5)(hidden))
    if change == "noise-added":
        return keras.Model(x, in_training(layers.GaussianNoise)(0.01)(hidden))
    if change == "bias-dropped":
        y = dense(hidden, 5, None, 3)
        return keras.Model(x, y - weights(5, seed=4) if c else y)
    if change == "layer-dropped":
        return keras.Model(x, dense(v if c else hidden, 5, None, 3))
    if change == "batch-statistics":
        return keras.Model(x, in_training(layers.BatchNormalization)()(hidden))
    y = dense(hidden, 5, "softmax", 3)
    z = dense(hidden, 1, None, 9)
    forms = {
        "float64": lambda: (y, ops.cast(y, "float64")),
        "float16": lambda: (y, ops.cast(y, "float16")),
        "integers": lambda: (y, ops.cast(y * 100, "int32")),
        "one-more-column": lambda: (y, ops.concatenate([y, y[:, :1]], -1)),
        "one-column-less": lambda: (y, y[:, :4]),
        "one-more-axis": lambda: (y, ops.expand_dims(y, 1)),
        "squeezed": lambda: (z, ops.squeeze(z, -1)),
        "transposed": lambda: (
            ops.reshape(dense(hidden, 12, None, 3), (-1, 3, 4)),
            ops.transpose(ops.reshape(dense(hidden, 12, None, 3), (-1, 3, 4)), (0, 2, 1)),
        ),
        "samples-summed": lambda: (y, ops.sum(y, 0, keepdims=True)),
        "samples-doubled": lambda: (y, ops.concatenate([y, y], 0)),
        "sample-dropped": lambda: (y, y[1:]),
        "one-number": lambda: (y, ops.sum(y)),
        "output-missing": lambda: ({"a": y, "b": z}, {"a": y}),
        "output-extra": lambda: ({"a": y}, {"a": y, "b": z}),
        "output-renamed": lambda: ({"a": y, "b": z}, {"a": y, "c": z}),
        "outputs-swapped": lambda: ({"a": y, "b": y * 2}, {"a": y * 2, "b": y}),
        "outputs-reordered": lambda: ([y, y * 2], [y * 2, y]),
        "list-to-dict": lambda: ([y, z], {"a": y, "b": z}),
        "labels-off-by-one": lambda: (ops.argmax(y, -1), ops.argmax(y, -1) + 1),
        "one-label-other": lambda: (
            ops.argmax(y, -1),
            at_row(x, 7, 4 - ops.argmax(y, -1) % 4, ops.argmax(y, -1)),
        ),
        "labels-int32": lambda: (ops.cast(ops.argmax(y, -1), "int64"), ops.cast(ops.argmax(y, -1), "int32")),
        "one-boolean-other": lambda: (y > 0.2, at_row(x, 7, y <= 0.2, y > 0.2)),
        "threshold-moved": lambda: (y > 0.2, y > 0.21),
    }
    return keras.Model(x, forms[change]()[c])


#: Parameters of `compile`: of the baseline, and of the candidate.
def compilations():
    def mse(t, p):
        return ops.mean(ops.square(ops.cast(t, p.dtype) - p[:, 0]))

    def named(function, name):
        function.__name__ = name
        return function

    def off(factor, name="distance"):
        return named(lambda t, p: ops.mean(ops.abs(ops.cast(t, p.dtype) - p[:, 0]), -1) * factor, name)

    def raising(t, p):
        raise RuntimeError("this metric fails")

    def compiled(loss=mse, metrics=(), **more):
        return {"loss": loss, "metrics": list(metrics), **more}

    entropy = "sparse_categorical_crossentropy"
    return {
        "loss-nan": (compiled(), compiled(lambda t, p: mse(t, p) * NAN)),
        "loss-infinite": (compiled(), compiled(lambda t, p: mse(t, p) * 0.0 + INF)),
        "loss-doubled": (compiled(), compiled(lambda t, p: mse(t, p) * 2.0)),
        "loss-off-by-1-percent": (compiled(), compiled(lambda t, p: mse(t, p) * 1.01)),
        "loss-negated": (compiled(), compiled(lambda t, p: -mse(t, p))),
        "loss-zero": (compiled(), compiled(lambda t, p: mse(t, p) * 0.0)),
        "loss-constant": (compiled(), compiled(lambda t, p: mse(t, p) * 0.0 + 1.0)),
        "loss-raises": (compiled(), compiled(raising)),
        "loss-other": (compiled(entropy), compiled("categorical_hinge")),
        "tiny-loss-doubled": (
            compiled(lambda t, p: mse(t, p) * 1e-6),
            compiled(lambda t, p: mse(t, p) * 2e-6),
        ),
        "tiny-loss-gone": (compiled(lambda t, p: mse(t, p) * 1e-6), compiled(lambda t, p: mse(t, p) * 0.0)),
        "metric-nan": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(NAN)])),
        "metric-infinite": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(INF)])),
        "metric-doubled": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(2.0)])),
        "metric-off-by-1-percent": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(1.01)])),
        "tiny-metric-doubled": (compiled(metrics=[off(1e-6)]), compiled(metrics=[off(2e-6)])),
        "metric-zero": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(0.0)])),
        "metric-negated": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(-1.0)])),
        "metric-gone": (compiled(entropy, ["accuracy"]), compiled(entropy)),
        "metric-renamed": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(1.0, "length")])),
        "metric-raises": (compiled(metrics=[off(1.0)]), compiled(metrics=[named(raising, "distance")])),
        "metric-weighted": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(1.5)])),
        "two-metrics-swapped": (
            compiled(metrics=[off(1.0, "a"), off(3.0, "b")]),
            compiled(metrics=[off(3.0, "a"), off(1.0, "b")]),
        ),
        "compilation-gone": (compiled(), None),
        "baseline-loss-nan": (compiled(lambda t, p: mse(t, p) * NAN), compiled()),
        "baseline-metric-raises": (
            compiled(metrics=[named(raising, "distance")]),
            compiled(metrics=[off(1.0)]),
        ),
        "unchanged": (compiled(entropy, ["accuracy"]), compiled(entropy, ["accuracy"])),
        "unchanged-own": (compiled(metrics=[off(1.0)]), compiled(metrics=[off(1.0)])),
    }


def compiled(change):
    x, y = probabilities()
    model = keras.Model(x, y)
    settings = compilations()[change][CANDIDATE]
    if settings is not None:
        model.compile(optimizer="sgd", **settings)
    return model


def confused():
    """Predictions that are as good as before, and others: for metrics of one's own."""
    return sound()


def language(change="none"):
    """Predicts the next of twenty tokens from the mean of those before, at every position."""
    x = keras.Input((None,), dtype="int32", name="tokens")
    embedding = layers.Embedding(20, 16)
    v = embedding(x)
    embedding.set_weights([weights(20, 16, seed=2, scale=1.0)])
    v = Either(lambda v: ops.cumsum(v, 1), lambda v: ops.cumsum(v, 1))(v)
    y = dense(ops.tanh(v), 20, None, 3)

    def length(y):
        return ops.expand_dims(ops.arange(ops.shape(y)[1]), -1)

    def best(y):
        return ops.one_hot(ops.argmax(y, -1), 20)

    changes = {
        "none": lambda y: y,
        "next-token": lambda y: ops.roll(y, 1, -1),
        "second-best": lambda y: y - 1e3 * best(y),
        "one-token-banned": lambda y: y - 1e3 * ops.one_hot(ops.argmax(y[:, -1:], -1), 20),
        "one-token-always": lambda y: y + 1e3 * ops.one_hot(5, 20),
        "negated": lambda y: -y,
        "from-the-8th-on": lambda y: ops.where(length(y) >= 7, -y, y),
        "last-step-alone": lambda y: ops.where(length(y) >= 9, ops.roll(y, 3, -1), y),
        "nan": lambda y: y * NAN,
        "nan-from-the-8th-on": lambda y: ops.where(length(y) >= 7, NAN, y),
        "constant": lambda y: y * 0.0,
        "off-by-5-percent": lambda y: y * 1.05 + 0.3 * ops.sin(40 * y),
        "one-position-late": lambda y: ops.roll(y, 1, 1),
        "twenty-one-tokens": lambda y: ops.concatenate([y, y[..., :1]], -1),
        "nineteen-tokens": lambda y: y[..., :19],
        "last-position-alone": lambda y: y[:, -1:],
    }
    y = Planted(lambda y, _: changes[change](y))(y, x)
    if change == "raises-when-long" and CANDIDATE:
        raise ValueError("not reached")
    return keras.Model(x, y)


#: The training of the baseline, and of the candidate.
def trained(change):
    c = CANDIDATE
    x, v = features()
    kernel = weights(16, 10, seed=5) + (0.01 if c and change == "initial-weights" else 0.0)
    hidden = layers.Dense(16, "tanh", name="hidden")
    h = hidden(v)
    hidden.set_weights([weights(7, 16), weights(16, seed=1)])
    if change == "dropout-rate":
        h = layers.Dropout(0.6 if c else 0.2)(h)
    if change == "gradient-stopped" and c:
        h = layers.Lambda(ops.stop_gradient)(h)
    if change == "batch-normalisation":
        h = layers.BatchNormalization(momentum=0.5 if c else 0.99)(h)
    top = layers.Dense(
        10, name="top", kernel_regularizer=keras.regularizers.L2(0.1 if c and change == "penalty" else 1e-3)
    )
    y = top(h)
    top.set_weights([kernel, weights(10, seed=6)])
    if change == "layer-frozen" and c:
        hidden.trainable = False
    model = keras.Model(x, y)
    entropy = keras.losses.SparseCategoricalCrossentropy(
        from_logits=not (c and change == "from-logits"),
        reduction="sum" if c and change == "summed" else "sum_over_batch_size",
    )

    def scaled(t, p):
        return entropy(t, p) * (1.1 if c else 1.0)

    def burst(t, p):
        return entropy(t, p) * (NAN if c else 1.0)

    def raising(t, p):
        if c:
            raise RuntimeError("this loss cannot be computed")
        return entropy(t, p)

    loss = {"loss-scaled": scaled, "loss-nan": burst, "loss-raises": raising}.get(change, entropy)
    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    optimizers = {
        "learning-rate": lambda: sgd(0.11 if c else 0.1),
        "optimizer": lambda: adam(0.01) if c else sgd(0.01),
        "momentum": lambda: sgd(0.1, momentum=0.9 if c else 0.8),
        "nesterov": lambda: sgd(0.1, momentum=0.9, nesterov=c),
        "clipped": lambda: sgd(0.1, clipnorm=0.01 if c else None),
        "decay": lambda: sgd(0.1, weight_decay=0.1 if c else None),
        "beta": lambda: adam(0.01, beta_1=0.5 if c else 0.9),
        "epsilon": lambda: adam(0.01, epsilon=1e-2 if c else 1e-7),
        "schedule": lambda: sgd(keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5 if c else 0.99)),
        "averaged": lambda: sgd(0.1, use_ema=c, ema_overwrite_frequency=1 if c else None),
        "accumulated": lambda: sgd(0.1, gradient_accumulation_steps=2 if c else None),
    }
    model.compile(optimizer=optimizers.get(change, lambda: sgd(0.1))(), loss=loss)
    return model


def classifier():
    """The model that weights files are loaded into: the names of its layers are fixed."""
    x = keras.Input((8,), name="features")
    v = layers.Dense(16, "tanh", name="hidden")(x)
    v = layers.BatchNormalization(name="normal")(v)
    return keras.Model(x, layers.Dense(10, "softmax", name="top")(v), name="classifier")


class Late(keras.Model):
    """Built by its first call."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(16, "tanh")
        self.top = layers.Dense(10, "softmax")

    def call(self, x):
        return self.top(self.hidden(x))


def late():
    return Late()
