"""The user's modules: custom layers and functions by name, builders and input functions."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework


def custom_objects(framework: Framework, modules: Sequence[str]) -> dict:
    """Public classes and functions of the modules, by name and by the name they are registered under.

    Offering the registered names too lets each job see its own classes where two modules register the same.
    """
    objects = {}
    for name in modules:
        for attribute, value in _public(importlib.import_module(name)).items():
            objects[attribute] = value
            objects[framework.keras.utils.get_registered_name(value)] = value
    return objects


def _public(module: ModuleType) -> dict:
    """What the module defines itself (or in its submodules), and whatever it lists in `__all__`."""
    listed = set(getattr(module, "__all__", ()))
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and isinstance(getattr(value, "__name__", None), str)
        and (name in listed or (not name.startswith("_") and _defined_in(value, module.__name__)))
    }


def _defined_in(value: object, module: str) -> bool:
    origin = getattr(value, "__module__", None) or ""
    return origin == module or origin.startswith(module + ".")


def function(reference: str) -> Callable:
    """The function behind `package.module:function`."""
    module_name, _, attribute = reference.partition(":")
    member = getattr(importlib.import_module(module_name), attribute, None)
    if not callable(member):
        raise UnusableError(f"the module {module_name!r} has no function {attribute!r}")
    return member
