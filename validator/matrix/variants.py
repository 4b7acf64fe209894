"""How a model is run: the variants of a cell, and which of them an environment cannot run."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from packaging.version import Version

from validator.config.settings import Attention, Jit, Matrix, ModelSettings, OwnSetting, Precision
from validator.matrix.environment import Environment

AS_SAVED = "as-saved"
#: The first Keras whose attention layers heed `keras.config.disable_flash_attention`.
FLASH_SINCE = Version("3.7.0")
_ARCHIVES = frozenset({".keras", ".h5", ".hdf5", ".hdf"})


@dataclass(frozen=True)
class Variant:
    """How a model is run: `setting` is one of the model's own. Its name is empty when all is as saved."""

    precision: Precision = "as-saved"
    jit: Jit = "as-saved"
    attention: Attention = "as-saved"
    setting: str = AS_SAVED

    @property
    def name(self) -> str:
        """`float32`, `jit-on`, `float32+jit-on+flash-off+causal`, or empty."""
        jit = AS_SAVED if self.jit == AS_SAVED else f"jit-{self.jit}"
        named = (self.precision, jit, self.attention, self.setting)
        return "+".join(name for name in named if name != AS_SAVED)


def variants(matrix: Matrix, model: ModelSettings) -> Iterator[Variant]:
    """Every combination of a model's variant axes; its own come before those of all models."""
    own = model.matrix
    axes = itertools.product(
        matrix.precision if own.precision is None else own.precision,
        matrix.jit if own.jit is None else own.jit,
        matrix.attention if own.attention is None else own.attention,
        own.setting,
    )
    yield from itertools.starmap(Variant, axes)


def own_setting(model: ModelSettings, variant: Variant) -> OwnSetting:
    """What a variant's setting stands for; nothing at all for `as-saved`."""
    return OwnSetting() if variant.setting == AS_SAVED else model.settings[variant.setting]


def written(model: ModelSettings, variant: Variant) -> str:
    """A variant as one would write it down: `precision: float32, attention: causal`."""
    setting = own_setting(model, variant)
    axes = {"precision": variant.precision, "jit": variant.jit, "attention": variant.attention}
    parts = [f"{axis}: {value}" for axis, value in axes.items() if value != AS_SAVED]
    for name, value in setting.builder_arguments.items():
        parts.append(f"{name}: {str(value).lower() if isinstance(value, bool) else value}")
    parts += [f"{name}={value}" for name, value in setting.variables.items()]
    return ", ".join(parts)


def impossible(environment: Environment, model: ModelSettings, variant: Variant) -> str:
    """Why an environment cannot run a model under a variant, as far as a plan can know; empty if it can."""
    torch = variant.jit == "on" and environment.backend == "torch"
    return (
        _frozen(model, variant)
        or _without_flash(environment, variant)
        or ("jit is compilation by XLA, which the torch backend does not have" if torch else "")
        or _cut(environment, model, variant)
    )


def _frozen(model: ModelSettings, variant: Variant) -> str:
    """A SavedModel is a graph: dtypes and kernels were chosen when it was exported."""
    built = model.artifact is None or model.builder is not None
    if built or PurePath(model.artifact or "").suffix.lower() in _ARCHIVES:
        return ""
    axes = {"precision": variant.precision, "attention": variant.attention}
    asked = next((name for name, value in axes.items() if value != AS_SAVED), None)
    if asked is None:
        return ""
    return f"the {asked} of a SavedModel is frozen when it is exported; give a .keras file or a builder"


def _without_flash(environment: Environment, variant: Variant) -> str:
    if variant.attention == AS_SAVED:
        return ""
    if environment.legacy:
        return "tf-keras has no switch for flash attention"
    keras = environment.keras
    if keras is not None and keras < FLASH_SINCE:
        return f"Keras {keras} has no switch for flash attention; it came with {FLASH_SINCE}"
    if environment.backend == "tensorflow":
        return "Keras has no flash attention on TensorFlow, so its switch changes nothing"
    return ""


def _cut(environment: Environment, model: ModelSettings, variant: Variant) -> str:
    if variant.precision != "float64" or environment.backend != "jax":
        return ""
    variables = {**dict(environment.variables), **own_setting(model, variant).variables}
    if variables.get("JAX_ENABLE_X64", "").lower() in {"1", "true", "on", "yes", "y", "t"}:
        return ""
    return (
        "JAX cuts float64 down to float32; set JAX_ENABLE_X64: '1' under "
        f"environments.{environment.name}.variables"
    )
