"""What every model here shares: the environment's Keras, the edit, and the same weights everywhere."""

import os
import zlib

import numpy as np

LEGACY = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
#: Whether this is the edited side of a pair of environments with the same packages.
EDITED = os.environ.get("KV_CORPUS_EDIT") == "1"

#: Another seed draws other weights and other inputs, in every environment of a run.
SEED = [int(seed) for seed in os.environ.get("KV_CORPUS_SEED", "").split()]

if LEGACY:
    import tf_keras as keras
else:
    import keras

layers = keras.layers


class Edit:
    """Picks the edited value of the one thing that `change` names, on the edited side alone."""

    def __init__(self, change=""):
        self.change = change if EDITED else ""

    def __call__(self, name, new, old):
        """Return `new` where the change of that name is on, else `old`."""
        return new if self.change == name else old


def filled(model, gain=1.0):
    """Give every weight a value that depends on its layer's name and its place in the layer alone."""
    for layer in model.layers:
        if layer.weights:
            seed = zlib.crc32(layer.name.encode())
            layer.set_weights(
                [_drawn(weight, [seed, place, *SEED], gain) for place, weight in enumerate(layer.weights)]
            )
    return _rearranged(model)


def _rearranged(model):
    if "KV_CORPUS_ORDER" not in os.environ:  # the orders need TensorFlow
        return model
    from corpus_models.rearranged import rearranged

    return rearranged(model)


def _drawn(weight, seed, gain):
    random = np.random.default_rng(seed)
    name, shape = weight.name.split(":")[0].split("/")[-1], tuple(weight.shape)
    if name in ("gamma", "moving_variance", "scale"):
        return (1 + 0.3 * random.random(shape)).astype("float32")
    values = random.standard_normal(shape)
    if len(shape) < 2:
        values *= 0.1
    elif name != "embeddings":
        values *= gain / np.sqrt(np.prod(shape[:-1]))
    return values.astype("float32")
