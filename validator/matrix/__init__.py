"""Settings → the plan: environments × variants = cells."""

from validator.matrix.plan import Cell, Environment, Plan, Variant, make_plan

__all__ = ["Cell", "Environment", "Plan", "Variant", "make_plan"]
