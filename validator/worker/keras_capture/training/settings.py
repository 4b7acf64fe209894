"""The settings of layers, losses and optimizers, as far as JSON can hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Dict

import numpy as np

from keras_capture.model.imports import Framework, layers_of
from keras_capture.training.model import optimizers_of

_LONGEST = 4000  # characters of a value; an optimizer in another is some hundred


def described(framework: Framework, model: object) -> dict:
    """What the optimizers, the loss and the layers are, as far as they say."""
    loss = getattr(model, "loss", None)
    named = {"class": str(getattr(loss, "__name__", None) or loss)[:200]}
    return {
        "optimizer": {name: _classed(optimizer) for name, optimizer in optimizers_of(model).items()},
        "loss": _classed(loss) if hasattr(loss, "get_config") else named,
        "layers": [
            {"name": layer.name, "class_name": type(layer).__name__, "config": _settings(layer.get_config)}
            for layer in layers_of(model)
        ],
    }


def _classed(item: object) -> Dict[str, object]:
    return {"class": type(item).__name__, **_settings(item.get_config)}


def _settings(get_config: Callable[[], dict]) -> Dict[str, object]:
    """What a configuration says; what cannot be written down, or only at length, is left out."""
    try:
        config = get_config()
    except Exception:  # a class of the user's own need not have one
        return {}
    simple = {str(key): _simple(value) for key, value in config.items()}
    kinds = (bool, int, float, str, type(None))
    return {
        key: value
        for key, value in simple.items()
        if isinstance(value, kinds) and len(str(value)) <= _LONGEST
    }


def _simple(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        # a float32 that went through a variable is written as it was given: 0.002, not 0.0020000000949949026
        return float(str(np.float32(value))) if math.isfinite(value) else None
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, default=lambda item: type(item).__name__, sort_keys=True)
    return value
