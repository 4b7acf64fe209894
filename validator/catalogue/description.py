"""What is known of a model without running it: its layers, their settings, and how it is compiled.

It is made from a configuration as Keras saves it, or from the layers that a worker recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from validator.catalogue.entries import Feature

Config = Mapping[str, object]
_MODELS = frozenset({"Functional", "Sequential", "Model"})
_FRAMEWORKS = frozenset({"keras", "tf_keras", "tensorflow"})
_MERGES = frozenset({"Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract"})
_HALF = ("float16", "bfloat16")
#: What nothing but a compilation tells.
OF_COMPILATION: frozenset[Feature] = frozenset(
    {"compiled", "loss", "loss-weights", "losses-by-name", "metrics"}
)
#: Of a source: what is computed, and so not spelled out.
UNKNOWN = "…"


@dataclass(frozen=True)
class DescribedLayer:
    """One layer. `inputs`: the names of the layers before it; `own_code`: it is not the framework's."""

    name: str
    class_name: str
    config: Config = field(default_factory=dict)
    own_code: bool = False
    inputs: tuple[str, ...] = ()
    listed: bool = False
    masked_by_hand: bool = False

    @property
    def dtype(self) -> str:
        """The dtype or policy that it names; empty for none."""
        return _policy(self.config.get("dtype"))


@dataclass(frozen=True)
class Compiled:
    """How a model is compiled, as it was saved or as its source spells it; `UNKNOWN` for what it computes.

    `by_name`: the losses are a dict, by the names of outputs.
    """

    losses: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    optimizer: str = ""
    settings: Config = field(default_factory=dict)
    loss_weights: bool = False
    by_name: bool = False


@dataclass(frozen=True)
class Description:
    """A model.

    Attributes:
        compiled: None where it is not compiled, or nothing is known of it.
        features: beside its layers, what the catalogue may ask for.
        source: the text of the model's own code, where it is at hand.
        keras: the release that saved it; empty where that is not known.
        complete: whether its layers are known, rather than only its code.
        config: the saved configuration itself; empty where there is none.
    """

    layers: tuple[DescribedLayer, ...]
    features: frozenset[Feature] = frozenset()
    compiled: Compiled | None = None
    source: str = ""
    keras: str = ""
    complete: bool = True
    config: Config = field(default_factory=dict, repr=False, compare=False)


def describe_config(config: Config, keras: str = "", more: frozenset[Feature] = frozenset()) -> Description:
    """A model by its saved configuration (`config.json`, or the attribute `model_config` of an HDF5 file)."""
    layers = tuple(_layers(config))
    compiled = _compiled(config.get("compile_config"))
    features = {
        *more,
        *features_of(layers),
        *_ends(config),
        *(compilation_features(compiled) if compiled else ()),
    }
    if config.get("class_name") not in _MODELS:
        features |= {"not-functional"}
    return Description(layers, frozenset(features), compiled, keras=keras, config=config)


def features_of(layers: Sequence[DescribedLayer]) -> Iterator[Feature]:
    """What can be told from the layers alone."""
    masking = [layer for layer in layers if _makes_mask(layer)]
    policies = {layer.dtype for layer in layers if layer.dtype and layer.class_name != "InputLayer"}
    floating = {policy for policy in policies if "float" in policy}
    has: dict[Feature, bool] = {
        "mask": bool(masking),
        "several-masks": len(masking) > 1 or _joins_masks(layers),
        "half": any(name in policy for policy in policies for name in _HALF),
        "mixed-policies": len(floating) > 1,
        "integer-input": any(layer.dtype.startswith(("int", "uint")) for layer in _inputs(layers)),
        "list-input": any(layer.own_code and layer.listed for layer in layers),
        "explicit-mask": any(layer.masked_by_hand for layer in layers),
        "lora": any(layer.config.get("lora_rank") for layer in layers),
        "nested-model": sum(layer.class_name in _MODELS for layer in layers) > 0,
    }
    yield from (name for name, present in has.items() if present)


def _joins_masks(layers: Sequence[DescribedLayer]) -> bool:
    """Whether a merge joins what comes from two different sources of masks."""
    makes = {layer.name for layer in layers if _makes_mask(layer)}
    return any(layer.class_name in _MERGES and len(makes & set(layer.inputs)) > 1 for layer in layers)


def _makes_mask(layer: DescribedLayer) -> bool:
    return layer.config.get("mask_zero") is True or layer.class_name == "Masking"


def _inputs(layers: Sequence[DescribedLayer]) -> list[DescribedLayer]:
    return [layer for layer in layers if layer.class_name in ("InputLayer", "Input")]


def _layers(config: Config, prefix: str = "") -> Iterator[DescribedLayer]:
    """Every layer of a saved model, those of models in it by their path."""
    inner = _mapping(config.get("config"))
    for saved in _list(inner.get("layers")):
        entry = _mapping(saved)
        described = _layer(entry, prefix)
        if described is None:
            continue
        yield described
        yield from _layers(entry, f"{described.name}/")
        yield from _wrapped(described)


def _layer(entry: Config, prefix: str) -> DescribedLayer | None:
    class_name = str(entry.get("class_name", ""))
    module = str(entry.get("module") or "")
    if ".ops." in module or not class_name:
        return None  # an operation of the graph
    inner = _mapping(entry.get("config"))
    name = str(entry.get("name") or inner.get("name") or class_name)
    registered = entry.get("registered_name")
    own = bool(module) and module.partition(".")[0] not in _FRAMEWORKS
    own = own or ("module" in entry and entry.get("module") is None) or ">" in str(registered or "")
    nodes = _list(entry.get("inbound_nodes"))
    return DescribedLayer(
        name=f"{prefix}{name}",
        class_name=class_name,
        config=inner,
        own_code=own,
        inputs=tuple(dict.fromkeys(f"{prefix}{before}" for before in _before(nodes))),
        listed=any(_takes_list(node) for node in nodes),
        masked_by_hand=any(_mapping(_mapping(node).get("kwargs")).get("mask") for node in nodes),
    )


def _wrapped(layer: DescribedLayer) -> Iterator[DescribedLayer]:
    """The layer that Bidirectional or TimeDistributed wraps."""
    inner = layer.config.get("layer")
    if isinstance(inner, Mapping) and inner.get("class_name"):
        described = _layer(inner, f"{layer.name}/")
        if described is not None:
            yield described


def _takes_list(node: object) -> bool:
    if isinstance(node, list):  # Keras 2
        return len(node) > 1
    arguments = _list(_mapping(node).get("args"))
    return bool(arguments) and isinstance(arguments[0], list)


def _before(value: object) -> Iterator[str]:
    """The layers that the tensors in a node come from."""
    if isinstance(value, Mapping):
        history = value.get("keras_history")
        if isinstance(history, list) and history:
            yield str(history[0])
        for part in value.values():
            yield from _before(part)
    elif isinstance(value, list):
        if value and isinstance(value[0], str) and len(value) in (3, 4):  # Keras 2: name, node, tensor
            yield value[0]
        for part in value:
            yield from _before(part)


def _ends(config: Config) -> Iterator[Feature]:
    """Several inputs or outputs, and whether their names are in another order than the alphabet's."""
    inner = _mapping(config.get("config"))
    both: tuple[tuple[str, Feature, Feature], ...] = (
        ("input_layers", "several-inputs", "unsorted-inputs"),
        ("output_layers", "several-outputs", "unsorted-outputs"),
    )
    for ends, several, unsorted in both:
        names = [str(end[0]) for end in _list(inner.get(ends)) if isinstance(end, list) and end]
        if len(names) > 1:
            yield several
            if names != sorted(names):
                yield unsorted


def _compiled(value: object) -> Compiled | None:
    saved = _mapping(value)
    if not saved:
        return None
    optimizer = saved.get("optimizer")
    settings = _mapping(_mapping(optimizer).get("config"))
    name = optimizer if isinstance(optimizer, str) else _mapping(optimizer).get("class_name", "")
    metrics = (*_names(saved.get("metrics")), *_names(saved.get("weighted_metrics")))
    loss = saved.get("loss")
    return Compiled(
        losses=tuple(_names(loss)),
        metrics=metrics,
        optimizer=str(name),
        settings=settings,
        loss_weights=bool(saved.get("loss_weights")),
        by_name=isinstance(loss, Mapping) and "class_name" not in loss,
    )


def compilation_features(compiled: Compiled) -> Iterator[Feature]:
    """What the catalogue may ask for of a compilation."""
    has: dict[Feature, bool] = {
        "compiled": True,
        "loss": bool(compiled.losses),
        "metrics": bool(compiled.metrics),
        "loss-weights": compiled.loss_weights,
        "losses-by-name": compiled.by_name,
    }
    yield from (name for name, present in has.items() if present)


def _names(value: object) -> Iterator[str]:
    """Losses or metrics by name or class, however deeply they are nested."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if "class_name" in value:
            yield str(value["class_name"])
            yield from (
                str(part) for part in [_mapping(value.get("config")).get("fn")] if isinstance(part, str)
            )
        else:
            for part in value.values():
                yield from _names(part)
    elif isinstance(value, list):
        for part in value:
            yield from _names(part)


def _policy(value: object) -> str:
    if isinstance(value, Mapping):
        return str(_mapping(value.get("config")).get("name") or "")
    return str(value or "")


def _mapping(value: object) -> Config:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else ()
