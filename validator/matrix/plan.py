"""The plan of a run: which environments are built, how models are run in them, what each cell is called."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Literal

from packaging.version import Version

from validator.config.settings import EnvironmentSettings, Matrix, ModelSettings, Settings
from validator.errors import ConfigurationError
from validator.matrix.environment import Environment, version_of
from validator.matrix.pull_request import BASE_FILES, ModelChanges
from validator.matrix.requirements import environment_requirements
from validator.matrix.variants import Variant, impossible, variants
from validator.upgrade import Requirements


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


#: What a difference of a cell whose model a pull request changes comes from.
Effect = Literal["model", "packages", "both"]


@dataclass(frozen=True)
class Plan:
    """Everything a run will do. Cells of the baseline environment are in it like all others.

    Of a model that the pull request changes, the baseline's cell is itself compared with one of the base's
    files. `joined` are models and variants whose new files cannot be run in the baseline: there everything is
    compared with the base's files.
    """

    baseline: str
    environments: tuple[Environment, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[LeftOut, ...] = ()
    joined: frozenset[tuple[str, Variant]] = frozenset()

    def environment(self, name: str) -> Environment:
        """The environment of that name; one that is not there is a `ConfigurationError`."""
        for environment in self.environments:
            if environment.name == name:
                return environment
        known = ", ".join(environment.name for environment in self.environments)
        raise ConfigurationError(f"no environment is called {name!r}; the plan has {known}")

    def baseline_of(self, cell: Cell) -> Cell:
        """The cell that `cell` is compared with; itself where that is none.

        The same model and variant in the baseline environment; of that one, the base's files.
        """
        before = Cell(cell.model, BASE_FILES, cell.variant)
        joined = (cell.model, cell.variant) in self.joined
        if before in self._present and (joined or cell.environment == self.baseline):
            return before
        return cell if cell.environment == BASE_FILES else Cell(cell.model, self.baseline, cell.variant)

    @cached_property
    def _present(self) -> frozenset[Cell]:
        return frozenset(self.cells)

    def effect(self, cell: Cell) -> Effect | None:
        """What a cell's comparison is about; None where the model is the same on both sides of the run."""
        before = Cell(cell.model, BASE_FILES, cell.variant)
        if before not in self._present or cell == before:
            return None
        if self.baseline_of(cell) != before:
            return "packages"
        return "model" if cell.environment == self.baseline else "both"

    @cached_property
    def compared(self) -> tuple[Cell, ...]:
        """The cells that are judged. New files that fail in the baseline's packages alone are not."""
        candidates = (cell for cell in self.cells if self.baseline_of(cell) != cell)
        return tuple(
            cell
            for cell in candidates
            if not (cell.environment == self.baseline and (cell.model, cell.variant) in self.joined)
        )

    def only(self, ids: Sequence[str]) -> Plan:
        """The plan cut down to some cells and the baseline cells they need."""
        by_id = {cell.id: cell for cell in self.cells}
        unknown = next((name for name in ids if name not in by_id), None)
        if unknown is not None:
            listed = f"no such cell; `keras-validator plan` lists them: {', '.join(by_id)}"
            reasons = {each.what: f"it cannot be run: {each.reason}" for each in self.left_out}
            raise ConfigurationError(f"--only {unknown}: {reasons.get(unknown, listed)}")
        chosen = {by_id[name] for name in ids}
        for _ in range(2):  # the baseline of a changed model has one itself
            chosen |= {self.baseline_of(cell) for cell in chosen}
        cells = tuple(cell for cell in self.cells if cell in chosen)
        used = {cell.environment for cell in cells}
        environments = tuple(environment for environment in self.environments if environment.name in used)
        return replace(self, environments=environments, cells=cells, left_out=())


def make_plan(
    settings: Settings,
    common: Requirements,
    sides: tuple[Environment, Environment] | None = None,
    further: Sequence[Environment] = (),
    changes: ModelChanges | None = None,
) -> Plan:
    """Lay out the matrix, whose environments are all built from the `common` requirements.

    `sides` are the environments `base` and `head` of a pull request; the base side is then the baseline.
    `further` ones stand behind those of the matrix. `changes`: the models that a pull request changes; where
    nothing else changed, `head` stands for both sides.

    Raises:
        ConfigurationError: the baseline is not one environment of the matrix, or a model has nothing to run.
    """
    left_out: list[LeftOut] = []
    axes = environment_axes(settings.matrix, left_out)
    matrix = (_environment(settings, common, each) for each in axes)
    environments = {environment.name: environment for environment in matrix}
    _check_names(settings, environments)
    changes = (changes or ModelChanges()).of(settings)
    pair = (sides or ())[1:] if changes.alone else (sides or ())
    ordered = (*pair, *environments.values(), *further)
    if not ordered or not (sides or environments):
        raise ConfigurationError(
            "matrix.keras is empty: name at least two environments, for example "
            'matrix: {keras: ["3.3.3", "3.5.0"]}'
        )
    baseline = pair[0].name if pair else _baseline(settings, tuple(environments.values()))
    bare = changes.alone and len(ordered) == 1  # what did not change has nothing to be compared with
    if changes.names:
        packages = next(environment for environment in ordered if environment.name == baseline)
        ordered = (replace(packages, name=BASE_FILES, like=baseline, base_files=True), *ordered)
    cells = tuple(
        Cell(model.name, environment.name, variant)
        for environment in ordered
        for model in settings.models
        for variant in variants(settings.matrix, model)
        if not _excluded(settings.matrix, model, environment, variant)
        and (model.name in changes.names or not (environment.base_files or bare))
    )
    plan = _possible(Plan(baseline, ordered, cells, tuple(left_out)), settings)
    _check_cells(plan, settings, changes)
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


def environment_axes(matrix: Matrix, left_out: list[LeftOut]) -> Iterator[dict[str, str]]:
    """The place of every environment: axis → value. What cannot be is added to `left_out`."""
    axes: dict[str, Sequence[str]] = {
        "keras": matrix.keras,
        "tensorflow": matrix.tensorflow,
        "backend": matrix.backend,
        "onednn": matrix.onednn,
    }
    used = {name: values for name, values in axes.items() if values}
    products = itertools.product(*used.values()) if matrix.keras else ()
    seen = [dict(zip(used, values, strict=True)) for values in products]
    first = {name: values[0] for name, values in used.items() if name != "keras"}
    for entry in matrix.include:
        combination = first | {str(axis): value for axis, value in entry.items()}
        if "keras" not in combination:
            raise ConfigurationError(f"matrix.include: {entry} names no keras version")
        if reason := _tensorflow_alone(combination):
            raise ConfigurationError(f"matrix.include: {entry} cannot be run: {reason}")
        if combination not in seen:
            seen.append(combination)
    for combination in seen:
        if reason := _tensorflow_alone(combination):
            left_out.append(LeftOut(environment_name(combination), reason))
        else:
            yield combination


def _tensorflow_alone(axes: Mapping[str, str]) -> str:
    """Why a Keras of before the rewrite cannot have another backend; empty for any other combination."""
    keras, backend = axes["keras"], axes.get("backend", "tensorflow")
    version = version_of(keras)  # what is no version is refused where requirements are made of it
    old = keras == "legacy" or (version is not None and version < Version("3"))
    if not old or backend == "tensorflow":
        return ""
    name = "tf-keras" if keras == "legacy" else f"Keras {keras}"
    return f"{name} runs on TensorFlow alone, not on {backend}"


def environment_name(axes: Mapping[str, str]) -> str:
    """What an environment is called: `keras-3.5.0-jax`."""
    parts = ["legacy" if axes["keras"] == "legacy" else f"keras-{axes['keras']}"]
    parts += [f"tf-{axes['tensorflow']}"] if "tensorflow" in axes else []
    parts += [axes["backend"]] if axes.get("backend", "tensorflow") != "tensorflow" else []
    parts += [f"onednn-{axes['onednn']}"] if axes.get("onednn", "as-is") != "as-is" else []
    return "-".join(parts)


def _environment(settings: Settings, common: Requirements, axes: Mapping[str, str]) -> Environment:
    keras, backend = axes["keras"], axes.get("backend", "tensorflow")
    legacy = keras == "legacy"
    name = environment_name(axes)
    own = settings.environments.get(name) or EnvironmentSettings()
    variables = {"KERAS_BACKEND": backend}
    if legacy:
        variables["TF_USE_LEGACY_KERAS"] = "1"
    if axes.get("onednn", "as-is") != "as-is":
        variables["TF_ENABLE_ONEDNN_OPTS"] = "1" if axes["onednn"] == "on" else "0"
    for variable in variables.keys() & own.variables.keys():
        if variables[variable] != own.variables[variable]:
            raise ConfigurationError(
                f"environments.{name}.variables: {variable}={own.variables[variable]} contradicts the "
                f"matrix, which sets {variables[variable]}; remove it"
            )
    reference = next((version for version in settings.matrix.keras if version != "legacy"), None)
    requirements, overrides = environment_requirements(common.requirements, axes, own.requirements, reference)
    return Environment(
        name=name,
        python=own.python or settings.python,
        requirements=requirements,
        overrides=(*overrides, *settings.install.overrides),
        variables=tuple({**variables, **own.variables}.items()),
        legacy=legacy,
        backend=backend,
        axes=tuple(axes.items()),
        constraints=common.constraints,
    )


def _excluded(matrix: Matrix, model: ModelSettings, environment: Environment, variant: Variant) -> bool:
    stands = {
        "backend": environment.backend,
        **dict(environment.axes),
        "model": model.name,
        **asdict(variant),
    }
    return any(entry.items() <= stands.items() for entry in matrix.exclude)


def _baseline(settings: Settings, environments: Sequence[Environment]) -> str:
    asked = settings.baseline.items()
    names = [each.name for each in environments if asked <= dict(each.axes).items()]
    if len(names) == 1 or not asked:
        return names[0]
    written = ", ".join(f"{axis}: {value}" for axis, value in asked)
    if not names:
        known = ", ".join(environment.name for environment in environments)
        raise ConfigurationError(f"baseline {{{written}}} is not in the matrix, which has {known}")
    raise ConfigurationError(
        f"baseline {{{written}}} fits {' and '.join(names)}; name every axis so that one remains"
    )


def _check_names(settings: Settings, environments: Mapping[str, Environment]) -> None:
    for name in settings.environments:
        if name not in environments and name not in {"base", "head"}:
            raise ConfigurationError(
                f"environments.{name}: no such environment; the matrix has {', '.join(environments)}"
            )


def _check_cells(plan: Plan, settings: Settings, changes: ModelChanges) -> None:
    for model in settings.models:
        cells = [cell for cell in plan.cells if cell.model == model.name]
        if not cells and not (changes.alone and model.name not in changes.names):
            lost = next((each for each in plan.left_out if each.what.split("@")[0] == model.name), None)
            why = f"cannot be run: {lost.what}: {lost.reason}" if lost else "is excluded"
            raise ConfigurationError(f"model {model.name}: every cell {why}; nothing would be compared")
        for cell in cells:
            baseline = plan.baseline_of(cell)
            if baseline not in plan.cells:
                raise ConfigurationError(
                    f"{cell.id}: its baseline {baseline.id} is excluded, so it could not be judged"
                )
