"""What a model is made of: class, configuration, dtype policy and weights of each layer and operation."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import List, Optional

import numpy as np

from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.perturbing import dtype_of, numpy_of
from keras_capture.numbers import deviation_of, hash_of
from keras_capture.structure.tapping import parameters_of

_LONGEST = 200  # characters of a string
_DEEPEST = 12
_FRAMEWORKS = frozenset({"keras", "tf_keras", "tensorflow"})
_MOST = 500  # items of a list


def describe(framework: Framework, owner: object) -> dict:
    """One layer or operation, as the protocol writes it. Nothing here runs the layer."""
    # `_dtype_policy` and `_autocast` are of Keras 2 (2.15, tf_keras 2.17); Keras 3 has public names.
    policy = getattr(owner, "dtype_policy", None) or getattr(owner, "_dtype_policy", None)
    return {
        "name": str(owner.name),
        "class_name": type(owner).__name__,
        "module": type(owner).__module__,
        "function": _function(owner),
        "container": isinstance(owner, framework.keras.Model),
        "policy": getattr(policy, "name", None),
        "compute_dtype": getattr(owner, "compute_dtype", None) or getattr(policy, "compute_dtype", None),
        "autocast": bool(getattr(owner, "autocast", getattr(owner, "_autocast", False))),
        "parameters": [parameter.name for parameter in parameters_of(owner) or ()],
        "config": {**_attributes(framework, owner), **_config(framework, owner)},
        "weights": [_weight(framework, weight) for weight in _own_weights(framework, owner)],
        "vocabulary": _vocabulary(owner),
    }


def _function(owner: object) -> str:
    """What a Keras 2 layer around a TensorFlow operation calls, for example `math.multiply`; else empty."""
    if type(owner).__name__ not in ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "InstanceMethod"):
        return ""
    return str(getattr(owner, "symbol", "") or "")


def _attributes(framework: Framework, owner: object) -> dict:
    """Plain attributes of a layer or model of the user's own, which few write into their configuration."""
    if type(owner).__module__.partition(".")[0] in _FRAMEWORKS:
        return {}
    keras = framework.keras
    every = vars((keras.Model if isinstance(owner, keras.Model) else keras.layers.Layer)())
    own = {name: value for name, value in vars(owner).items() if name not in every and name[:1] != "_"}
    return {name: plain(value) for name, value in own.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, np.generic, np.ndarray))


def _config(framework: Framework, owner: object) -> dict:
    """The configuration with defaults filled in; empty for a model (its layers say it) or without one."""
    if isinstance(owner, framework.keras.Model):
        return {}
    try:
        config = plain(owner.get_config())
    except Exception:  # user code; many custom layers have none
        return {}
    return config if isinstance(config, dict) else {}


def _own_weights(framework: Framework, owner: object) -> List[object]:
    """The weights of a layer with all in it; of a model those that no layer in it has."""
    weights = list(getattr(owner, "weights", ()))
    if not isinstance(owner, framework.keras.Model):
        return weights
    inner = {id(weight) for layer in layers_of(owner) if layer is not owner for weight in layer.weights}
    return [weight for weight in weights if id(weight) not in inner]


def _weight(framework: Framework, weight: object) -> dict:
    values = numpy_of(framework, weight)
    name = str(getattr(weight, "path", None) or weight.name)
    shape = [None if length is None else int(length) for length in weight.shape]
    return {
        "name": name.rpartition("/")[2].partition(":")[0],
        "shape": shape,
        "dtype": dtype_of(weight),
        "hash": hash_of([values]).hexdigest(),
        "deviation": deviation_of(values),
    }


def _vocabulary(owner: object) -> Optional[dict]:
    """How many entries a lookup has, and their hash; None for a layer without a vocabulary."""
    try:
        entries = [str(entry) for entry in owner.get_vocabulary()]
    except Exception:  # no lookup, or one without entries yet
        return None
    return {"entries": len(entries), "hash": _hash("\0".join(entries).encode("utf-8", errors="replace"))}


def plain(value: object, depth: int = 0) -> object:
    """A value as JSON: long ones by their hash, objects by the name of their class, NaN by its name."""
    if isinstance(value, (np.generic, np.ndarray)) and not value.ndim:
        value = value.item()
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {str(key): plain(item, depth + 1) for key, item in list(value.items())[:_MOST]}
    if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEEPEST:
        items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
        return [plain(item, depth + 1) for item in items[:_MOST]]
    return _leaf(value)


def _leaf(value: object) -> object:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"hash {_hash(value.encode('utf-8', errors='replace'))}"
    if isinstance(value, bytes):
        return f"hash {_hash(value)}"
    if isinstance(value, np.ndarray):
        return {"array": list(value.shape), "hash": hash_of([value]).hexdigest()}
    name = getattr(value, "__name__", None) or getattr(value, "name", None)
    return str(name) if isinstance(name, str) else type(value).__name__


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
