"""The same model, computed in another order: nothing but rounding may differ.

`KV_CORPUS_ORDER` names the order, in the environment of a pair's candidate: `eager`, `jit`, `halves` (two
smaller batches), `permuted` (the terms of each product in another order) or `split` (in two partial sums).
"""

import os

import numpy as np
import tensorflow as tf

ORDER = os.environ.get("KV_CORPUS_ORDER", "")


def rearranged(model):
    """Return the model, set to the order that the environment names."""
    if ORDER == "eager":
        model.run_eagerly = True
    elif ORDER == "jit":
        model.jit_compile = True
    elif ORDER == "halves":
        model.call = _in_halves(model.call)
    elif ORDER in ("permuted", "split"):
        _contract_otherwise()
    return model


def _in_halves(call):
    def halves(inputs, **options):
        middle = tf.shape(tf.nest.flatten(inputs)[0])[0] // 2
        parts = [
            call(tf.nest.map_structure(lambda x, part=part: x[part], inputs), **options)
            for part in (slice(None, middle), slice(middle, None))
        ]
        return tf.nest.map_structure(lambda *tensors: tf.concat(tensors, 0), *parts)

    return halves


def _contract_otherwise():
    """Replace matrix products and convolutions of Keras 3 by the same sums in another order."""
    from keras.src import backend

    matmul, conv = backend.numpy.matmul, backend.nn.conv

    def product(first, second):
        terms = tf.convert_to_tensor(first).shape[-1]
        if terms is None or len(second.shape) < 2:
            return matmul(first, second)
        return _summed(
            lambda part: matmul(tf.gather(first, part, axis=-1), tf.gather(second, part, axis=-2)), terms
        )

    def convolution(inputs, kernel, *settings, **options):
        channels = inputs.shape[-1]
        if channels != kernel.shape[-2] or channels < 2:  # grouped, or nothing to sum
            return conv(inputs, kernel, *settings, **options)
        kernel = tf.convert_to_tensor(kernel)
        return _summed(
            lambda part: conv(
                tf.gather(inputs, part, axis=-1), tf.gather(kernel, part, axis=-2), *settings, **options
            ),
            channels,
        )

    backend.numpy.matmul, backend.nn.conv = product, convolution


def _summed(contract, terms):
    if ORDER == "permuted" or terms < 2:
        return contract(np.random.default_rng(1).permutation(terms))
    middle = terms // 2
    return contract(np.arange(middle)) + contract(np.arange(middle, terms))
