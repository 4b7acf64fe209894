"""Settings → the plan: environments × variants = cells."""

from validator.matrix.environment import Environment
from validator.matrix.plan import Cell, LeftOut, Plan, make_plan
from validator.matrix.variants import Variant

__all__ = ["Cell", "Environment", "LeftOut", "Plan", "Variant", "make_plan"]
