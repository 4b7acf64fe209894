"""Models of every backend of Keras 3, and what `Operations` make of them. Runs inside the environment."""

import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

MEMBERS = 8


def normal(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


class Apply(layers.Layer):
    """A function of the input."""

    def __init__(self, function, shape=None):
        super().__init__()
        self.function, self.shape = function, shape

    def call(self, x):
        return self.function(x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.shape or x.shape, x.dtype)


class Counter(layers.Layer):
    """Remembers how often it was called."""

    def build(self, shape):
        self.calls = self.add_weight(shape=(1,), initializer="zeros", trainable=False)

    def call(self, x):
        self.calls.assign(self.calls + 1.0)
        return x * 1.1 + self.calls


class Shaken(layers.Layer):
    """Draws from a seed of its own at inference."""

    def __init__(self):
        super().__init__()
        self.seed = keras.random.SeedGenerator(3)

    def call(self, x):
        return x * 1.3 + keras.random.normal(ops.shape(x), seed=self.seed)


def filled(model):
    """Weights that look like trained ones; variances stay positive."""
    random = np.random.default_rng(5)
    for weight in model.weights:
        values = random.standard_normal(weight.shape) * 0.4
        if "count" not in weight.path:
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def chain(*stack, shape=(4,), dtype="float32"):
    x = entry = keras.Input(shape, dtype=dtype)
    for layer in stack:
        x = layer(x)
    return filled(keras.Model(entry, x))


def applied(function, dtype="float32"):
    return lambda: chain(Apply(function), dtype=dtype)


def narrow(policy):
    return chain(layers.Dense(16, "gelu", dtype=policy), layers.Dense(3, dtype=policy))


def attention(policy=None, epsilon=1e-3):
    x = keras.Input((7, 16))
    attended = layers.MultiHeadAttention(2, 8, dtype=policy)(x, x, use_causal_mask=True)
    return filled(keras.Model(x, layers.LayerNormalization(epsilon=epsilon, dtype=policy)(attended)))


def text():
    ids = keras.Input((9,), dtype="int32")
    hidden = layers.SimpleRNN(5)(layers.Embedding(50, 8, mask_zero=True)(ids))
    return filled(keras.Model(ids, layers.Dense(2, activation="softmax")(hidden)))


def several():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    joined = layers.Concatenate()([a, b])
    return filled(keras.Model({"a": a, "b": b}, {"u": layers.Dense(2)(joined), "v": [layers.Dense(1)(a)]}))


def table(ids):
    """Looked up, compared and masked; nothing here rounds."""
    looked = ops.take(ops.convert_to_tensor(np.arange(60, dtype="float32") * 1.1), ops.cast(ids, "int32"))
    return ops.where(ids == 7.0, -1.0, looked) + ops.cast(ids < 20, "float32") * -3e9


def algebra(x):
    solved = ops.solve(x @ ops.transpose(x) + 2 * ops.eye(4), x)
    return ops.concatenate([solved, ops.fft((x, x * 0.3))[0]])


CELLS = normal(6, 7, 3)
IDS = np.random.default_rng(3).integers(0, 50, (6, 9)).astype("int32")
#: name → (builder, inputs)
ROUNDING = {
    "dense": (lambda: chain(layers.Dense(16, activation="tanh"), layers.Dense(3)), normal(6, 4)),
    "lstm": (lambda: chain(layers.LSTM(5, return_sequences=True), layers.GRU(4), shape=(7, 3)), CELLS),
    "text": (text, IDS),
    "attention": (attention, normal(6, 7, 16)),
    "convolution": (
        lambda: chain(
            layers.Conv2D(8, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.DepthwiseConv2D(3),
            layers.GlobalAveragePooling2D(),
            shape=(12, 12, 3),
        ),
        normal(6, 12, 12, 3),
    ),
    "weightless": (applied(ops.softmax), normal(6, 4)),
    "while": (
        applied(
            lambda x: ops.while_loop(lambda n, v: n < 5, lambda n, v: (n + 1, ops.tanh(v * 1.1)), (0, x))[1]
        ),
        normal(6, 4),
    ),
    "cond": (
        applied(lambda x: ops.cond(ops.sum(x) > 0, lambda: ops.exp(x) * 0.7, lambda: ops.sin(x))),
        normal(6, 4),
    ),
    "algebra": (applied(algebra), normal(4, 4)),
    "several": (several, {"a": normal(6, 4), "b": normal(6, 4, seed=2)}),
    "attention_bfloat16": (lambda: attention("bfloat16"), normal(6, 7, 16)),
    "dense_float16": (
        lambda: chain(layers.Dense(16, dtype="float16"), layers.Dense(3, dtype="float16")),
        normal(6, 4),
    ),
    "dense_mixed": (
        lambda: chain(
            layers.Dense(16, "gelu", dtype="mixed_bfloat16"), layers.Dense(3, dtype="mixed_bfloat16")
        ),
        normal(6, 4),
    ),
}
EXACT = {"table": (applied(table), IDS[:, :4].astype("float32"))}
#: A change of the function, of which half precision shows little or nothing.
EDITED = {"epsilon": (lambda: attention("bfloat16", 1.01e-3), normal(6, 7, 16))}
REMEMBERING = {
    "counter": (lambda: chain(Counter()), normal(6, 4)),
    "shaken": (lambda: chain(Shaken()), normal(6, 4)),
}


#: Operations that move, choose or compare numbers; the input has no number that looks exact.
CHOOSING = {
    "absolute": ops.abs,
    "argsort": ops.argsort,
    "broadcast": lambda x: ops.broadcast_to(x, (3, *x.shape)),
    "cast": lambda x: ops.cast(x, "int32"),
    "ceil": ops.ceil,
    "clip": lambda x: ops.clip(x, -0.7, 0.3),
    "concatenate": lambda x: ops.concatenate([x, -x], axis=0),
    "crop": lambda x: layers.Cropping1D(1)(x[None]),
    "diagonal": ops.diagonal,
    "digitize": lambda x: ops.digitize(x, np.array([-0.5, 0.1, 0.9])),
    "embed": lambda x: ops.take(x, ops.argmax(x, -1), axis=0),
    "equal": lambda x: x == x[0],
    "flip": ops.flip,
    "floor": ops.floor,
    "isfinite": ops.isfinite,
    "labels": lambda x: ops.argmax(x, -1),
    "largest": lambda x: ops.max(x, axis=-1),
    "largest_number": lambda x: ops.where(x > 0, x, np.finfo("float32").max) * 1.0,
    "masked": lambda x: x + ops.cast(x > 0, "float32") * -3e9,
    "maximum": lambda x: ops.maximum(x, ops.flip(x, 0)),
    "max_pool_1d": lambda x: ops.max_pool(x[..., None], 2, 1),
    "max_pool_2d": lambda x: ops.max_pool(x[None, ..., None], 2, 1),
    "max_pool_3d": lambda x: ops.max_pool(x[None, None, ..., None], (1, 2, 2), 1),
    "moveaxis": lambda x: ops.moveaxis(x, 0, 1),
    "nan_to_num": ops.nan_to_num,
    "negative": ops.negative,
    "one_hot": lambda x: ops.one_hot(ops.argmax(x, -1), 4),
    "pad": lambda x: ops.pad(x, ((1, 1), (2, 0)), constant_values=0.1),
    "pad_reflected": lambda x: ops.pad(x, ((1, 1), (2, 0)), mode="reflect"),
    "relu": ops.relu,
    "relu6": ops.relu6,
    "repeat": lambda x: ops.repeat(x, 2, axis=1),
    "reshape": lambda x: ops.reshape(x, (-1,)),
    "roll": lambda x: ops.roll(x, 1, axis=0),
    "round": ops.round,
    "scatter": lambda x: ops.scatter_update(x, np.array([[0, 1]]), np.array([0.1], "float32")),
    "sign": ops.sign,
    "slice": lambda x: ops.slice(x, (1, 1), (2, 2)),
    "slice_update": lambda x: ops.slice_update(x, (1, 1), x[:2, :2]),
    "sort": ops.sort,
    "split": lambda x: ops.split(x, 2, axis=1),
    "stack": lambda x: ops.stack([x, x]),
    "take_along": lambda x: ops.take_along_axis(x, ops.argsort(x), axis=-1),
    "tile": lambda x: ops.tile(x, (2, 1)),
    "top_k": lambda x: ops.top_k(x, 2),
    "transpose": ops.transpose,
    "tril": ops.tril,
    "upsample": lambda x: layers.UpSampling1D(2)(x[None]),
    "where": lambda x: ops.where(x > 0.2, x, 0.1),
}
#: Operations that round: each result is some real number's neighbour.
INEXACT = {
    "add": lambda x: x + ops.flip(x, 0) * 0.3,
    "average_pool": lambda x: ops.average_pool(x[..., None], 2, 1),
    "cumsum": lambda x: ops.cumsum(x, axis=1)[:, 1:],
    "determinant": lambda x: ops.linalg.det(x[:4]),
    "divide": lambda x: 1.0 / x,
    "einsum": lambda x: ops.einsum("ab,cb->ac", x, x),
    "elu": lambda x: ops.elu(-ops.abs(x)),
    "erf": ops.erf,
    "exp": ops.exp,
    "inverse": lambda x: ops.linalg.inv(x[:4]),
    "log1p": lambda x: ops.log1p(ops.abs(x)),
    "logsumexp": lambda x: ops.logsumexp(x, axis=-1),
    "mean": lambda x: ops.mean(x, axis=0),
    "multiply": lambda x: x * 1.1,
    "norm": lambda x: ops.norm(x, axis=-1),
    "normalize": ops.normalize,
    "power": lambda x: ops.abs(x) ** 1.3,
    "prod": lambda x: ops.prod(x, axis=0),
    "qr": lambda x: ops.qr(x)[0],
    "rsqrt": lambda x: ops.rsqrt(ops.abs(x)),
    "segment_sum": lambda x: ops.segment_sum(x, np.array([0, 0, 1, 1, 2, 2]), 3),
    "sigmoid": ops.sigmoid,
    "silu": ops.silu,
    "sin": ops.sin,
    "softplus": ops.softplus,
    "sqrt": lambda x: ops.sqrt(ops.abs(x)),
    "subtract": lambda x: x - 0.1,
    "sum": lambda x: ops.sum(x, axis=0),
    "tanh": ops.tanh,
    "variance": lambda x: ops.var(x, axis=0),
}


class Table(keras.Model):
    """The results of many functions by name; it declares no inputs, so that they may return anything."""

    def __init__(self, functions):
        super().__init__()
        self.functions = functions
        self.built = True

    def call(self, x):
        return {name: function(x) for name, function in self.functions.items()}


def shares(operations, functions):
    """The share of a function's results that any of three members moves, by name."""
    results = []
    for context in (operations.unmoved(), *map(operations.member, range(3))):
        with context as call:
            results.append({name: arrays(result) for name, result in call(normal(6, 4)).items()})
    unmoved, *members = results
    return {
        name: np.mean(np.any([moved[name] != unmoved[name] for moved in members], axis=0))
        for name in functions
    }


def host():
    """Leaves the backend, so that JAX cannot trace it."""
    doubled = Apply(lambda x: ops.convert_to_tensor(np.asarray(ops.convert_to_numpy(x)) * 1.7))
    model = chain(layers.Dense(8), doubled, layers.Dense(2))
    model.compile(run_eagerly=True)
    return model


def dense():
    return ROUNDING["dense"][0]()


def bfloat16():
    return ROUNDING["attention_bfloat16"][0]()


def arrays(outputs):
    """One flat array of all outputs, which NumPy can store."""
    parts = [np.asarray(ops.convert_to_numpy(leaf)) for leaf in keras.tree.flatten(outputs)]
    parts = [part.astype("float32") if part.dtype.name == "bfloat16" else part for part in parts]
    return np.concatenate([part.reshape(-1) for part in parts]) if len(parts) > 1 else parts[0]


def bits(model):
    return [np.asarray(ops.convert_to_numpy(variable)).tobytes() for variable in model.variables]


def examined(operations, model, inputs):
    before = bits(model)
    recorded = {"predicted": arrays(model.predict_on_batch(inputs))}
    with operations.unmoved() as call:
        recorded["unmoved"] = arrays(call(inputs))
    recorded["members"] = np.stack([member(operations, number, inputs) for number in range(MEMBERS)])
    recorded["again"] = member(operations, 3, inputs)
    with operations.float64() as call:
        recorded["float64"] = arrays(call(inputs))
    recorded["restored"] = np.array(before == bits(model))
    return recorded


def member(operations, number, inputs):
    with operations.member(number) as call:
        return arrays(call(inputs))


def remembered(operations, model, inputs):
    """Two batches one after the other; the model is new."""
    recorded = {}
    before = bits(model)
    for name in ("unmoved", "float64"):
        with getattr(operations, name)() as call:
            recorded[name] = np.stack([arrays(call(inputs)), arrays(call(inputs))])
    with operations.member(0) as call:
        recorded["moved"] = np.stack([arrays(call(inputs)), arrays(call(inputs))])
    recorded["restored"] = np.array(before == bits(model))
    recorded["predicted"] = np.stack([arrays(model.predict_on_batch(inputs)) for _ in range(2)])
    return recorded


def main(worker, folder):
    sys.path.insert(0, worker)
    from keras_capture.model.imports import Framework
    from keras_capture.outputs.operations import operations_of

    framework = Framework(keras, keras.backend.backend(), 0)
    for kinds, examine in (({**ROUNDING, **EXACT, **EDITED}, examined), (REMEMBERING, remembered)):
        for name, (build, inputs) in kinds.items():
            keras.utils.set_random_seed(0)
            model = build()
            np.savez(Path(folder) / f"{name}.npz", **examine(operations_of(framework, model), model, inputs))
    for table, functions in (("choosing", CHOOSING), ("inexact", INEXACT)):
        moved = shares(operations_of(framework, Table(functions)), functions)
        np.savez(Path(folder) / f"{table}.npz", **moved)
    weights = {str(n): np.asarray(ops.convert_to_numpy(v)) for n, v in enumerate(dense().weights)}
    np.savez(Path(folder) / "weights.npz", inputs=ROUNDING["dense"][1], **weights)


if __name__ == "__main__":
    main(*sys.argv[1:])
