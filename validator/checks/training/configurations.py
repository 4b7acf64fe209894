"""Settings of a layer, a loss or an optimiser on both sides → those that differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from validator.checks.training.answers import Configuration, SettingValue
from validator.checks.training.types import SettingChange

#: Names and dtypes differ between Keras versions without any effect on what is computed.
_IGNORED = frozenset({"name", "dtype"})


def setting_changes(
    baseline: Configuration, candidate: Configuration, owner: str = ""
) -> tuple[SettingChange, ...]:
    """Settings that both sides have and that differ; of an object in a setting, its own settings."""
    both = ((name, old, candidate[name]) for name, old in baseline.items() if name in candidate)
    return tuple(
        SettingChange(name=path, baseline=before, candidate=after, owner=owner)
        for name, old, new in both
        if name not in _IGNORED
        for path, before, after in _changes(name, old, new)
    )


def _changes(name: str, old: object, new: object) -> Iterator[tuple[str, SettingValue, SettingValue]]:
    """Keras 2 and 3 write an object in different ways: only its class and settings count."""
    before, after = _opened(old), _opened(new)
    if before is None or after is None or before[0] != after[0]:
        if old != new:
            yield name, _written(old), _written(new)
        return
    for key in dict.fromkeys((*before[1], *after[1])):
        if key not in _IGNORED:
            yield from _changes(f"{name}.{key}", before[1].get(key), after[1].get(key))


def _opened(value: object) -> tuple[object, dict[str, object]] | None:
    """Class and settings of an object in a setting, which may be JSON; None of anything else."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, dict) or "class_name" not in value or not isinstance(value.get("config"), dict):
        return None
    return value["class_name"], value["config"]


def _written(value: object) -> SettingValue:
    simple = isinstance(value, bool | int | float | str | None)
    return cast(SettingValue, value) if simple else json.dumps(value, sort_keys=True)
