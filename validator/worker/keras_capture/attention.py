"""Turns Keras' own switch for flash attention (3.7.0 and newer) before a model is loaded."""

from __future__ import annotations

from keras_capture.failures import UnusableError
from keras_capture.imports import Framework

AS_SAVED = "as-saved"
_OFF = "flash-off"


def switch(framework: Framework, wanted: str) -> None:
    """Turn the switch, which layers read as they are made. Clearing the session turns it back.

    Raises:
        UnusableError: this Keras has none.
    """
    if wanted == AS_SAVED:
        return
    name = "disable_flash_attention" if wanted == _OFF else "enable_flash_attention"
    turn = getattr(getattr(framework.keras, "config", None), name, None)
    if turn is None:
        raise UnusableError(
            f"{framework.name} {framework.version} has no switch for flash attention; "
            "Keras has one from 3.7.0 on"
        )
    turn()


def require(framework: Framework, model: object, wanted: str) -> str:
    """Make sure that the model's layers took the switch on. Returns what a person should know, or nothing.

    Raises:
        UnusableError: a layer was made with a choice of its own.
    """
    if wanted == AS_SAVED:
        return ""
    layers = model._flatten_layers(include_self=False, recursive=True)
    heeding = [layer for layer in layers if hasattr(layer, "_flash_attention")]
    if not heeding:
        return "no layer of this model asks Keras' switch for flash attention, so it changes nothing"
    own = [layer.name for layer in heeding if (layer._flash_attention is False) != (wanted == _OFF)]
    if own:
        raise UnusableError(
            f"asked for {wanted}, but {', '.join(own[:3])} chose for itself by the argument flash_attention"
        )
    return ""
