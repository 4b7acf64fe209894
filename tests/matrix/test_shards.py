"""A plan in shards: every compared cell once, its baseline beside it, each environment in few jobs."""

from __future__ import annotations

import pytest

from tests.matrix.test_plan import CASES, plan_of
from tests.matrix.test_plan_changed_models import plan as changed_plan
from validator.errors import ConfigurationError
from validator.matrix import ModelChanges, Plan, Shard, cut, part_of, shards

WIDE = """
matrix: {keras: ["3.3.3", "3.5.0", "3.6.0", "3.7.0"]}
models:
  - {name: a, artifact: a.keras, inputs: x.npz, matrix: {precision: [as-saved, float32]}}
  - {name: b, artifact: b.keras, inputs: x.npz}
  - {name: c, artifact: c.keras, inputs: x.npz}
"""


def ids(plan: Plan, most: int | None = None) -> list[list[str]]:
    return [[cell.id for cell in part] for part in shards(plan, most)]


def test_by_default_a_shard_is_a_compared_environment() -> None:
    assert ids(plan_of(CASES)) == [
        ["digits@keras-3.5.0", "llama@keras-3.5.0", "llama@keras-3.5.0+float32"],
        ["digits@legacy"],
    ]


def test_fewer_shards_share_whole_environments() -> None:
    first, second = shards(plan_of(WIDE), 2)
    assert {cell.environment for cell in first} == {"keras-3.5.0", "keras-3.7.0"}
    assert {cell.environment for cell in second} == {"keras-3.6.0"}


@pytest.mark.parametrize("most", [1, 2, 3, 4, 5, 7, 9, 256])
def test_every_compared_cell_is_in_one_shard_and_none_is_empty(most: int) -> None:
    plan = plan_of(WIDE)
    parts = shards(plan, most)
    assert len(parts) <= most
    assert all(parts)
    cells = [cell for part in parts for cell in part]
    assert sorted(cells, key=str) == sorted(plan.compared, key=str)
    assert len(set(cells)) == len(cells)
    # All variants of a model in an environment are evidence for one another.
    groups = [{(cell.model, cell.environment) for cell in part} for part in parts]
    assert sum(map(len, groups)) == 9


def test_many_models_are_divided_where_that_makes_the_longest_shard_shorter() -> None:
    models = "".join(f"  - {{name: m{n}, artifact: a.keras, inputs: x.npz}}\n" for n in range(200))
    plan = plan_of(f'matrix: {{keras: ["3.3.3", "3.4.0", "3.5.0", "3.6.0"]}}\nmodels:\n{models}')
    parts = shards(plan, 8)
    assert [len(part) for part in parts] == [75] * 8
    owners = [{cell.model for cell in part} for part in parts]
    assert sum(map(len, owners)) == 200  # so that a model's baseline is run once
    assert [len(part) for part in shards(plan)] == [200] * 3


def test_few_models_are_not_divided_for_the_sake_of_environments() -> None:
    assert {cell.environment for cell in shards(plan_of(WIDE), 3)[0]} == {"keras-3.5.0"}


def test_more_shards_than_environments_split_them_by_model() -> None:
    assert ids(plan_of(WIDE), 5) == [
        ["a@keras-3.5.0", "a@keras-3.5.0+float32", "c@keras-3.5.0"],
        ["a@keras-3.6.0", "a@keras-3.6.0+float32", "c@keras-3.6.0"],
        ["a@keras-3.7.0", "a@keras-3.7.0+float32", "b@keras-3.7.0", "c@keras-3.7.0"],
        ["b@keras-3.5.0"],
        ["b@keras-3.6.0"],
    ]


def test_a_shard_has_the_baselines_that_it_measures_the_noise_of() -> None:
    plan = plan_of(WIDE)
    for part in shards(plan, 9):
        own = cut(plan, part)
        assert own.compared == tuple(cell for cell in plan.cells if cell in part)
        assert all(own.baseline_of(cell) in own.cells for cell in own.compared)
        assert {each.name for each in own.environments} == {"keras-3.3.3", part[0].environment}


def test_a_changed_models_own_effect_stays_beside_that_of_the_packages() -> None:
    plan = changed_plan(ModelChanges(frozenset({"first"})), 'matrix: {keras: ["3.9.0"]}\n')
    assert ids(plan) == [
        ["first@base", "first@head", "second@head"],
        ["first@keras-3.9.0", "second@keras-3.9.0"],
    ]
    alone = changed_plan(ModelChanges(frozenset({"first"}), alone=True))
    assert ids(alone) == [["first@head"]]


def test_a_plan_without_anything_to_compare_has_an_empty_shard() -> None:
    assert shards(
        plan_of('matrix: {keras: ["3.3.3"]}' + "\nmodels: [{name: m, artifact: m.keras, inputs: x.npz}]")
    ) == ((),)


def test_more_shards_than_cells_leave_some_empty() -> None:
    plan = plan_of(CASES)
    parts = part_of(plan, Shard(5, 5))
    assert [len(part) for part in parts] == [1, 1, 2, 0, 0]
    assert cut(plan, parts[4]).cells == ()


@pytest.mark.parametrize(
    "text", ["", "1", "0/3", "4/3", "1/257", "1/0", "-1/3", "1/3/3", "a/b", "１/３", "01/3", "1/3\n"]
)
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="such as 1/3"):
        Shard.read(text)


def test_a_shard_has_a_name_and_a_file() -> None:
    shard = Shard.read("2/12")
    assert (str(shard), shard.file) == ("2/12", "part-2-of-12.json")
