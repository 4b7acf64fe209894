"""What a place in a validator.yml names: a file beside it, a file that lies elsewhere, or a function."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from validator.config.settings import ModelSettings, Settings

#: How the address of something that lies elsewhere begins.
SCHEMES = ("hf", "s3", "gs", "az", "https", "http")
_ADDRESS = re.compile(rf"(?:{'|'.join(SCHEMES)})://\S|mlflow:(?:models|runs):/\S")
_ARCHIVES = (".keras", ".h5", ".hdf5")


def is_function(inputs: str) -> bool:
    """Whether inputs are a Python function, `package.module:function`, rather than a file."""
    module, separator, function = inputs.partition(":")
    return (
        bool(separator) and function.isidentifier() and all(part.isidentifier() for part in module.split("."))
    )


def is_remote(place: str) -> bool:
    """Whether a place is an address, such as `hf://org/model@revision/model.keras`, rather than a path."""
    return _ADDRESS.match(place) is not None


def may_be_folder(artifact: str) -> bool:
    """Whether a model's place may be a folder, by its name."""
    return not artifact.lower().endswith(_ARCHIVES)


def named_files(model: ModelSettings) -> dict[str, str]:
    """Setting → the file or address that it names, of all settings of a model that name one."""
    decode, training = model.decode, model.training
    places = {
        "artifact": model.artifact,
        "weights": model.weights,
        "inputs": model.inputs,
        "labels": model.labels,
        "decode.prompts": decode.prompts if decode else None,
        "training.inputs": training.inputs if training else None,
        "training.labels": training.labels if training else None,
    }
    return {setting: place for setting, place in places.items() if place and not is_function(place)}


def with_files(model: ModelSettings, places: Mapping[str, str]) -> ModelSettings:
    """The same model with other files: setting → place, as `named_files` has it."""
    update: dict[str, object] = {name: place for name, place in places.items() if "." not in name}
    for part in ("decode", "training"):
        inner = {
            name.removeprefix(f"{part}."): place
            for name, place in places.items()
            if name.startswith(f"{part}.")
        }
        if inner:
            update[part] = getattr(model, part).model_copy(update=inner)
    return model.model_copy(update=update)


def addresses(settings: Settings) -> tuple[str, ...]:
    """Every address that the models name, once, in the order of the file."""
    places = (place for model in settings.models for place in named_files(model).values())
    return tuple(dict.fromkeys(place for place in places if is_remote(place)))
