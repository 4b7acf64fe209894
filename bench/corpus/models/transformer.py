"""A small pre-norm transformer of its own layers.

The epsilon and the kind of GELU are settings, which Keras 3 writes into a layer's configuration. Everything
else is edited in the code (`how`), as if another version of it were installed: no configuration shows it.
"""

import numpy as np
import tensorflow as tf
from corpus_models.common import Edit, filled, keras, layers

LENGTH, WIDTH, HEADS, BLOCKS = 8, 32, 4, 3
_SUMS = ("permuted", "split-2", "split-4", "einsum", "bias-first")


def written(layer, how):
    """Set which version of a layer's code runs."""
    layer.how = how
    return layer


class Norm(layers.Layer):
    """Layer normalisation. `how`: moments, one-pass, or fused."""

    how = "moments"

    def __init__(self, epsilon, **options):
        super().__init__(**options)
        self.epsilon = epsilon

    def build(self, shape):
        """Make scale and offset."""
        self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(shape[-1],), initializer="zeros", name="beta")

    def call(self, x):
        """Normalise over the last axis."""
        gamma, beta = (tf.cast(tf.convert_to_tensor(w), x.dtype) for w in (self.gamma, self.beta))
        if self.how == "one-pass":
            mean = tf.reduce_mean(x, -1, keepdims=True)
            variance = tf.reduce_mean(x * x, -1, keepdims=True) - mean * mean
        else:
            mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        if self.how == "fused":
            return tf.nn.batch_normalization(x, mean, variance, beta, gamma, self.epsilon)
        return (x - mean) / tf.sqrt(variance + self.epsilon) * gamma + beta


class Project(layers.Layer):
    """A dense layer over the last axis. `how` is the order of its sums, or what is wrong with it."""

    how = ""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = units

    def build(self, shape):
        """Make kernel and bias."""
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x):
        """Multiply and add."""
        kernel, bias = (tf.cast(tf.convert_to_tensor(w), x.dtype) for w in (self.kernel, self.bias))
        width = int(kernel.shape[0])
        if self.how == "permuted":
            order = np.random.default_rng(1).permutation(width)
            product = tf.matmul(tf.gather(x, order, axis=-1), tf.gather(kernel, order))
        elif self.how in ("split-2", "split-4"):
            count = int(self.how[-1])
            parts = zip(tf.split(x, count, axis=-1), tf.split(kernel, count), strict=True)
            product = tf.add_n([tf.matmul(*part) for part in parts])
        elif self.how == "einsum":
            product = tf.einsum("oi,...i->...o", tf.transpose(kernel), x)
        elif self.how == "bias-first":
            rows = tf.concat([tf.ones_like(x[..., :1]), x], -1)
            return tf.matmul(rows, tf.concat([bias[None], kernel], 0))
        elif self.how == "transposed":
            product = tf.matmul(x, kernel, transpose_b=True)
        elif self.how == "coarse" and x.dtype == tf.float32:
            product = tf.matmul(_coarse(x), _coarse(kernel))
        else:
            product = tf.matmul(x, kernel)
        return product if self.how == "no-bias" else product + bias


def _coarse(values):
    """The 10 bits of mantissa that TF32 keeps; only float32 is ever computed so."""
    bits = tf.bitwise.bitwise_and(tf.bitcast(values, tf.int32), tf.constant(~0x1FFF, tf.int32))
    return tf.bitcast(bits, tf.float32)


class Heads(layers.Layer):
    """Causal attention of queries, keys and values that lie side by side. `how`: see the branches."""

    how = ""

    def call(self, x):
        """Attend, and put the heads side by side again."""
        q, k, v = (self._split(part) for part in tf.split(x, 3, axis=-1))
        factor = {"scale-1.001": 1.001, "scale-1.00001": 1.00001}.get(self.how, 1.0)
        scale = tf.cast(factor / np.sqrt(WIDTH // HEADS), x.dtype)
        if self.how == "scale-first":
            logits = tf.einsum("bhid,bhjd->bhij", q * scale, k)
        else:
            logits = tf.matmul(q, k, transpose_b=True) * scale
        if not (self.how == "uncausal" or (self.how == "uncausal-in-half" and x.dtype != tf.float32)):
            allowed = tf.linalg.band_part(tf.ones((LENGTH, LENGTH), tf.bool), -1, 0)
            logits = tf.where(allowed, logits, tf.cast(-1e9, x.dtype))
        if self.how == "late-division":
            powers = tf.exp(logits - tf.reduce_max(logits, -1, keepdims=True))
            mixed = tf.matmul(powers, v) / tf.reduce_sum(powers, -1, keepdims=True)
        elif self.how == "softmax-bf16":
            mixed = tf.matmul(tf.cast(tf.nn.softmax(tf.cast(logits, "bfloat16")), x.dtype), v)
        elif self.how == "log-softmax":
            mixed = tf.matmul(tf.exp(tf.nn.log_softmax(logits)), v)
        else:
            mixed = tf.matmul(tf.nn.softmax(logits), v)
        order = (0, 2, 3, 1) if self.how == "interleaved" else (0, 2, 1, 3)
        return tf.reshape(tf.transpose(mixed, order), (-1, LENGTH, WIDTH))

    def _split(self, part):
        return tf.transpose(tf.reshape(part, (-1, LENGTH, HEADS, WIDTH // HEADS)), (0, 2, 1, 3))


class Gelu(layers.Layer):
    """GELU: exact, or by tanh. `how`: the exact one may be written out."""

    how = ""

    def __init__(self, approximate=False, **options):
        super().__init__(**options)
        self.approximate = approximate

    def call(self, x):
        """Activate."""
        if self.how == "formula":
            return 0.5 * x * (1 + tf.math.erf(x * tf.cast(np.sqrt(0.5), x.dtype)))
        return tf.nn.gelu(x, approximate=self.approximate)


class Halves(layers.Layer):
    """Runs a layer over its batch, at once or (`how`) in two halves."""

    how = ""

    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def call(self, x):
        """Run the layer, and put the halves together."""
        if self.how != "halves":
            return self.inner(x)
        middle = tf.shape(x)[0] // 2
        return tf.concat([self.inner(x[:middle]), self.inner(x[middle:])], 0)


def build(change=""):
    """The transformer, with `change` on the edited side."""
    edit = Edit(change)
    x = inputs = keras.Input((LENGTH, WIDTH), name="hidden")
    for block in range(BLOCKS):
        x = _block(x, block, edit)
    x = Norm(edit("epsilon-last", 1e-3, edit("epsilon", 1e-6, 1e-5)), name="norm_out")(x)
    model = filled(keras.Model(inputs, layers.Dense(10, name="top")(x)), gain=1.5)
    if edit("jit", True, False):
        model.compile(jit_compile=True)
    return model


def _block(x, block, edit):
    epsilon = edit("epsilon", 1e-6, 1e-5)
    norm = edit("norm-fused", "fused", edit("norm-one-pass", "one-pass", "moments"))
    sums = edit.change if edit.change in _SUMS else ""
    first, second = block == 0, block == 1
    y = written(Norm(epsilon, name=f"norm_a_{block}"), norm)(x)
    y = written(Project(3 * WIDTH, name=f"qkv_{block}"), sums)(y)
    y = written(Heads(name=f"heads_{block}"), edit.change)(y)
    y = written(
        Project(WIDTH, name=f"out_{block}"), edit("transposed", "transposed", sums) if second else sums
    )(y)
    x = layers.Add(name=f"add_a_{block}")([x, y])
    y = written(Norm(epsilon, name=f"norm_b_{block}"), norm)(x)
    up = edit("coarse", "coarse", sums) if first else edit("no-bias", "no-bias", sums) if second else sums
    inner = written(Project(2 * WIDTH, name=f"inner_{block}"), up)
    y = written(Halves(inner, name=f"up_{block}"), edit("batch-halves", "halves", ""))(y)
    approximate = edit("gelu-all", True, edit("gelu-one", second, False))
    y = written(Gelu(approximate, name=f"gelu_{block}"), edit("gelu-formula", "formula", ""))(y)
    y = written(Project(WIDTH, name=f"down_{block}"), sums)(y)
    return layers.Add(name=f"add_b_{block}")([y, x] if edit("add-order", True, False) else [x, y])
