"""Models on which one release of Keras silently computes something else than the one before it."""

from corpus_models.common import filled, keras, layers
from corpus_models.data import LENGTH, WORDS

WIDTH = 12
ops = keras.ops


def _ids(mask=True):
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    return ids, layers.Embedding(WORDS, WIDTH, mask_zero=mask, name="words")(ids)


class Present(layers.Layer):
    """Where a text has words, once for each of several scores."""

    def __init__(self, scores, **options):
        super().__init__(**options)
        self.scores = scores

    def call(self, ids):
        """A mask of (sample, score, word)."""
        return ops.repeat(ops.expand_dims(ops.not_equal(ids, 0), 1), self.scores, axis=1)


def pooled():
    """keras#21149: attention weights of a text without a word are zeros, no longer uniform."""
    ids, x = _ids(mask=False)
    scores = layers.Permute((2, 1), name="turned")(layers.Dense(3, name="scores")(x))
    weights = layers.Softmax(name="weights")(scores, mask=Present(3, name="present")(ids))
    x = layers.Flatten(name="flat")(layers.Dot(axes=(2, 1), name="pool")([weights, x]))
    return filled(keras.Model(ids, layers.Dense(4, "softmax", name="top")(x)))


class Recorded(layers.Layer):
    """The steps at which a sensor recorded anything."""

    def call(self, series):
        """A mask of (sample, step)."""
        return ops.any(ops.not_equal(series, 0.0), axis=-1)


def handed_on():
    """keras#21449: a mask given as an argument is handed on to the layers behind."""
    x = series = keras.Input((LENGTH, 6), name="series")
    x = layers.Dense(10, "tanh", name="project")(x)
    x = layers.BatchNormalization(name="norm")(x, mask=Recorded(name="recorded")(series))
    return filled(keras.Model(series, layers.Dense(3, name="top")(layers.GRU(6, name="reader")(x))))


def wide_head():
    """keras#21946: a float32 head behind a half-precision body lost the mask of what it converts."""
    half = keras.DTypePolicy("mixed_bfloat16")
    ids = keras.Input((LENGTH,), dtype="int32", name="ids")
    x = layers.Embedding(WORDS, WIDTH, mask_zero=True, dtype=half, name="words")(ids)
    x = layers.Dense(WIDTH, "relu", dtype=half, name="body")(x)
    x = layers.GlobalAveragePooling1D(dtype="float32", name="average")(x)
    return filled(keras.Model(ids, layers.Dense(4, dtype="float32", name="top")(x)))


class Gaps(layers.Layer):
    """Masks the steps that a sensor left out, which are NaN."""

    def __init__(self, **options):
        super().__init__(**options)
        self.supports_masking = True

    def call(self, series):
        """The series as it is."""
        return series

    def compute_mask(self, series, mask=None):
        """The steps without NaN."""
        return ops.logical_not(ops.any(ops.isnan(series), axis=-1))


def gappy():
    """keras#22392: NaN at masked steps spread through a masked average."""
    series = keras.Input((LENGTH, 6), name="series")
    x = layers.Dense(10, "tanh", name="project")(Gaps(name="gaps")(series))
    x = layers.GlobalAveragePooling1D(name="average")(x)
    return filled(keras.Model(series, layers.Dense(3, name="top")(x)))


def named_axis():
    """keras#21721: attention over the axis -2 took the heads for it."""
    x = film = keras.Input((3, 6, 8), name="film")
    x = layers.Dense(12, name="project")(x)
    x = layers.MultiHeadAttention(3, 4, attention_axes=(-2,), name="across")(x, x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    return filled(keras.Model(film, layers.Dense(3, name="top")(x)))


def resized():
    """keras#20213: resized bytes are rounded, no longer cut."""
    photo = keras.Input((10, 10, 3), dtype="uint8", name="photo")
    x = ops.image.resize(photo, (7, 7), interpolation="bicubic")
    x = layers.Conv2D(6, 3, activation="relu", name="conv")(layers.Rescaling(1 / 255, name="scale")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return filled(keras.Model(photo, layers.Dense(3, name="top")(x)))


class Pixels(layers.Layer):
    """Boxes of relative centres and sizes as corners in pixels."""

    def __init__(self, height, width, **options):
        super().__init__(**options)
        self.height, self.width = height, width

    def call(self, boxes):
        """Convert them."""
        size = {"height": self.height, "width": self.width}
        return keras.utils.bounding_boxes.convert_format(
            boxes, source="rel_center_xywh", target="xyxy", **size
        )

    def compute_output_shape(self, shape):
        """As they are."""
        return shape


def detector():
    """keras#22806: relative boxes became pixels with height and width exchanged."""
    x = image = keras.Input((8, 8, 3), name="image")
    x = layers.Flatten(name="flat")(layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(x))
    x = layers.Reshape((2, 4), name="two")(layers.Dense(8, "sigmoid", name="relative")(x))
    return filled(keras.Model(image, Pixels(8, 20, name="pixels")(x)))


def _ages():
    import numpy as np

    return np.random.default_rng(21).gamma(4.0, 10.0, 500).astype("float32").reshape(-1, 1)


def adapted():
    """keras#22892: adapted boundaries lie one value earlier."""
    ages = keras.Input((1,), name="age")
    bins = layers.Discretization(num_bins=8, name="bins")
    bins.adapt(_ages())
    x = layers.Flatten(name="flat")(layers.Embedding(8, 6, name="ages")(bins(ages)))
    return _without("bins", keras.Model(ages, layers.Dense(3, name="top")(x)))


def _without(name, model):
    """Fill a model, and give one layer its own state back."""
    layer = model.get_layer(name)
    kept = layer.get_weights()
    filled(model)
    layer.set_weights(kept)
    return model


def binned():
    """keras#21769: numbers inside a model lost their fraction before they were binned."""
    x = vector = keras.Input((24,), name="vector")
    x = layers.Dense(6, name="project")(x)
    x = layers.Discretization(bin_boundaries=[-0.9, -0.4, 0.0, 0.4, 0.9], name="bins")(x)
    x = layers.Flatten(name="flat")(layers.Embedding(6, 5, name="each")(x))
    return filled(keras.Model(vector, layers.Dense(3, name="top")(x)))


def group_norm(epsilon=1e-3):
    """keras#20385: statistics in float16. keras#23070: variables are no longer cast to it first."""
    half = keras.DTypePolicy("mixed_float16")
    x = image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, dtype=half, name="conv")(x)
    x = layers.GroupNormalization(4, epsilon=epsilon, dtype=half, name="norm")(x)
    x = layers.GlobalAveragePooling2D(dtype=half, name="pool")(layers.ReLU(dtype=half, name="relu")(x))
    return filled(keras.Model(image, layers.Dense(3, dtype="float32", name="top")(x)))


def short_vectors():
    """keras#20196: the norm of a vector below epsilon."""
    x = vector = keras.Input((24,), name="vector")
    x = layers.UnitNormalization(name="unit")(layers.Dense(12, use_bias=False, name="project")(x))
    return filled(keras.Model(vector, layers.Dense(3, name="top")(layers.ReLU(name="relu")(x))))


def two_texts():
    """keras#20481: a model of a list of inputs, fed a dict, took the arrays in the order of their names."""
    sides = [keras.Input((24,), name=name) for name in ("right", "left")]
    x = layers.Subtract(name="apart")([layers.Dense(8, name=f"of_{side.name}")(side) for side in sides])
    return filled(keras.Model(sides, layers.Dense(3, name="top")(x)))


def _compiled(model, loss="sparse_categorical_crossentropy", optimizer=None, **options):
    model.compile(optimizer or keras.optimizers.SGD(0.05), loss, **options)
    return model


def sparse_code():
    """keras#22021: an activity regularizer is divided by the size of the batch."""
    x = vector = keras.Input((24,), name="vector")
    penalty = keras.regularizers.L1(1e-2)
    x = layers.Dense(6, "relu", activity_regularizer=penalty, name="code")(x)
    return _compiled(filled(keras.Model(vector, layers.Dense(3, name="rebuilt")(x))), "mse")


def fresh_attention():
    """keras#22789: fresh kernels of attention are drawn in another size."""
    keras.utils.set_random_seed(3)
    ids, x = _ids(mask=False)
    x = layers.Add(name="residual")([x, layers.MultiHeadAttention(2, 6, name="heads")(x, x)])
    x = layers.GlobalAveragePooling1D(name="average")(x)
    return _compiled(keras.Model(ids, layers.Dense(4, "softmax", name="top")(x)))


def masked_statistics():
    """keras#20815: masked sums of a normalisation over another axis were divided by the wrong count."""
    x = series = keras.Input((LENGTH, 6), name="series")
    x = layers.Dense(8, "tanh", name="project")(layers.Masking(name="gaps")(x))
    x = layers.GRU(6, name="reader")(layers.BatchNormalization(axis=1, name="norm")(x))
    return _compiled(filled(keras.Model(series, layers.Dense(4, "softmax", name="top")(x))))


class MeanOfWords(layers.Layer):
    """The mean over the words of a text; zeros where it has none."""

    def call(self, x, ids):
        """Divide their sum by their number."""
        present = ops.cast(ops.expand_dims(ops.not_equal(ids, 0), -1), x.dtype)
        return ops.divide_no_nan(ops.sum(x * present, axis=1), ops.sum(present, axis=1))

    def compute_output_shape(self, x_shape, ids_shape):
        """Without the words' axis."""
        return (x_shape[0], x_shape[2])


def empty_texts():
    """keras#20110: the gradient of a division by 0 that gives 0 was NaN on JAX."""
    ids, x = _ids(mask=False)
    x = MeanOfWords(name="mean")(layers.Dense(10, "tanh", name="mix")(x), ids)
    return _compiled(filled(keras.Model(ids, layers.Dense(4, "softmax", name="top")(x))))


def scaled_loss():
    """keras#21233: the optimizer's own loss scale divided the gradients twice."""
    half = keras.DTypePolicy("mixed_float16")
    keras.config.set_dtype_policy(half)
    x = vector = keras.Input((24,), name="vector")
    x = layers.Dense(16, "relu", name="first")(x)
    model = filled(keras.Model(vector, layers.Dense(4, "softmax", dtype="float32", name="top")(x)))
    _compiled(model, optimizer=keras.optimizers.SGD(0.05, loss_scale_factor=64.0))
    keras.config.set_dtype_policy("float32")
    return model


def two_losses():
    """keras#20476: the reported loss of an output is no longer multiplied by its weight."""
    x = vector = keras.Input((24,), name="vector")
    x = layers.Dense(8, "relu", name="first")(x)
    heads = [layers.Dense(3, name=name)(x) for name in ("near", "far")]
    return _compiled(filled(keras.Model(vector, heads)), ["mse", "mae"], loss_weights=[0.2, 3.0])


def tagged():
    """keras#21569: compiled metrics ignored the mask."""
    ids, x = _ids()
    x = layers.GRU(8, return_sequences=True, name="reader")(x)
    model = filled(keras.Model(ids, layers.Dense(5, "softmax", name="top")(x)))
    return _compiled(model, metrics=["accuracy"])


@keras.saving.register_keras_serializable("corpus")
class Tower(layers.Layer):
    """Pairs of dense layers around a residual, in a list of lists."""

    def __init__(self, width, **options):
        super().__init__(**options)
        self.width = width
        self.pairs = [[layers.Dense(width, "relu"), layers.Dense(width)] for _ in range(2)]

    def build(self, shape):
        """Build every layer of it."""
        for pair in self.pairs:
            for layer in pair:
                layer.build((*shape[:-1], self.width))
        self.built = True

    def call(self, x):
        """Each pair in turn."""
        for wide, narrow in self.pairs:
            x = x + narrow(wide(x))
        return x

    def get_config(self):
        """With the width."""
        return {**super().get_config(), "width": self.width}


def tower():
    """keras#22362: weights of layers in lists of lists were neither saved nor loaded."""
    x = vector = keras.Input((24,), name="vector")
    x = Tower(8, name="tower")(layers.Dense(8, name="first")(x))
    return keras.Model(vector, layers.Dense(3, name="top")(x))


def causal():
    """keras#23040: whether scores that are returned are causal; here nobody reads them."""
    ids, x = _ids(mask=False)
    heads = layers.MultiHeadAttention(2, 6, dropout=0.1, name="heads")
    y, _ = heads(x, x, use_causal_mask=True, return_attention_scores=True)
    x = layers.Dense(WORDS, name="top")(layers.Add(name="residual")([x, y]))
    return filled(keras.Model(ids, x))


def behind_attention():
    """keras#20594: whether a mask is handed on behind attention; here the query's own copy is."""
    ids, x = _ids()
    x = layers.MultiHeadAttention(2, 6, name="heads")(x, x)
    x = layers.GlobalAveragePooling1D(name="average")(layers.Dense(8, "gelu", name="mix")(x))
    return filled(keras.Model(ids, layers.Dense(3, name="top")(x)))


class Bucket(layers.Layer):
    """Hashes wide ids into a small table."""

    def call(self, ids):
        """Multiply, divide, take the rest."""
        return ops.mod(ops.floor_divide(ops.multiply(ids, 2654435), 1024), WORDS)


def hashed():
    """keras#21604: products of 64-bit ids."""
    ids = keras.Input((LENGTH,), dtype="int64", name="wide_ids")
    x = layers.Embedding(WORDS, WIDTH, name="words")(Bucket(dtype="int64", name="bucket")(ids))
    x = layers.GlobalAveragePooling1D(name="average")(x)
    return filled(keras.Model(ids, layers.Dense(3, name="top")(x)))
