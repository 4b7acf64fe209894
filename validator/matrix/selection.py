"""What a command asks for beside validator.yml: models, a baseline, and what is compared with it."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from validator.config.settings import Settings
from validator.errors import ConfigurationError
from validator.matrix.environment import Environment, version_of
from validator.matrix.plan import Plan, environment_axes, environment_name

#: The name of the environment that the validator itself runs in.
CURRENT = "current"
#: Variables that choose kernels; a worker sees no others of its caller.
_NUMERIC = ("TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS", "XLA_FLAGS")
_ON = frozenset({"1", "true", "True"})  # as TensorFlow reads TF_USE_LEGACY_KERAS


@dataclass(frozen=True)
class MatrixSelection:
    """What a command asks for; where it is empty, everything of validator.yml.

    `baseline` and `against`: names of environments, versions of Keras (added where the matrix lacks them),
    `legacy`, or `current`.
    """

    models: tuple[str, ...] = ()
    baseline: str = ""
    against: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.models or self.baseline or self.against)

    @property
    def environments(self) -> tuple[str, ...]:
        """What is asked for by name, the baseline first."""
        return tuple(filter(None, (self.baseline, *self.against)))

    @property
    def options(self) -> str:
        """The same as options of the command line, each behind a space."""
        pairs = [("--baseline", self.baseline), *(("--against", name) for name in self.against)]
        return "".join(f" {option} {shlex.quote(value)}" for option, value in pairs if value)

    def settings(self, settings: Settings) -> Settings:
        """The settings of these models, with a matrix that has the asked versions.

        Raises:
            ConfigurationError: there is no such model, environment or version.
        """
        known = {model.name: model for model in settings.models}
        for name in self.models:
            if name not in known:
                near = get_close_matches(name, known, 1)
                meant = f"did you mean {near[0]!r}? " if near else ""
                raise ConfigurationError(f"no model is called {name!r}: {meant}there are {', '.join(known)}")
        kept = tuple(known[name] for name in dict.fromkeys(self.models)) or settings.models
        matrix = settings.matrix.model_copy(
            update={"keras": (*settings.matrix.keras, *self._added(settings))}
        )
        baseline: dict[Any, str] = dict(settings.baseline)
        if self.baseline and self.baseline != CURRENT:
            named = (axes for name, axes in _environments(settings) if name == self.baseline)
            baseline = next(named, {"keras": self.baseline})
        update = {"models": kept, "matrix": matrix, "baseline": baseline}
        return settings.model_copy(update=update)

    def _added(self, settings: Settings) -> Iterator[str]:
        environments = list(_environments(settings))
        names = {name for name, _ in environments} | {axes["keras"] for _, axes in environments}
        for asked in dict.fromkeys(self.environments):
            if asked in names or asked == CURRENT:
                continue
            if asked != "legacy" and version_of(asked) is None:
                raise ConfigurationError(
                    f"{asked!r} is neither an environment nor a version of Keras; the matrix has "
                    f"{', '.join(name for name, _ in environments) or 'none'}; `{CURRENT}` is the Python "
                    "that runs the validator"
                )
            yield asked

    def plan(self, plan: Plan) -> Plan:
        """The plan with these environments alone.

        Raises:
            ConfigurationError: nothing is left to compare with the baseline.
        """
        baseline = CURRENT if self.baseline == CURRENT else plan.baseline
        kept = [each for each in plan.environments if each.name == baseline or self._asks_for(each)]
        names = {each.name for each in kept}
        if not names - {baseline}:
            raise ConfigurationError(
                f"there is nothing to compare with the baseline {baseline}; name another"
            )
        cells = tuple(cell for cell in plan.cells if cell.environment in names)
        runnable = {(cell.model, cell.variant) for cell in cells if cell.environment == baseline}
        cells = tuple(cell for cell in cells if (cell.model, cell.variant) in runnable)
        return replace(plan, baseline=baseline, environments=tuple(kept), cells=cells)

    def _asks_for(self, environment: Environment) -> bool:
        if not self.against or environment.base_files:  # what the base's files predict is no choice
            return environment.name != CURRENT
        return bool({environment.name, dict(environment.axes).get("keras")} & set(self.against))


def _environments(settings: Settings) -> Iterator[tuple[str, dict[str, str]]]:
    for axes in environment_axes(settings.matrix, []):
        yield environment_name(axes), axes


def current_environment(variables: Mapping[str, str]) -> Environment:
    """The environment of this process, used as it is. `variables` are those of the process."""
    legacy = variables.get("TF_USE_LEGACY_KERAS", "") in _ON
    backend = _backend(variables)
    kept = {name: variables[name] for name in _NUMERIC if name in variables}
    return Environment(
        name=CURRENT,
        python=platform.python_version(),
        requirements=tuple(_pins(("tf-keras",) if legacy else ("keras",))),
        variables=tuple({"KERAS_BACKEND": backend, **kept}.items()),
        legacy=legacy,
        backend=backend,
        axes=(("keras", CURRENT),),
        interpreter=sys.executable,
    )


def _pins(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        try:
            yield f"{name}=={importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:  # its worker says so
            continue


def _backend(variables: Mapping[str, str]) -> str:
    """The backend that Keras has in this process, or would choose."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "backend"):
        return str(keras.backend.backend())
    home = Path(variables.get("KERAS_HOME") or Path(variables.get("HOME", "/"), ".keras"))
    try:
        chosen = json.loads((home / "keras.json").read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, LookupError, TypeError):
        chosen = "tensorflow"
    return variables.get("KERAS_BACKEND") or str(chosen)
