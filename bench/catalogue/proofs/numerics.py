"""Proofs about numbers themselves: precision, operations, and layers that compute something else."""

import numpy as np
from common import accepted, fill, keras, layers, normal, numbers, outcome, rng

ops = getattr(keras, "ops", None)


def _policy(name):
    policies = getattr(keras, "DTypePolicy", None) or keras.mixed_precision.Policy
    return policies(name)


def half_moments():
    """BatchNormalization in training of numbers far from 0; and of numbers near 0."""

    def run(offset):
        layer = layers.BatchNormalization()
        x = normal(64, 3) + np.float32(offset)
        layer.build(x.shape)
        return numbers(layer(x, training=True))

    return {"shown": run(3000.0), "control": run(0.0)}


def zero_seed():
    """Whether an initializer with seed 0 draws the same twice, and with seed 1."""

    def run(seed):
        drawn = [numbers(keras.initializers.RandomNormal(seed=seed)((3,))) for _ in range(2)]
        return str(bool(np.all(drawn[0] == drawn[1])))

    return {"shown": run(0), "control": run(1)}


def norm_variables_autocast():
    """The dtype that a normalisation's variables have inside a half-precision call."""

    def run(policy):
        seen = []

        class Norm(layers.BatchNormalization):
            def call(self, inputs, **options):
                seen.append(keras.backend.standardize_dtype(ops.convert_to_tensor(self.gamma).dtype))
                return super().call(inputs, **options)

        Norm(dtype=_policy(policy))(np.ones((2, 3), "float32"))
        return seen[0]

    return {"shown": run("mixed_float16"), "control": run("float32")}


def silu_beta():
    """Whether silu takes beta."""
    x = np.ones(3, "float32")
    return {
        "shown": accepted(lambda: keras.activations.silu(x, beta=1.0)),
        "control": accepted(lambda: keras.activations.silu(x)),
    }


class Passing(layers.Layer):
    """Hands its input on."""

    def call(self, x):
        """As it is."""
        return x


def numpy_ids():
    """Integers of NumPy above 256 given to a bfloat16 layer; and small ones."""
    layer = Passing(dtype="bfloat16")

    def run(values):
        return numbers(layer(np.array(values, "int32")))

    return {"shown": run([257, 999]), "control": run([1, 200])}


class Masked(layers.Layer):
    """Adds what it is given, unless that is boolean."""

    def call(self, x, allowed):
        """Apply the mask."""
        if keras.backend.standardize_dtype(allowed.dtype) == "bool":
            return ops.where(allowed, x, ops.zeros_like(x))
        return x + ops.cast(allowed, x.dtype)


def boolean_cast():
    """A boolean mask from a float32 Lambda, given to a bfloat16 layer, and to a float32 one."""

    def run(dtype):
        first = keras.Input((4,), name="x")
        allowed = layers.Lambda(lambda x: ops.greater(x, 0), output_shape=lambda s: s, dtype="float32")(first)
        x = layers.Dense(4, dtype=dtype)(first)
        model = fill(keras.Model(first, Masked(dtype=dtype)(x, allowed)))
        return numbers(model(normal(3, 4)))

    return {"shown": run("bfloat16"), "control": run("float32")}


def variable_promotion():
    """The dtype of a half-precision variable times a float32 tensor."""

    def run(dtype):
        variable = keras.Variable(np.ones(3, "float32"), dtype=dtype)
        with keras.src.backend.AutocastScope(dtype):
            return keras.backend.standardize_dtype((variable * ops.ones(3, dtype="float32")).dtype)

    return {"shown": run("bfloat16"), "control": run("float32")}


class Scaled(layers.Layer):
    """Scales in float32, as RMS normalisations do."""

    def build(self, shape):
        """Make the scale."""
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")

    def call(self, x):
        """Scale."""
        return self.scale * ops.cast(x, "float32")


def scaled_promotion():
    """The dtype of what a half-precision layer of one's own returns; a float32 one beside it."""

    def run(dtype):
        return keras.backend.standardize_dtype(Scaled(dtype=dtype)(np.ones((2, 3), "float32")).dtype)

    return {"shown": run("bfloat16"), "control": run("float32")}


def accuracy_shape():
    """What the function binary_accuracy returns for a matrix; and mean_squared_error."""
    x = np.ones((4, 3), "float32")
    return {
        "shown": str(np.shape(numbers(keras.metrics.binary_accuracy(x, x)))),
        "control": str(np.shape(numbers(keras.metrics.mean_squared_error(x, x)))),
    }


def ctc_mask_index():
    """The default of `mask_index` in ctc_decode."""
    import inspect

    parameters = inspect.signature(ops.ctc_decode).parameters
    return {"shown": str(parameters["mask_index"].default), "control": str(parameters["strategy"].default)}


def rms_scaling_saved():
    """Whether the configuration of LayerNormalization keeps rms_scaling, and epsilon."""
    config = layers.LayerNormalization(rms_scaling=True, epsilon=0.1).get_config()
    return {"shown": str(config.get("rms_scaling")), "control": str(config.get("epsilon"))}


def two_axis_softmax():
    """A softmax over two axes that are not the last ones, and over one."""
    x = normal(2, 3, 4, 5)
    softmax = keras.activations.softmax
    return {
        "shown": outcome(lambda: numbers(softmax(ops.convert_to_tensor(x), axis=(1, 2)))),
        "control": numbers(softmax(ops.convert_to_tensor(x), axis=2)),
    }


def attention_axes():
    """MultiHeadAttention over two axes, and over one."""

    def run(axes):
        layer = layers.MultiHeadAttention(2, 3, attention_axes=axes)
        x = normal(2, 3, 4, 5)
        layer(x, x)
        layer.set_weights([rng(n).standard_normal(w.shape) for n, w in enumerate(layer.get_weights())])
        return numbers(layer(x, x))

    return {"shown": run((1, 2)), "control": run((2,))}


def average_same():
    """Average pooling with padding `same`, and without."""
    x = normal(1, 5, 5, 2)
    return {
        "shown": outcome(lambda: numbers(layers.AveragePooling2D(2, padding="same")(x))),
        "control": numbers(layers.AveragePooling2D(2)(x)),
    }


def conv_same():
    """A 1×1 convolution with padding `same` and a stride, and without a stride."""

    def run(**options):
        layer = layers.Conv2D(2, 1, padding="same", **options)
        x = normal(1, 6, 6, 2)
        layer.build(x.shape)
        layer.set_weights([normal(*weight.shape, seed=5) for weight in layer.get_weights()])
        return numbers(layer(x))

    return {"shown": run(strides=2), "control": run()}


def resize_nearest():
    """Nearest-neighbour resizing 5 → 3, and bilinear of the same size."""
    x = np.arange(25, dtype="float32").reshape(1, 5, 5, 1)

    def run(**options):
        return numbers(ops.image.resize(ops.convert_to_tensor(x), (3, 3), **options))

    return {"shown": outcome(lambda: run(interpolation="nearest")), "control": numbers(x)}


def conv_lstm_dropout():
    """How many zeros the input dropout of a ConvLSTM leaves, and the output without dropout."""

    def run(rate):
        keras.utils.set_random_seed(1)
        layer = layers.ConvLSTM2D(1, 1, dropout=rate, kernel_initializer="ones", bias_initializer="zeros")
        return numbers(layer(np.ones((2, 1, 3, 3, 4), "float32"), training=True))

    calm = run(0.0)
    return {"shown": str(bool(np.allclose(run(0.9), calm))), "control": calm}


def loss_dtype():
    """The dtype that a loss computes in, and the policy's own compute dtype."""
    keras.config.set_dtype_policy("mixed_float16")
    policy = (
        keras.config.dtype_policy()
        if hasattr(keras.config, "dtype_policy")
        else keras.mixed_precision.dtype_policy()
    )
    dtype = keras.losses.MeanSquaredError().dtype
    keras.config.set_dtype_policy("float32")
    return {"shown": str(dtype), "control": str(policy.compute_dtype)}


def loss_policy():
    """The dtype of a loss that is given a mixed policy."""

    def run(policy):
        return str(keras.losses.MeanSquaredError(dtype=_policy(policy)).dtype)

    return {
        "shown": outcome(lambda: run("mixed_float16")),
        "control": str(keras.losses.MeanSquaredError().dtype),
    }


def unit_norm():
    """UnitNormalization of vectors of 1e-7, and of 1."""
    layer = layers.UnitNormalization()
    x = np.array([[3.0, 4.0]], "float32")
    return {"shown": numbers(layer(x * np.float32(2e-8))), "control": numbers(layer(x))}


def half_normalisation(kind="LayerNormalization"):
    """A normalisation of large numbers in float16, and in float32."""

    def run(dtype):
        layer = getattr(layers, kind)(dtype=dtype)
        x = ops.cast(normal(4, 16) * 300, dtype)
        return np.nan_to_num(numbers(layer(x)), nan=-99.0)

    return {"shown": run("float16"), "control": run("float32")}


def _group(x, dtype):
    layer = layers.GroupNormalization(2, dtype=dtype)
    return np.nan_to_num(numbers(layer(ops.cast(x, dtype))), nan=-99.0, posinf=99.0, neginf=-99.0)


def half_groups():
    """GroupNormalization in float16 of numbers far from 0, and in float32."""
    x = normal(4, 5, 8) * 300
    return {"shown": _group(x, "float16"), "control": _group(x, "float32")}


def group_variables():
    """GroupNormalization whose gamma float16 cannot hold exactly, and the same in float32."""

    def run(policy):
        layer = layers.GroupNormalization(2, dtype=_policy(policy))
        layer.build((None, 5, 8))
        layer.set_weights([np.full(8, 1.0004, "float32"), np.full(8, 1e-5, "float32")])
        return numbers(layer(ops.cast(normal(4, 5, 8) * 3, layer.compute_dtype)))

    return {"shown": run("mixed_float16"), "control": run("float32")}


def attention_logits():
    """The operation dot_product_attention of queries above 1, and of zeros."""
    q, k, v = (normal(1, 3, 2, 4, seed=n) for n in range(3))
    shown = numbers(ops.dot_product_attention(q, k, v))
    return {"shown": shown, "control": numbers(ops.dot_product_attention(q * 0, k, v))}


def attention_half():
    """MultiHeadAttention in bfloat16, and in float32."""

    def run(dtype):
        layer = layers.MultiHeadAttention(2, 4, dtype=dtype)
        x = normal(2, 6, 8, seed=9)
        layer(x, x)
        layer.set_weights([rng(n).standard_normal(w.shape) * 0.7 for n, w in enumerate(layer.get_weights())])
        return numbers(layer(x, x))

    return {"shown": run("bfloat16"), "control": run("float32")}


def flash_argument():
    """Whether attention takes flash_attention, and dropout."""
    return {
        "shown": accepted(lambda: layers.MultiHeadAttention(2, 3, flash_attention=False)),
        "control": accepted(lambda: layers.MultiHeadAttention(2, 3, dropout=0.1)),
    }


def bias_operation():
    """The operations of a traced convolution with a bias, and without one."""
    import tensorflow as tf

    def run(bias):
        layer = layers.Conv2D(2, 3, use_bias=bias)
        layer.build((None, 6, 6, 1))
        traced = tf.function(layer).get_concrete_function(tf.TensorSpec((None, 6, 6, 1), tf.float32))
        return sorted({op.type for op in traced.graph.get_operations() if "Add" in op.type})

    return {"shown": run(True), "control": run(False)}


def recurrent_implementation():
    """The implementation that an LSTM with recurrent dropout takes, and one without."""

    def run(rate):
        return str(layers.LSTM(3, recurrent_dropout=rate).cell.implementation)

    return {"shown": run(0.5), "control": run(0.0)}


def shuffled():
    """What a seeded shuffle gives, and what a seeded normal draw does."""
    x = np.arange(20.0, dtype="float32")
    return {
        "shown": numbers(keras.random.shuffle(ops.convert_to_tensor(x), seed=3)),
        "control": numbers(keras.random.normal((5,), seed=3)),
    }


def lora_scaling():
    """A convolution with LoRA: the part of the low rank, and the plain output."""
    layer = layers.Conv2D(2, 1)
    x = np.ones((1, 2, 2, 3), "float32")
    layer.build(x.shape)
    layer.set_weights([normal(*weight.shape, seed=1) for weight in layer.get_weights()])
    plain = numbers(layer(x))
    layer.enable_lora(2, **({"lora_alpha": 6} if "lora_alpha" in _names(layer.enable_lora) else {}))
    layer.lora_kernel_a.assign(np.ones(layer.lora_kernel_a.shape))
    layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    return {"shown": str("lora_alpha" in _names(layer.enable_lora)), "control": plain}


def _names(function):
    import inspect

    return inspect.signature(function).parameters


def rms_deprecated():
    """Whether rms_scaling warns, and whether epsilon does."""
    import warnings

    def run(**options):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layers.LayerNormalization(**options)
        return str(any("rms_scaling" in str(one.message) for one in caught))

    return {"shown": run(rms_scaling=True), "control": run(epsilon=0.1)}


def coordinates_fill():
    """map_coordinates with one point outside in one axis, and with all inside."""
    image = np.arange(9, dtype="float32").reshape(3, 3) + 1

    def run(points):
        points = ops.convert_to_tensor(np.array(points, "float32"))
        return numbers(
            ops.image.map_coordinates(ops.convert_to_tensor(image), points, order=1, fill_mode="constant")
        )

    return {"shown": outcome(lambda: run([[0.5, 2.5], [1.0, 1.0]])), "control": run([[0.5, 1.5], [0.5, 1.0]])}


def wide_ids():
    """The larger of a 64-bit and a 32-bit id, and of two ids of 32 bits."""

    def run(dtype, value):
        wide, small = (
            ops.convert_to_tensor(np.array([number]), dtype=kind)
            for number, kind in ((value, dtype), (3, "int32"))
        )
        return numbers(ops.cast(ops.maximum(wide, small), "float32"))

    return {"shown": run("int64", 3_000_000_019), "control": run("int32", 70)}


def relative_boxes():
    """Relative boxes as pixels of an image that is not square, and of one that is."""
    boxes = np.array([[0.1, 0.2, 0.5, 0.6]], "float32")

    def run(height, width):
        return numbers(
            keras.utils.bounding_boxes.convert_format(boxes, "rel_xyxy", "xyxy", height=height, width=width)
        )

    return {"shown": run(10, 20), "control": run(10, 10)}


def relative_centres():
    """Relative boxes by their centre as pixels of an image that is not square, and of one that is."""
    boxes = np.array([[0.4, 0.5, 0.2, 0.6]], "float32")

    def run(height, width):
        return numbers(
            keras.utils.bounding_boxes.convert_format(
                boxes, "rel_center_xywh", "xyxy", height=height, width=width
            )
        )

    return {"shown": run(10, 20), "control": run(10, 10)}


def weak_float():
    """The result type of a Python float beside bfloat16, where floatx is bfloat16."""
    keras.config.set_floatx("bfloat16")
    seen = keras.backend.result_type(float)
    keras.config.set_floatx("float32")
    return {"shown": str(seen), "control": keras.backend.result_type(float)}


def depthwise_dilated():
    """A depthwise convolution with a stride and a dilation, and with a stride alone."""

    def run(**options):
        layer = layers.DepthwiseConv2D(3, padding="valid", **options)
        x = normal(1, 9, 9, 2)
        layer.build(x.shape)
        layer.set_weights([normal(*weight.shape, seed=2) for weight in layer.get_weights()])
        return numbers(layer(x))

    return {"shown": outcome(lambda: run(strides=2, dilation_rate=2)), "control": run(strides=2)}


def attention_start():
    """The spread of fresh attention kernels, and of a fresh Dense kernel."""
    layer = layers.MultiHeadAttention(4, 16)
    x = np.zeros((1, 5, 64), "float32")
    keras.utils.set_random_seed(1)
    layer.build(x.shape, x.shape) if "value_shape" in _names(layer.build) else layer(x, x)
    dense = layers.Dense(64, kernel_initializer=keras.initializers.GlorotUniform(seed=1))
    dense.build(x.shape)
    return {
        "shown": float(np.abs(layer.get_weights()[0]).max()),
        "control": np.abs(dense.get_weights()[0]).max(),
    }


def renorm_argument():
    """Whether BatchNormalization takes renorm, and momentum."""
    return {
        "shown": accepted(lambda: layers.BatchNormalization(renorm=True)),
        "control": accepted(lambda: layers.BatchNormalization(momentum=0.9)),
    }


def bytes_resized():
    """Bytes resized bicubically, and floats of the same values."""
    photo = rng(3).integers(0, 255, (1, 8, 8, 1))

    def run(dtype):
        return numbers(
            ops.image.resize(ops.convert_to_tensor(photo.astype(dtype)), (5, 5), interpolation="bicubic")
        )

    return {"shown": run("uint8"), "control": run("float32")}


def named_axis():
    """Attention over the axis -2 of a film, and over the same axis by its positive number."""

    def run(axis):
        layer = layers.MultiHeadAttention(3, 4, attention_axes=(axis,))
        x = normal(2, 3, 6, 8)
        layer(x, x)
        layer.set_weights([rng(n).standard_normal(w.shape) * 0.5 for n, w in enumerate(layer.get_weights())])
        return numbers(layer(x, x))

    return {"shown": outcome(lambda: run(-2)), "control": run(2)}


def binned_floats():
    """Discretization of the float results of another layer, and of recorded values."""
    from corpus_models.fixes import binned

    x = normal(8, 24)
    return {"shown": numbers(binned()(x)), "control": numbers(layers.Activation("linear")(x))}
