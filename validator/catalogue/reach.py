"""Which layers of a model a known change can reach."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass

from validator.catalogue.description import UNKNOWN, DescribedLayer, Description
from validator.catalogue.entries import LEGACY, CatalogueEntry, Feature, changes

#: What every compiled model has that is evaluated or trained, even where nothing else is known of it.
_OF_EVERY: frozenset[Feature] = frozenset({"compiled", "loss", "metrics"})


@dataclass(frozen=True)
class Reached:
    """A change that can reach a model: at these layers, or in the model as a whole where there are none."""

    change: CatalogueEntry
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReleasePair:
    """Two releases of Keras (`tf-keras` for Keras 2), and the backend of both."""

    baseline: str
    candidate: str
    backend: str = "tensorflow"

    def concerns(self, change: CatalogueEntry) -> bool:
        """Whether a change lies between the two."""
        fits = not change.backends or self.backend in change.backends
        return fits and change.between(self.baseline, self.candidate)


def known_changes(model: Description, pair: ReleasePair) -> list[Reached]:
    """Every change between two releases that can reach a model, in the order of the catalogue."""
    reached = (reach(change, model) for change in changes() if pair.concerns(change))
    return [each for each in reached if each is not None]


def reach(
    change: CatalogueEntry, model: Description, *, compiled: bool = False, sure: bool = False
) -> Reached | None:
    """Where a change can reach a model; None where it cannot.

    Args:
        change: of the catalogue.
        model: as far as it is known.
        compiled: the model is known to be compiled, although it is not known how.
        sure: what the source computes does not count: a loss or an optimizer must be known to be the one.
    """
    print_ = change.fingerprint
    open_ = _OF_EVERY if compiled and model.compiled is None else frozenset()
    features = set(print_.features) - open_ <= model.features
    if not features or not _compilation_fits(change, model, sure=sure):
        return None
    if print_.code:
        operations = tuple(layer.name for layer in model.layers if _is_operation(layer, print_.code))
        if not operations and not any(_calls(model.source, name) for name in print_.code):
            return None
        return Reached(change, operations)
    if print_.any_setting:
        layers = [layer.name for layer in model.layers if _holds(layer.config, print_.any_setting)]
        return Reached(change, tuple(layers)) if layers else None
    if not (print_.layers or print_.any_layer or print_.custom):
        return Reached(change)
    layers = [layer.name for layer in model.layers if layer_fits(change, layer)]
    return Reached(change, tuple(layers)) if layers else None


def layer_fits(change: CatalogueEntry, layer: DescribedLayer) -> bool:
    """Whether a layer is of a kind, and set in a way, that a change reaches."""
    print_ = change.fingerprint
    named = layer.class_name in print_.layers and not layer.own_code  # a name of Keras may be the user's too
    kind = print_.any_layer or named or (print_.custom and layer.own_code)
    return kind and all(fits(layer.config.get(key), required) for key, required in print_.where.items())


def code_fits(change: CatalogueEntry, layer: DescribedLayer, model: Description) -> bool:
    """Whether a layer's code, or without a name the model's, calls a function that a change is about."""
    if _is_operation(layer, change.fingerprint.code):
        return True
    for node in ast.walk(ast.parse(model.source)):
        if isinstance(node, ast.ClassDef) and node.name == layer.class_name:
            return any(_calls(ast.unparse(node), name) for name in change.fingerprint.code)
    return not layer.name


def _is_operation(layer: DescribedLayer, functions: tuple[str, ...]) -> bool:
    """Whether a node of the graph is the operation of a function: `Resize` of `resize`."""
    return not layer.own_code and layer.class_name in {
        "".join(part.capitalize() for part in name.split("_")) for name in functions
    }


def fits(value: object, required: str) -> bool:
    """Whether a setting is as the catalogue asks: `set`, `true`, `> 0`, `> 1`, `not -1`, a value."""
    if required.startswith(">"):
        return any(number > float(required[1:]) for number in _numbers(value))
    if required.startswith("not "):
        return any(number != float(required[4:]) for number in _numbers(value))
    named = {
        "set": value is not None,
        "true": value is True,
        "several": isinstance(value, list | tuple) and len(value) > 1,
        "negative": any(number < 0 for number in _numbers(value)),
    }
    return named.get(required, str(value).lower() == required)


def _numbers(value: object) -> list[float]:
    parts = value if isinstance(value, list | tuple) else [value]
    return [float(part) for part in parts if isinstance(part, int | float) and not isinstance(part, bool)]


def _holds(value: object, required: tuple[str, ...]) -> bool:
    """Whether one of some strings is a setting, however deep."""
    if isinstance(value, Mapping):
        return any(_holds(part, required) for key, part in value.items() if key != "name")
    if isinstance(value, list | tuple):
        return any(_holds(part, required) for part in value)
    return isinstance(value, str) and value in required


def _compilation_fits(change: CatalogueEntry, model: Description, *, sure: bool) -> bool:
    print_ = change.fingerprint
    if not (print_.losses or print_.metrics or print_.optimizer):
        return True
    if model.compiled is None:
        return False
    computed = frozenset() if sure else frozenset({UNKNOWN})
    losses = not print_.losses or {*print_.losses, *computed} & set(model.compiled.losses)
    metrics = not print_.metrics or {*print_.metrics, *computed} & set(model.compiled.metrics)
    optimizer = {"class": model.compiled.optimizer.lower(), **model.compiled.settings}
    settings = model.compiled.optimizer in computed or all(
        fits(optimizer.get(key), required.lower()) for key, required in print_.optimizer.items()
    )
    return bool(losses and metrics and settings)


def _calls(source: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\s*\(", source) is not None


def release_of(package: str, version: str) -> str:
    """What the catalogue calls a release: `tf-keras` for every Keras 2."""
    return LEGACY if package in ("tf-keras", "tf_keras") or version.startswith("2.") else version
