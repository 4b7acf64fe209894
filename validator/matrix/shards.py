"""A plan cut into shards, one for each job of a CI: what must be judged together stays together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from validator.errors import ConfigurationError
from validator.matrix.plan import Cell, Plan

#: Jobs that `strategy.matrix` of GitHub Actions may have.
MOST_SHARDS = 256
#: What it takes to build an environment and to import its packages, in cells of a model of a second or two.
_ENVIRONMENT = 3
_WRITTEN = re.compile(r"([1-9][0-9]{0,2})/([1-9][0-9]{0,2})")


@dataclass(frozen=True, order=True)
class Shard:
    """One of `count` parts of a plan, or of the batches of its recordings; `index` begins at 1."""

    index: int
    count: int

    @classmethod
    def read(cls, text: str) -> Shard:
        """The shard written as `2/3`. ConfigurationError for anything else."""
        written = _WRITTEN.fullmatch(text)
        index, count = map(int, written.groups()) if written else (0, 0)
        if not 1 <= index <= count <= MOST_SHARDS:
            raise ConfigurationError(
                f"--shard {text!a}: write the number of the shard and how many there are, such as 1/3; "
                f"there are {MOST_SHARDS} at most"
            )
        return cls(index, count)

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def file(self) -> str:
        """The name of the file that it leaves for `merge`."""
        return f"part-{self.index}-of-{self.count}.json"


def shards(plan: Plan, most: int | None = None) -> tuple[tuple[Cell, ...], ...]:
    """The cells that each shard judges: every compared cell once, none of them empty unless the plan is.

    Args:
        plan: the whole plan.
        most: how many shards there are at most; None for one a compared environment.

    Environments or models are divided, whichever makes the longest shard shorter: the first repeats cells of
    the baseline, the second environments. All variants of a model in an environment are one another's
    evidence, and a changed model's own effect is judged beside the first effect of the packages on it: these
    stay in one shard.
    """
    divided = _by_environment(plan, most)
    if most is None:
        return divided
    return min((divided, _by_model(plan, most)), key=lambda parts: max(_cost(plan, part) for part in parts))


def _by_environment(plan: Plan, most: int | None) -> tuple[tuple[Cell, ...], ...]:
    """An environment in as few shards as can be: in one, or by model in several."""
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in plan.compared:
        groups.setdefault(_environment(plan, cell), {}).setdefault(cell.model, []).append(cell)
    count = min(most or len(groups), sum(map(len, groups.values())), MOST_SHARDS)
    parts: list[list[Cell]] = [[] for _ in range(count)]
    for number, models in enumerate(groups.values()):
        lanes = range(number, count, len(groups)) or (number % max(1, count),)
        for place, cells in enumerate(models.values()):
            parts[lanes[place % len(lanes)]] += cells
    return tuple(tuple(part) for part in parts if part) or ((),)


def _by_model(plan: Plan, most: int) -> tuple[tuple[Cell, ...], ...]:
    """A model in one shard, in all its environments."""
    models: dict[str, list[Cell]] = {}
    for cell in plan.compared:
        models.setdefault(cell.model, []).append(cell)
    parts: list[list[Cell]] = [[] for _ in range(min(most, len(models), MOST_SHARDS))]
    for place, cells in enumerate(models.values()):
        parts[place % len(parts)] += cells
    return tuple(map(tuple, parts)) or ((),)


def _cost(plan: Plan, part: Sequence[Cell]) -> int:
    """What a shard takes, in cells: those of the baseline are run, too, and environments made."""
    cells = {*part, *map(plan.baseline_of, part)}
    return len(cells) + _ENVIRONMENT * len({cell.environment for cell in cells})


def part_of(plan: Plan, shard: Shard) -> tuple[tuple[Cell, ...], ...]:
    """The cells of every shard, as many as the shard says; those that are left over are empty."""
    parts = shards(plan, shard.count)
    return (*parts, *[()] * (shard.count - len(parts)))


def cut(plan: Plan, cells: tuple[Cell, ...]) -> Plan:
    """The plan of a shard: its cells, and what they are compared with."""
    if not cells:
        return replace(plan, environments=(), cells=(), left_out=())
    return plan.only([cell.id for cell in cells])


def _environment(plan: Plan, cell: Cell) -> str:
    """Whose shard a cell goes to: its own environment's, or of a changed model that of the packages."""
    if plan.effect(cell) != "model":
        return cell.environment
    others = (each.environment for each in plan.compared if each.model == cell.model)
    return next((name for name in others if name != cell.environment), cell.environment)
