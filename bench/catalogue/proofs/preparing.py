"""Proofs about layers that prepare data."""

import numpy as np
from common import layers, normal, numbers, outcome, rng


def empty_multi_hot():
    """multi_hot of an empty text, and of a text with a known word."""
    layer = layers.TextVectorization(output_mode="multi_hot", vocabulary=["a", "b", "c"])
    import tensorflow as tf

    return {
        "shown": numbers(layer(tf.constant(["", "a"])))[0],
        "control": numbers(layer(tf.constant(["a", "b c"]))),
    }


def adapted_bins():
    """Boundaries adapted to recorded ages, and boundaries that are given."""
    layer = layers.Discretization(num_bins=8)
    layer.adapt(rng(21).gamma(4.0, 10.0, 500).astype("float32").reshape(-1, 1))
    given = layers.Discretization(bin_boundaries=[0.0, 1.0])
    return {
        "shown": np.array(layer.bin_boundaries).ravel(),
        "control": np.array(given.bin_boundaries).ravel(),
    }


def vector_mean():
    """Normalization over two axes in the middle by a vector of means, and over the last axis."""

    def run(axis):
        layer = layers.Normalization(axis=axis, mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0] * 4)
        return numbers(layer(np.zeros((2, 3, 4, 4), "float32")))

    return {"shown": outcome(lambda: run((1, 2))), "control": run(-1)}


def resized_masks():
    """Segmentation masks resized beside an image, and the image."""
    layer = layers.Resizing(4, 4)
    data = {
        "images": np.abs(normal(1, 6, 6, 3)) * 20,
        "segmentation_masks": rng(1).integers(0, 9, (1, 6, 6, 1)).astype("float32"),
    }
    result = layer(data)
    return {"shown": numbers(result["segmentation_masks"]), "control": numbers(result["images"])}
