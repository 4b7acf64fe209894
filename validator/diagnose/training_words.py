"""The words of a diagnosed training: amounts, settings that differ, lists of names."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from validator.compare.training import Drift

Settings = dict[str, bool | int | float | str | None]
_SHOWN = 3


def amount(drift: Drift | None) -> str:
    """How far, in words: a share of its size, and times its noise."""
    if drift is None:
        return ""
    if not np.isfinite(drift.rms):
        return " (not finite on one side)"
    times = f", {drift.ratio:.0f}× its noise" if np.isfinite(drift.ratio) else ""
    share = f"{drift.relative:.1e} of its size" if np.isfinite(drift.relative) else f"{drift.rms:.1e}"
    return f" (by {share}{times})"


def in_double(difference: float | None) -> str:
    """What the float64 twin says of a layer."""
    if difference is None:
        return ""
    return f", in float64 too ({difference:.1e})" if difference > 1e-9 else ", but not in float64"


def lost(loss: Drift) -> str:
    """Whether one side is not finite."""
    return " (the loss is not finite on one side)" if not np.isfinite(loss.rms) else ""


def differing(whose: str, old: Settings, new: Settings) -> str:
    """Settings that both sides have and that differ, in words."""
    found = [
        f"`{key}` {old[key]} → {new[key]}"
        for key in old
        if key in new and old[key] != new[key] and key not in ("name", "dtype") and _plain(old[key], new[key])
    ]
    return f"; {whose} settings differ: {', '.join(found[:_SHOWN])}" if found else ""


def _plain(old: object, new: object) -> bool:
    """Nested configurations are written down differently by Keras 2 and 3: only their values count."""
    nested = [isinstance(value, str) and value.startswith(("{", "[")) for value in (old, new)]
    return not any(nested) or _core(str(old)) != _core(str(new))


def _core(text: str) -> str:
    """The class name and the settings of a nested configuration, without what only says where it is from."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and "class_name" in value:
        config = value.get("config") or {}
        kept = {
            key: item for key, item in config.items() if item is not None and key not in ("name", "dtype")
        }
        return f"{value['class_name']} {json.dumps(kept, sort_keys=True)}"
    return text


def listed(names: Sequence[str]) -> str:
    """Some of the names, and how many more."""
    shown = ", ".join(f"`{name}`" for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def layer_of(variable: str) -> str:
    """The layer of a variable."""
    return variable.rpartition("/")[0]


def shown(value: float | None) -> str:
    """A number, or that it is none."""
    return "not finite" if value is None else f"{value:.6g}"
