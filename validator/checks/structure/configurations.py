"""What two configurations of one layer differ in, beyond what releases only write otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

#: Names, positions in a file, what training alone looks at, and what is compared in other ways.
# fmt: off
_IGNORED = frozenset(
    {
        "activity_regularizer", "arguments", "autocast", "backward_layer", "batch_input_shape",
        "batch_shape", "build_config", "cell", "cells", "config", "dropout", "dtype", "flash_attention",
        "forward_layer", "function", "function_type", "fused", "implementation", "input_layers",
        "input_length", "input_shape", "layer", "layers", "module", "momentum", "name", "noise_shape",
        "output_layers", "output_shape", "output_shape_module", "output_shape_type",
        "quantization_config", "ragged", "recurrent_dropout", "registered_name", "seed", "sparse",
        "synchronized", "time_major", "trainable", "unroll", "use_cudnn", "virtual_batch_size",
        "vocabulary_size",
    }
)
# fmt: on
_IGNORED_ENDINGS = ("_initializer", "_regularizer", "_constraint")
#: What None stands for in a release that fills it in later.
_DEFAULTS = {"data_format": "channels_last", "activation": "linear", "recurrent_activation": "linear"}
#: Activations of two names: Keras 2 writes the first, Keras 3 the second.
_SAME_ACTIVATION = {"swish": "silu", "hard_swish": "hard_silu"}
_CLOSE = 1e-6  # a float that was written with fewer digits


def configuration_changes(
    old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], rank: int | None
) -> Iterator[tuple[str, JsonValue, JsonValue]]:
    """Settings that both sides have, with other values: (name, old, new).

    A setting that only one side knows came or went with a release and says nothing by itself. `rank`: of the
    layer's result, to read a negative axis.
    """
    for name in sorted(old.keys() & new.keys()):
        if name in _IGNORED or name.endswith(_IGNORED_ENDINGS):
            continue
        before, after = _plain(name, old[name], rank), _plain(name, new[name], rank)
        if not _same(before, after):
            yield name, before, after


def _plain(name: str, value: JsonValue, rank: int | None) -> JsonValue:
    if value is None:
        return _DEFAULTS.get(name)
    if isinstance(value, dict):
        return _object(value)
    if isinstance(value, list):
        value = _collapsed(value)
    if name.endswith("activation") and isinstance(value, str):
        return _SAME_ACTIVATION.get(value, value)
    if name == "axis" and isinstance(value, int) and value < 0 and rank:
        return value + rank
    return value


def _object(value: dict[str, JsonValue]) -> JsonValue:
    """A serialized function by its name, any other object by its class and its own settings."""
    config = value.get("config")
    if "class_name" not in value:
        return {key: _plain(key, item, None) for key, item in sorted(value.items())}
    if isinstance(config, str):
        return config
    if value["class_name"] in {"function", "Function"} and isinstance(config, dict):
        return config.get("name") or value.get("registered_name")
    inner = config if isinstance(config, dict) else {}
    kept = {key: _plain(key, item, None) for key, item in sorted(inner.items()) if key not in _IGNORED}
    return {"class_name": value["class_name"], **kept}


def _collapsed(value: JsonValue) -> JsonValue:
    """`[2, 2]` as 2: releases differ in whether they repeat a number for every dimension."""
    if not isinstance(value, list):
        return value
    items = [_collapsed(item) for item in value]
    if items and all(type(item) is type(items[0]) and item == items[0] for item in items):
        return items[0]
    return items


def _same(old: JsonValue, new: JsonValue) -> bool:
    if isinstance(old, int | float) and isinstance(new, int | float):
        return old == new or math.isclose(old, new, rel_tol=_CLOSE)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict) and isinstance(new, dict):
        return all(_same(old[key], new[key]) for key in old.keys() & new.keys())
    return old == new
