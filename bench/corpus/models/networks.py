"""Feed-forward models of Keras' own layers: dense, convolutions, normalisation, pooling."""

import tensorflow as tf
from corpus_models.common import Edit, filled, keras, layers


def mlp(change=""):
    """Dense layers with GELU and layer normalisation."""
    edit = Edit(change)
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(32, "gelu", name="first")(x)
    x = layers.LayerNormalization(epsilon=edit("epsilon", 1e-6, 1e-3), name="norm")(x)
    x = layers.Dense(32, "relu", name="second", use_bias=edit("no-bias", False, True))(x)
    if edit("extra", True, False):
        x = layers.Activation("tanh", name="extra")(x)
    policy = {"dtype": "bfloat16"} if edit("one-in-bf16", True, False) else {}
    x = layers.Dense(16, name="third", **policy)(x)
    x = layers.LeakyReLU(edit("slope", 0.2, 0.3), name="leaky")(x)
    if not edit("less", True, False):
        x = layers.Activation("softsign", name="squash")(x)
    last = {"dtype": "float16"} if edit("float16-output", True, False) else {}
    outputs = layers.Dense(4, "softmax", name="top", **last)(x)
    if change == "missing-output":
        aux = layers.Dense(2, name="aux")(x)
        outputs = {"main": outputs} if edit(change, True, False) else {"main": outputs, "aux": aux}
    return filled(keras.Model(inputs, outputs))


def many():
    """A probability for each of 100,000 classes."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(16, "relu", name="first")(x)
    return filled(keras.Model(inputs, layers.Dense(100_000, "softmax", name="top")(x)))


def idle_slope(change=""):
    """A slope for negative numbers, behind a layer that gives none."""
    edit = Edit(change)
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(16, "relu", name="first")(x)
    x = layers.LeakyReLU(edit("slope", 0.2, 0.3), name="leaky")(x)
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(x)))


def cnn(change=""):
    """Convolutions with batch normalisation and pooling."""
    edit = Edit(change)
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", name="conv_0")(x)
    x = layers.BatchNormalization(epsilon=edit("bn-epsilon", 1e-5, 1e-3), name="bn_0")(x)
    x = layers.Activation(edit("activation", "elu", "relu"), name="act_0")(x)
    pool = edit("pooling", layers.AveragePooling2D, layers.MaxPooling2D)
    x = pool(2, name="pool")(x)
    x = layers.Conv2D(12, 3, padding="same", name="conv_1")(x)
    x = layers.BatchNormalization(name="bn_1")(x)
    x = layers.Activation("relu", name="act_1")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(x)
    model = filled(keras.Model(inputs, layers.Dense(4, "softmax", name="top")(x)))
    if edit("kernel-turned", True, False):
        layer = model.get_layer("conv_1")
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel[::-1, ::-1], bias])
    if edit("half-weights", True, False):
        layer = model.get_layer("conv_0")
        layer.set_weights([weight.astype("float16").astype("float32") for weight in layer.get_weights()])
    if edit("jit", True, False):
        model.compile(jit_compile=True)
    return model


def separable():
    """Depthwise and separable convolutions."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.SeparableConv2D(8, 3, name="separable")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Flatten(name="flat")(layers.LeakyReLU(0.1, name="leaky")(x))
    return filled(keras.Model(inputs, layers.Dense(5, name="top")(x)))


def residual():
    """A residual convolutional block."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(8, 3, padding="same", activation="swish", name="stem")(x)
    y = layers.BatchNormalization(name="bn_0")(layers.Conv2D(8, 3, padding="same", name="conv_0")(x))
    y = layers.Conv2D(8, 3, padding="same", name="conv_1")(layers.ReLU(name="relu")(y))
    x = layers.Add(name="sum")([x, layers.BatchNormalization(name="bn_1")(y)])
    x = layers.GlobalMaxPooling2D(name="peak")(x)
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(x)))


def unet(change=""):
    """Down, up and a skip connection."""
    edit = Edit(change)
    x = inputs = keras.Input((8, 8, 3), name="image")
    skip = layers.Conv2D(6, 3, padding="same", activation="relu", name="enter")(x)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="down")(skip)
    x = layers.UpSampling2D(2, interpolation=edit("upsampling", "bilinear", "nearest"), name="up")(x)
    x = layers.Conv2DTranspose(6, 3, padding="same", name="transposed")(x)
    x = layers.Concatenate(name="join")([skip, x])
    return filled(keras.Model(inputs, layers.Conv2D(2, 1, name="top")(x)))


def pictures(change=""):
    """Preprocessing layers: rescaling, resizing, padding, cropping, pooling."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(Edit(change)("rescaling", 1 / 128, 1 / 127.5), offset=-1.0, name="rescaled")(x)
    x = layers.Resizing(4, 4, name="resized")(x)
    x = layers.ZeroPadding2D(1, name="padded")(x)
    x = layers.Cropping2D(((1, 0), (0, 1)), name="cropped")(x)
    x = layers.AveragePooling2D(2, name="pooled")(x)
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(layers.Flatten(name="flat")(x))))


def conv1d(change=""):
    """Causal and dilated convolutions in time."""
    edit = Edit(change)
    x = inputs = keras.Input((8, 6), name="series")
    x = layers.Conv1D(8, 3, padding=edit("padding", "same", "causal"), name="causal")(x)
    x = layers.Conv1D(8, 3, padding="causal", dilation_rate=2, activation="elu", name="dilated")(x)
    x = layers.GlobalMaxPooling1D(name="peak")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


def activations():
    """Every activation that has not changed."""
    x = inputs = keras.Input((24,), name="vector")
    names = ("gelu", "elu", "selu", "softplus", "softsign", "swish", "tanh", "sigmoid", "exponential")
    parts = [
        layers.Activation(name, name=f"as_{name}")(layers.Dense(4, name=f"for_{name}")(x)) for name in names
    ]
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(layers.Concatenate(name="join")(parts))))


def norms():
    """Group, unit and layer normalisation of values of ordinary size."""
    x = inputs = keras.Input((8, 6), name="series")
    x = layers.GroupNormalization(2, name="group")(x)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.UnitNormalization(name="unit")(x)
    return filled(keras.Model(inputs, layers.Dense(3, name="top")(x)))


def seeded():
    """Initial weights as a seeded initializer draws them."""
    initial = keras.initializers.GlorotUniform(seed=1)
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(16, "relu", kernel_initializer=initial, name="first")(x)
    return keras.Model(
        inputs, layers.Dense(4, kernel_initializer=keras.initializers.HeNormal(seed=2), name="top")(x)
    )


class Flatten(layers.Layer):
    """Flattens images row by row, or channel by channel."""

    def __init__(self, channels_first=False, **options):
        super().__init__(**options)
        self.channels_first = channels_first

    def call(self, x):
        """Flatten all but the batch."""
        x = tf.transpose(x, (0, 3, 1, 2)) if self.channels_first else x
        return tf.reshape(x, (-1, 192))


def flatten(change=""):
    """A dense layer over a flattened image."""
    x = inputs = keras.Input((8, 8, 3), name="image")
    x = Flatten(Edit(change)("flatten", True, False), name="flat")(x)
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(x)))


class Log(layers.Layer):
    """A logarithm, kept away from zero or not."""

    def __init__(self, least, **options):
        super().__init__(**options)
        self.least = least

    def call(self, x):
        """The logarithm."""
        return tf.math.log(x + tf.cast(self.least, x.dtype))


def logarithm(change=""):
    """Behind a ReLU, zeros are common."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(16, "relu", name="first")(x)
    x = Log(Edit(change)("unclipped", 0.0, 1e-3), name="log")(x)
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(x)))


class Forgetful(layers.Layer):
    """Dropout, also at inference where `always`."""

    def __init__(self, always=False, **options):
        super().__init__(**options)
        self.always = always

    def call(self, x):
        """Drop a tenth."""
        return tf.nn.dropout(x, 0.1) if self.always else x


def dropout(change=""):
    """A dropout that should not be there when predicting."""
    x = inputs = keras.Input((24,), name="vector")
    x = layers.Dense(16, "relu", name="first")(x)
    x = Forgetful(Edit(change)("dropout", True, False), name="drop")(x)
    return filled(keras.Model(inputs, layers.Dense(4, name="top")(x)))
