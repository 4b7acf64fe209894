"""The plan of a pull request that changes models: what runs from which commit, and against what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from validator.config.load import parse
from validator.matrix import Environment, MatrixSelection, ModelChanges, Plan, make_plan
from validator.upgrade import Requirements

MODELS = """version: 1
models:
  - {name: first, builder: "a:b", inputs: x.npz}
  - {name: second, builder: "a:b", inputs: x.npz}
"""
BASE = Environment("base", "3.11", ("keras==3.3.3",))
HEAD = Environment("head", "3.11", ("keras==3.5.0",))


def plan(changes: ModelChanges, matrix: str = "", *, sides: bool = True) -> Plan:
    pair = (BASE, HEAD) if sides else None
    return make_plan(parse(MODELS + matrix, "validator.yml"), Requirements(), pair, changes=changes)


def pairs(made: Plan) -> dict[str, tuple[str, str | None]]:
    return {cell.id: (made.baseline_of(cell).id, made.effect(cell)) for cell in made.compared}


def test_without_a_changed_model_nothing_is_added() -> None:
    made = plan(ModelChanges())
    assert [environment.name for environment in made.environments] == ["base", "head"]
    assert pairs(made) == {"first@head": ("first@base", None), "second@head": ("second@base", None)}


def test_both_effects_have_a_cell_of_their_own() -> None:
    made = plan(ModelChanges(frozenset({"first"})))
    assert pairs(made) == {
        "first@base": ("first@base-files", "model"),
        "first@head": ("first@base", "packages"),
        "second@head": ("second@base", None),
    }
    extra = made.environment("base-files")
    assert (extra.requirements, extra.installed_as, extra.base_files) == (BASE.requirements, "base", True)


def test_a_changed_model_alone_runs_in_one_environment() -> None:
    made = plan(ModelChanges(frozenset({"first"}), alone=True))
    assert [environment.installed_as for environment in made.environments] == ["head", "head"]
    assert pairs(made) == {"first@head": ("first@base-files", "model")}


def test_the_matrix_is_compared_with_the_new_files() -> None:
    made = plan(ModelChanges(frozenset({"first"}), alone=True), 'matrix: {keras: ["3.8.0"]}\n')
    assert pairs(made) == {
        "first@head": ("first@base-files", "model"),
        "first@keras-3.8.0": ("first@head", "packages"),
        "second@keras-3.8.0": ("second@head", None),
    }


def test_a_matrix_alone_has_the_base_files_in_its_baseline() -> None:
    matrix = 'matrix: {keras: ["3.3.3", "3.5.0"]}\n'
    made = plan(ModelChanges(frozenset({"first"}), alone=True), matrix, sides=False)
    assert pairs(made) == {
        "first@keras-3.3.3": ("first@base-files", "model"),
        "first@keras-3.5.0": ("first@keras-3.3.3", "packages"),
        "second@keras-3.5.0": ("second@keras-3.3.3", None),
    }
    assert made.environment("base-files").installed_as == "keras-3.3.3"


def test_models_that_come_or_go_leave_nothing_to_compare() -> None:
    assert plan(ModelChanges(alone=True)).compared == ()


def test_new_files_that_fail_in_old_packages_join_both_effects() -> None:
    made = plan(ModelChanges(frozenset({"first"})))
    variant = made.cells[0].variant
    joined = replace(made, joined=frozenset({("first", variant)}))
    assert pairs(joined) == {
        "first@head": ("first@base-files", "both"),
        "second@head": ("second@base", None),
    }


@pytest.mark.parametrize(
    ("chosen", "kept"),
    [
        ("first@head", {"first@head", "first@base", "first@base-files"}),
        ("first@base", {"first@base", "first@base-files"}),
        ("second@head", {"second@head", "second@base"}),
    ],
)
def test_a_chosen_cell_brings_what_it_is_compared_with(chosen: str, kept: set[str]) -> None:
    made = plan(ModelChanges(frozenset({"first"}))).only([chosen])
    assert {cell.id for cell in made.cells} == kept
    assert {environment.name for environment in made.environments} == {
        cell.environment for cell in made.cells
    }


def test_a_selection_keeps_what_a_changed_model_is_compared_with() -> None:
    made = MatrixSelection(against=("head",)).plan(plan(ModelChanges(frozenset({"first"}))))
    assert pairs(made)["first@base"] == ("first@base-files", "model")
    others = plan(ModelChanges(frozenset({"third"})))
    assert [environment.name for environment in others.environments] == ["base", "head"]
