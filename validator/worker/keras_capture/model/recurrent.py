"""Leaves out of Keras 2 what only a GPU would run."""

from __future__ import annotations

import importlib
from types import ModuleType


def without_gpu_variants(keras: ModuleType) -> None:
    """Trace the cuDNN variant of recurrent layers only where there is a GPU.

    Keras 2.15 and tf_keras trace it, with its gradients, beside every call of a GRU or LSTM, and nobody calls
    it: TensorFlow may put it in place of the layer's own function on a GPU. It takes half of the time of
    such a model. https://github.com/keras-team/tf-keras/blob/v2.17.0/tf_keras/layers/rnn/gru_lstm_utils.py
    """
    try:
        utilities = importlib.import_module(f"{keras.__name__}.src.layers.rnn.gru_lstm_utils")
        trace = utilities.function_register
    except (ImportError, AttributeError):  # an older one, which does it in another way
        return

    def function_register(function: object, *arguments: object, **named: object) -> object:
        import tensorflow

        if tensorflow.config.get_visible_devices("GPU"):
            return trace(function, *arguments, **named)
        return None

    utilities.function_register = function_register
