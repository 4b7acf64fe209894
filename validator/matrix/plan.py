"""The plan of a run: which environments are built, how models are run in them, what each cell is called."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from packaging.version import InvalidVersion, Version

from validator.config.settings import Matrix, ModelSettings, Settings
from validator.errors import ConfigurationError
from validator.matrix.environment import Environment
from validator.matrix.requirements import environment_requirements
from validator.matrix.variants import Variant, impossible, variants


@dataclass(frozen=True)
class Cell:
    """One model in one environment under one variant."""

    model: str
    environment: str
    variant: Variant

    @property
    def id(self) -> str:
        """`model@environment`, or `model@environment+variant`."""
        return f"{self.model}@{self.environment}" + (f"+{self.variant.name}" if self.variant.name else "")

    @property
    def folder(self) -> str:
        """The cell's folder inside its environment's captures."""
        return self.model + (f"+{self.variant.name}" if self.variant.name else "")


@dataclass(frozen=True)
class LeftOut:
    """What the matrix asks for and nothing can run: the id of a cell or the name of an environment."""

    what: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Everything a run will do. Cells of the baseline environment are in it like all others."""

    baseline: str
    environments: tuple[Environment, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...] = ()

    def environment(self, name: str) -> Environment:
        """The environment of that name.

        Raises:
            ConfigurationError: there is none.
        """
        for environment in self.environments:
            if environment.name == name:
                return environment
        known = ", ".join(environment.name for environment in self.environments)
        raise ConfigurationError(f"no environment is called {name!r}; the plan has {known}")

    def cells_of(self, environment: str) -> tuple[Cell, ...]:
        """The cells that run in an environment, in the order of the models."""
        return tuple(cell for cell in self.cells if cell.environment == environment)

    def baseline_of(self, cell: Cell) -> Cell:
        """The cell that `cell` is compared with: the same model and variant in the baseline environment."""
        return Cell(cell.model, self.baseline, cell.variant)

    def twin_of(self, cell: Cell) -> Cell | None:
        """The cell that runs the same model in float32, where the matrix has one: its twin for nothing."""
        twin = Cell(cell.model, cell.environment, replace(cell.variant, precision="float32"))
        return twin if twin != cell and twin in self.cells else None

    def only(self, ids: Sequence[str]) -> Plan:
        """The plan cut down to some cells and the baseline cells they need.

        Raises:
            ConfigurationError: an id is not in the plan.
        """
        by_id = {cell.id: cell for cell in self.cells}
        unknown = [name for name in ids if name not in by_id]
        if unknown:
            for one in self.left_out:
                if one.what == unknown[0]:
                    raise ConfigurationError(f"--only {one.what}: it cannot be run: {one.reason}")
            raise ConfigurationError(
                f"--only {unknown[0]}: no such cell; `keras-validator plan` lists them: {', '.join(by_id)}"
            )
        wanted = {by_id[name] for name in ids} | {self.baseline_of(by_id[name]) for name in ids}
        cells = tuple(cell for cell in self.cells if cell in wanted)
        used = {cell.environment for cell in cells}
        environments = tuple(environment for environment in self.environments if environment.name in used)
        return Plan(self.baseline, environments, cells)


def make_plan(
    settings: Settings, requirements: Sequence[str], sides: tuple[Environment, Environment] | None = None
) -> Plan:
    """Lay out the matrix.

    Args:
        settings: a validator.yml.
        requirements: the common requirements (the lines of the file, where the settings name one).
        sides: the environments `base` and `head` of a pull request. The base side is then the baseline.

    Raises:
        ConfigurationError: the baseline is not one environment of the matrix, or a model has nothing to run.
    """
    left_out: list[LeftOut] = []
    environments = {
        environment.name: environment
        for axes in _environment_axes(settings.matrix, left_out)
        for environment in [_environment(settings, requirements, axes)]
    }
    _check_names(settings, environments)
    ordered = (*(sides or ()), *environments.values())
    if not ordered:
        raise ConfigurationError(
            "matrix.keras is empty: name at least two environments, for example "
            'matrix: {keras: ["3.3.3", "3.5.0"]}'
        )
    baseline = sides[0].name if sides else _baseline(settings, tuple(environments.values()))
    cells = tuple(
        Cell(model.name, environment.name, variant)
        for environment in ordered
        for model in settings.models
        for variant in variants(settings.matrix, model)
        if not _excluded(settings.matrix, model, environment, variant)
    )
    plan = _possible(Plan(baseline, ordered, cells, tuple(left_out)), settings)
    _check_cells(plan, settings)
    return plan


def _possible(plan: Plan, settings: Settings) -> Plan:
    """The plan without the cells that cannot be run, nor those whose baseline cannot."""
    models = {model.name: model for model in settings.models}
    reasons = {
        cell: impossible(plan.environment(cell.environment), models[cell.model], cell.variant)
        for cell in plan.cells
    }
    for cell in plan.cells:
        base = plan.baseline_of(cell)
        if not reasons[cell] and reasons.get(base):
            reasons[cell] = f"its baseline {base.id} cannot be run: {reasons[base]}"
    left_out = (LeftOut(cell.id, reasons[cell]) for cell in plan.cells if reasons[cell])
    return replace(
        plan,
        cells=tuple(cell for cell in plan.cells if not reasons[cell]),
        left_out=(*plan.left_out, *left_out),
    )


def _environment_axes(matrix: Matrix, left_out: list[LeftOut]) -> Iterator[dict[str, str]]:
    axes: dict[str, Sequence[str]] = {
        "keras": matrix.keras,
        "tensorflow": matrix.tensorflow,
        "backend": matrix.backend,
        "onednn": matrix.onednn,
    }
    used = {name: values for name, values in axes.items() if values}
    seen: list[dict[str, str]] = []
    if matrix.keras:
        seen = [dict(zip(used, values, strict=True)) for values in itertools.product(*used.values())]
    first = {name: values[0] for name, values in used.items() if name != "keras"}
    for entry in matrix.include:
        combination = first | {str(axis): value for axis, value in entry.items()}
        if "keras" not in combination:
            raise ConfigurationError(f"matrix.include: {entry} names no keras version")
        reason = _tensorflow_alone(combination)
        if reason:
            raise ConfigurationError(f"matrix.include: {entry} cannot be run: {reason}")
        if combination not in seen:
            seen.append(combination)
    for combination in seen:
        reason = _tensorflow_alone(combination)
        if reason:
            left_out.append(LeftOut(_environment_name(combination), reason))
        else:
            yield combination


def _tensorflow_alone(axes: Mapping[str, str]) -> str:
    """Why a Keras of before the rewrite cannot have another backend; empty for any other combination."""
    keras, backend = axes["keras"], axes.get("backend", "tensorflow")
    if backend == "tensorflow":
        return ""
    if keras == "legacy":
        return f"tf-keras runs on TensorFlow alone, not on {backend}"
    try:
        old = Version(keras) < Version("3")
    except InvalidVersion:  # refused where requirements are made of it
        return ""
    return f"Keras {keras} runs on TensorFlow alone, not on {backend}" if old else ""


def _environment_name(axes: Mapping[str, str]) -> str:
    parts = ["legacy" if axes["keras"] == "legacy" else f"keras-{axes['keras']}"]
    parts += [f"tf-{axes['tensorflow']}"] if "tensorflow" in axes else []
    parts += [axes["backend"]] if axes.get("backend", "tensorflow") != "tensorflow" else []
    parts += [f"onednn-{axes['onednn']}"] if axes.get("onednn", "as-is") != "as-is" else []
    return "-".join(parts)


def _environment(settings: Settings, common: Sequence[str], axes: Mapping[str, str]) -> Environment:
    keras, backend = axes["keras"], axes.get("backend", "tensorflow")
    legacy = keras == "legacy"
    name = _environment_name(axes)
    own = settings.environments.get(name)
    variables = {"KERAS_BACKEND": backend}
    if legacy:
        variables["TF_USE_LEGACY_KERAS"] = "1"
    if axes.get("onednn", "as-is") != "as-is":
        variables["TF_ENABLE_ONEDNN_OPTS"] = "1" if axes["onednn"] == "on" else "0"
    reference = next((version for version in settings.matrix.keras if version != "legacy"), None)
    requirements, overrides = environment_requirements(
        common, axes, own.requirements if own else (), reference
    )
    return Environment(
        name=name,
        python=own.python if own and own.python else settings.python,
        requirements=requirements,
        overrides=(*overrides, *settings.install.overrides),
        variables=tuple({**variables, **(own.variables if own else {})}.items()),
        legacy=legacy,
        backend=backend,
        axes=tuple(axes.items()),
    )


def _excluded(matrix: Matrix, model: ModelSettings, environment: Environment, variant: Variant) -> bool:
    stands = {
        **dict(environment.axes),
        "model": model.name,
        "precision": variant.precision,
        "jit": variant.jit,
        "attention": variant.attention,
        "setting": variant.setting,
    }
    stands.setdefault("backend", environment.backend)
    return any(all(stands.get(name) == value for name, value in entry.items()) for entry in matrix.exclude)


def _baseline(settings: Settings, environments: Sequence[Environment]) -> str:
    if not settings.baseline:
        return environments[0].name
    wanted = cast(dict[str, str], dict(settings.baseline))
    matching = [
        environment.name
        for environment in environments
        if all(dict(environment.axes).get(axis) == value for axis, value in wanted.items())
    ]
    written = ", ".join(f"{axis}: {value}" for axis, value in wanted.items())
    known = ", ".join(environment.name for environment in environments)
    if not matching:
        raise ConfigurationError(f"baseline {{{written}}} is not in the matrix, which has {known}")
    if len(matching) > 1:
        raise ConfigurationError(
            f"baseline {{{written}}} fits {' and '.join(matching)}; name every axis so that one remains"
        )
    return matching[0]


def _check_names(settings: Settings, environments: Mapping[str, Environment]) -> None:
    for name in settings.environments:
        if name not in environments and name not in {"base", "head"}:
            raise ConfigurationError(
                f"environments.{name}: no such environment; the matrix has {', '.join(environments)}"
            )


def _check_cells(plan: Plan, settings: Settings) -> None:
    present = set(plan.cells)
    for model in settings.models:
        cells = [cell for cell in plan.cells if cell.model == model.name]
        if not cells:
            lost = next((one for one in plan.left_out if one.what.split("@")[0] == model.name), None)
            why = f"cannot be run: {lost.what}: {lost.reason}" if lost else "is excluded"
            raise ConfigurationError(f"model {model.name}: every cell {why}; nothing would be compared")
        for cell in cells:
            baseline = plan.baseline_of(cell)
            if baseline not in present:
                raise ConfigurationError(
                    f"{cell.id}: its baseline {baseline.id} is excluded, so it could not be judged"
                )
