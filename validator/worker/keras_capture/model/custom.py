"""The user's modules: custom layers and functions by name, builders and input functions."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
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


@contextlib.contextmanager
def imports_from(folder: Path) -> Iterator[None]:
    """Import the user's modules from another folder for a time, whatever was imported under their names."""

    def is_own(name: str) -> bool:
        top = name.partition(".")[0]
        return (folder / f"{top}.py").is_file() or (folder / top).is_dir()

    aside = {name: module for name, module in sys.modules.items() if is_own(name) and _is_users(module)}
    for name in aside:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name, module in sys.modules.items() if is_own(name) and _is_users(module)]:
            del sys.modules[name]
        sys.modules.update(aside)


def _is_users(module: ModuleType) -> bool:
    """Whether a module belongs to no installed package."""
    places = [getattr(module, "__file__", None), *(getattr(module, "__path__", None) or ())]
    paths = [Path(place) for place in places if place]
    installed = (Path(sys.prefix), Path(sys.base_prefix))
    return bool(paths) and not any(prefix in path.parents for path in paths for prefix in installed)


def function(reference: str) -> Callable:
    """The function behind `package.module:function`."""
    module_name, _, attribute = reference.partition(":")
    member = getattr(importlib.import_module(module_name), attribute, None)
    if not callable(member):
        raise UnusableError(f"the module {module_name!r} has no function {attribute!r}")
    return member
