"""The settings of layers, losses and optimizers, as far as JSON can hold them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Dict, Optional, Union

import numpy as np

Setting = Optional[Union[bool, int, float, str]]
_LONGEST = 500  # characters of a value


def settings(get_config: Callable[[], dict]) -> Dict[str, Setting]:
    """What a configuration says; what cannot be written down, or only at length, is left out."""
    try:
        config = get_config()
    except Exception:  # a class of the user's own need not have one
        return {}
    found = {str(key): _simple(value) for key, value in config.items()}
    return {key: value for key, value in found.items() if _is_kept(value)}


def _simple(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        # a float32 that went through a variable is written as it was given: 0.002, not 0.0020000000949949026
        return float(str(np.float32(value))) if math.isfinite(value) else None
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, default=lambda item: type(item).__name__, sort_keys=True)
    return value


def _is_kept(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST
    return isinstance(value, (bool, int, float, type(None)))
