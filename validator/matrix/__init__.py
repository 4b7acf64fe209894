"""Settings and what a pull request changes → the plan: environments × variants = cells with stable ids.

In come typed settings, the common requirements and, on a pull request, its two sides; out comes a `Plan`.
Nothing is installed or run in this room.
"""

from validator.matrix.environment import Environment, by_version
from validator.matrix.moves import AskedMoves, PackageMove, check_moves, moved_side, read_moves
from validator.matrix.plan import Cell, Effect, Plan, make_plan
from validator.matrix.pull_request import (
    BASE,
    BASE_FILES,
    HEAD,
    ModelChanges,
    environments,
    install_of,
    install_with,
    model_changes,
)
from validator.matrix.requirements import common_requirements
from validator.matrix.selection import CURRENT, MatrixSelection, current_environment
from validator.matrix.shards import MOST_SHARDS, Shard, cut, part_of, shards
from validator.matrix.variants import AS_SAVED, Variant, impossible, own_setting, written

__all__ = [
    "AS_SAVED",
    "BASE",
    "BASE_FILES",
    "CURRENT",
    "HEAD",
    "MOST_SHARDS",
    "AskedMoves",
    "Cell",
    "Effect",
    "Environment",
    "MatrixSelection",
    "ModelChanges",
    "PackageMove",
    "Plan",
    "Shard",
    "Variant",
    "by_version",
    "check_moves",
    "common_requirements",
    "current_environment",
    "cut",
    "environments",
    "impossible",
    "install_of",
    "install_with",
    "make_plan",
    "model_changes",
    "moved_side",
    "own_setting",
    "part_of",
    "read_moves",
    "shards",
    "written",
]
