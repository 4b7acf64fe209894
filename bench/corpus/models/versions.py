"""Models on which releases of Keras are known to differ. K07 and so on name entries of the facts."""

import tensorflow as tf
from corpus_models.common import filled, keras, layers
from corpus_models.recurrent import LENGTH, WIDTH, WORDS, words


def hard_sigmoid():
    """K02, as an activation of its own."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Activation("hard_sigmoid", name="squash")(layers.Dense(16, name="first")(x))
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(x)))


def merged(kind="Add", two=False, read=True, static=False):
    """K07 to K10: a merge of masked branches, and whoever reads the mask behind it."""
    if two:
        first, second = (_text(name, 32 if static else None) for name in ("first", "second"))
        inputs, branches = [first[0], second[0]], [first[1], second[1]]
    else:
        inputs, x = words()
        branches = [x, layers.Dense(WIDTH, "tanh", name="mix")(x)]
    x = getattr(layers, kind)(name="merge")(branches)
    if read:
        x = layers.LSTM(6, name="reader")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


def _text(name, batch):
    ids = keras.Input((LENGTH,), batch_size=batch, dtype="int32", name=name)
    return ids, layers.Embedding(WORDS, WIDTH, mask_zero=True, name=f"words_{name}")(ids)


def blocks():
    """K07 in a transformer: the second attention misses the mask that the first residual lost."""
    ids, x = words()
    for block in range(2):
        y = layers.MultiHeadAttention(2, 6, name=f"heads_{block}")(x, x)
        x = layers.Add(name=f"sum_{block}")([x, y])
    x = layers.Dense(3, name="top")(layers.Flatten(name="flat")(x))
    return filled(keras.Model(ids, x), gain=3.0)


def offset_norm():
    """K13: a mean far larger than the spread."""
    x = inputs = keras.Input((24,), name="vector")
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(layers.LayerNormalization(name="norm")(x))))


def unit_norm():
    """K51: vectors of 1e-7."""
    x = inputs = keras.Input((24,), name="vector")
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(layers.UnitNormalization(name="unit")(x))))


class Positive(layers.Layer):
    """A boolean mask of its own making, which may keep nothing of a row."""

    def call(self, x):
        """Where the numbers are above 1."""
        return x > 1.0


def masked_softmax():
    """K64: a softmax whose whole row is masked."""
    x = inputs = keras.Input((LENGTH, 6), name="series")
    x = layers.Dense(4, name="first")(x)
    x = layers.Softmax(name="softmax")(x, mask=Positive(name="positive")(x))
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


class Joined(layers.Layer):
    """Adds a list, and hands on the mask that comes with the first of it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.supports_masking = True

    def compute_mask(self, inputs, mask=None):
        """The first mask, if any reaches this layer."""
        return mask[0] if isinstance(mask, (list, tuple)) else None

    def call(self, inputs):
        """The sum."""
        return inputs[0] + inputs[1]


def list_layer():
    """K68: whether masks reach a layer that takes a list."""
    ids, x = words()
    x = Joined(name="joined")([x, layers.Dense(WIDTH, name="mix")(x)])
    return filled(keras.Model(ids, layers.Dense(3, name="top")(layers.LSTM(6, name="reader")(x))))


def _allowed(ids):
    return keras.ops.greater(ids, 3)


class Gate(layers.Layer):
    """Keeps what a boolean mask allows; anything else it adds."""

    def call(self, hidden, allowed):
        """Apply the mask."""
        if keras.backend.standardize_dtype(allowed.dtype) == "bool":
            return keras.ops.where(keras.ops.expand_dims(allowed, -1), hidden, keras.ops.zeros_like(hidden))
        return hidden + keras.ops.cast(keras.ops.expand_dims(allowed, -1), hidden.dtype)


def cast():
    """K37: a boolean argument that is cast, since the layer that makes it is declared float32."""
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    x = layers.Embedding(WORDS, WIDTH, dtype="bfloat16", name="words")(ids)
    allowed = layers.Lambda(_allowed, output_shape=lambda shape: shape, dtype="float32", name="allowed")(ids)
    x = layers.Dense(WIDTH, dtype="bfloat16", name="mix")(x)
    x = Gate(dtype="bfloat16", name="gate")(x, allowed)
    return filled(keras.Model(ids, layers.Dense(3, dtype="bfloat16", name="top")(x)))


class RootNorm(layers.Layer):
    """Normalises by the root mean square in float32, as many language models do."""

    def build(self, shape):
        """Make the scale."""
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        """Normalise."""
        wide = keras.ops.cast(x, "float32")
        mean = keras.ops.mean(keras.ops.square(wide), axis=-1, keepdims=True)
        return self.scale * (wide * keras.ops.rsqrt(mean + 1e-6))


def promoted():
    """K38: a bfloat16 variable times a float32 tensor."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(16, dtype="bfloat16", name="first")(x)
    return filled(keras.Model(inputs, RootNorm(dtype="bfloat16", name="rms")(x)))


def tagger():
    """K01: accuracy over padded tokens."""
    ids, x = words()
    x = layers.LSTM(10, return_sequences=True, name="reader")(x)
    model = filled(keras.Model(ids, layers.Dense(5, "softmax", name="top")(x)))
    model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _head(units, activation=None, name="vector"):
    x = inputs = keras.Input((24,), name=name)
    x = layers.Dense(16, "relu", name="first")(x)
    return inputs, layers.Dense(units, activation, name="top")(x)


def scored():
    """A loss with label smoothing and metrics that have not changed."""
    model = filled(keras.Model(*_head(4, "softmax")))
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    model.compile(loss=loss, metrics=["accuracy", keras.metrics.AUC(name="auc")])
    return model


def regression():
    """A Huber loss and errors that have not changed."""
    model = filled(keras.Model(*_head(3)))
    model.compile(loss=keras.losses.Huber(), metrics=["mae", "mse"])
    return model


def saturated():
    """K11: the cross-entropy of a probability that is exactly 0."""
    inputs, x = _head(3)
    model = filled(keras.Model(inputs, Decide(name="decide")(x)))
    model.compile(loss="binary_crossentropy")
    return model


def cosine():
    """K12: the cosine similarity of vectors near zero."""
    x = inputs = keras.Input((24,), name="vector")
    model = filled(keras.Model(inputs, layers.Dense(3, use_bias=False, name="top")(x)))
    model.compile(loss="cosine_similarity")
    return model


def activity():
    """K16: an activity regularizer, divided by the batch or not."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(3, activity_regularizer=keras.regularizers.L2(0.1), name="top")(x)
    model = filled(keras.Model(inputs, x))
    model.compile(loss="mse")
    return model


class Decide(layers.Layer):
    """Turns numbers into the classes 0 and 1."""

    def call(self, x):
        """Where the numbers are positive."""
        return tf.cast(x > 0, x.dtype)


def overlap():
    """K60: intersection over union with fractional sample weights."""
    inputs, x = _head(1)
    model = filled(keras.Model(inputs, Decide(name="decide")(x)))
    model.compile(loss="mse", weighted_metrics=[keras.metrics.MeanIoU(num_classes=2, name="iou")])
    return model
