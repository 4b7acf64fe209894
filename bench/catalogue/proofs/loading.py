"""Proofs about files: saved by one release, loaded by others. `*_save` runs in the release that saves."""

from pathlib import Path

import numpy as np
from common import LEGACY, accepted, fill, keras, layers, normal, outcome, text


def _load(path, **options):
    return keras.models.load_model(str(path), compile=False, **options)


def _save(folder, shown, control, suffix="keras"):
    for name, model in (("shown", shown), ("control", control)):
        model.save(str(Path(folder) / f"{name}.{suffix}"))


def _loads(folder, suffix="keras"):
    return {
        name: accepted(lambda name=name: _load(Path(folder) / f"{name}.{suffix}"))
        for name in ("shown", "control")
    }


def _sequence(*parts, shape=(4, 3)):
    return keras.Sequential([keras.Input(shape), *parts])


def time_major_save(folder):
    """An LSTM of tf_keras, and a Dense layer."""
    _save(folder, _sequence(layers.LSTM(2)), _sequence(layers.Dense(2)), "h5")


def time_major(folder):
    """Whether Keras 3 loads them."""
    return _loads(folder, "h5")


def lambda_h5_save(folder):
    """A Lambda of Keras 3, and a Dense layer."""
    _save(folder, _sequence(layers.Lambda(lambda x: x * 2)), _sequence(layers.Dense(2)), "h5")


def lambda_h5(folder):
    """Whether they load by default."""
    return _loads(folder, "h5")


def saved_model_layer_save(folder):
    """A model that wraps a SavedModel, and one that does not."""
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(lambda x: x * 2.0, input_signature=[tf.TensorSpec((None, 3), tf.float32)])
    tf.saved_model.save(module, str(Path(folder) / "wrapped"), signatures={"serve": module.serve})
    layer = layers.TFSMLayer(str(Path(folder) / "wrapped"), call_endpoint="serve")
    first = keras.Input((3,))
    _save(folder, keras.Model(first, layer(first)), _sequence(layers.Dense(2)))


def saved_model_layer(folder):
    """Whether they load by default."""
    return _loads(folder)


def attention_h5_save(folder):
    """An Attention layer, and a Dense layer."""
    first = keras.Input((4, 3))
    _save(folder, keras.Model(first, layers.Attention()([first, first])), _sequence(layers.Dense(2)), "h5")


def attention_h5(folder):
    """Whether they load."""
    return _loads(folder, "h5")


def masked_merge_save(folder):
    """A functional model whose merge computes a mask, and one without a mask."""

    def build(mask):
        first, x = text(mask)
        x = layers.Add()([x, layers.Dense(4)(x)])
        x = layers.Add()([x, layers.Dense(4)(x)])
        return keras.Model(first, layers.LSTM(2)(x))

    _save(folder, build(True), build(False))


def masked_merge(folder):
    """Whether they load."""
    return _loads(folder)


def rotation_save(folder):
    """A RandomRotation, and a RandomFlip."""
    shape = (4, 4, 3)
    _save(
        folder,
        _sequence(layers.RandomRotation(0.1), shape=shape),
        _sequence(layers.RandomFlip(), shape=shape),
    )


def rotation(folder):
    """Whether they load."""
    return _loads(folder)


def normalization_h5_save(folder):
    """Weights of a Normalization in the old HDF5 layout, and of a Dense layer."""
    model = _normalised()
    model.get_layer("norm").adapt(normal(50, 3) * 4 + 7)
    model.save_weights(str(Path(folder) / "shown.h5"))
    fill(_sequence(layers.Dense(2, name="top"), shape=(3,))).save_weights(str(Path(folder) / "control.h5"))


def _normalised():
    return fill(_sequence(layers.Normalization(name="norm"), layers.Dense(2, name="top"), shape=(3,)))


def normalization_h5(folder):
    """What a Normalization predicts with the weights loaded, and a Dense layer."""
    x = np.ones((1, 3), "float32")

    def run(model, name):
        model.load_weights(str(Path(folder) / f"{name}.h5"))
        return np.nan_to_num(np.array(model(x)), nan=-99.0)

    return {
        "shown": outcome(lambda: run(_normalised(), "shown")),
        "control": run(_sequence(layers.Dense(2, name="top"), shape=(3,)), "control"),
    }


def shared_backbone_save(folder):
    """A functional model whose backbone had been called before, and one whose backbone had not."""

    def build(called):
        first = keras.Input((3,))
        backbone = keras.Model(first, layers.Dense(3)(first), name="backbone")
        if called:
            backbone(keras.Input((3,)))
        second = keras.Input((3,))
        return keras.Model(second, layers.Dense(2)(backbone(second)))

    _save(folder, build(True), build(False), "h5")


def shared_backbone(folder):
    """Whether they load within some seconds."""
    import signal

    def stop(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, stop)
    seen = {}
    for name in ("control", "shown"):
        signal.alarm(10)
        seen[name] = accepted(lambda name=name: _load(Path(folder) / f"{name}.h5"))
        signal.alarm(0)
    return seen


def vocabulary(folder=None):
    """A vocabulary with a line separator in an entry, saved and loaded; and one without."""
    import tempfile

    def run(words):
        first = keras.Input((1,), dtype="string")
        lookup = layers.StringLookup()
        lookup.adapt(np.array(words))
        model = keras.Model(first, lookup(first))
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "model.keras"
            model.save(str(path))
            return [
                str(len(layer.get_vocabulary()))
                for layer in _load(path).layers
                if hasattr(layer, "get_vocabulary")
            ]

    return {"shown": outcome(lambda: run(["a", "b\x0bc", "d\u2028e"])), "control": run(["a", "b", "c"])}


@(keras.saving.register_keras_serializable("proofs") if not LEGACY else lambda it: it)
class Tower(layers.Layer):
    """Dense layers in a list of lists, or in a plain list."""

    def __init__(self, nested=True, **options):
        super().__init__(**options)
        self.nested = nested
        self.parts = [[layers.Dense(3)], [layers.Dense(3)]] if nested else [layers.Dense(3), layers.Dense(3)]

    def build(self, shape):
        """Build each."""
        for part in self._each():
            part.build(shape)
        self.built = True

    def _each(self):
        return [part[0] for part in self.parts] if self.nested else list(self.parts)

    def call(self, x):
        """Each in turn."""
        for part in self._each():
            x = part(x)
        return x

    def get_config(self):
        """With the way of nesting."""
        return {**super().get_config(), "nested": self.nested}


def nested_layers(folder=None):
    """Whether weights of layers in a list of lists come back, and of those in a list."""
    import tempfile
    import warnings

    def run(nested):
        model = _sequence(Tower(nested), shape=(3,))
        x = normal(2, 3)
        with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(place) / "model.keras"
            model.save(str(path))
            return str(bool(np.allclose(np.array(model(x)), np.array(_load(path)(x)))))

    return {"shown": outcome(lambda: run(True)), "control": run(False)}


def keras_2_h5_sigmoid_save(folder):
    """A file with hard_sigmoid."""
    _save(folder, fill(_sequence(layers.Activation("hard_sigmoid"))), _sequence(layers.Dense(2)), "h5")
