"""Turns Keras' own switch for flash attention (3.7.0 and newer) before a model is loaded."""

from __future__ import annotations

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework, layers_of
from keras_capture.wire.request import AS_SAVED

_OFF = "flash-off"


def switch(framework: Framework, choice: str) -> None:
    """Turn the switch, which layers read as they are made. Clearing the session turns it back."""
    if choice == AS_SAVED:
        return
    name = "disable_flash_attention" if choice == _OFF else "enable_flash_attention"
    turn = getattr(getattr(framework.keras, "config", None), name, None)
    if turn is None:
        raise UnusableError(
            f"{framework.name} {framework.version} has no switch for flash attention; "
            "Keras has one from 3.7.0 on"
        )
    turn()


def require(model: object, choice: str) -> str:
    """Make sure that the model's layers took the switch on. Returns what a person should know, or nothing."""
    if choice == AS_SAVED:
        return ""
    # Private; from 3.7.0 to 3.15.1 a layer that asks the switch keeps the answer here:
    # https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/attention/multi_head_attention.py#L175
    heeding = [layer for layer in layers_of(model) if hasattr(layer, "_flash_attention")]
    if not heeding:
        return "no layer of this model asks Keras' switch for flash attention, so it changes nothing"
    own = [layer.name for layer in heeding if (layer._flash_attention is False) != (choice == _OFF)]
    if own:
        raise UnusableError(
            f"asked for {choice}, but {', '.join(own[:3])} chose for itself by the argument flash_attention"
        )
    return ""
