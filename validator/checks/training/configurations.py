"""Settings of a layer, a loss or an optimiser on both sides → those that differ."""

from __future__ import annotations

import json

from validator.checks.training.answers import Configuration, SettingValue
from validator.checks.training.types import SettingChange

#: Names and dtypes differ between Keras versions without any effect on what is computed.
_IGNORED = frozenset({"name", "dtype"})


def setting_changes(
    baseline: Configuration, candidate: Configuration, owner: str = ""
) -> tuple[SettingChange, ...]:
    """Settings that both sides have and that differ."""
    return tuple(
        SettingChange(name=name, baseline=old, candidate=candidate[name], owner=owner)
        for name, old in baseline.items()
        if name in candidate and name not in _IGNORED and _core(old) != _core(candidate[name])
    )


def _core(value: SettingValue) -> object:
    """A setting; of a nested configuration, which Keras 2 and 3 write differently, its class and settings."""
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        nested = json.loads(value)
        config = nested.get("config") or {}
        kept = {name: item for name, item in config.items() if item is not None and name not in _IGNORED}
        return nested["class_name"], kept
    except (ValueError, KeyError):  # no JSON, or no configuration
        return value
