"""Where the matrix holds a cell's float32 sibling already, none has to be run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from validator.config.load import parse
from validator.matrix import Cell, Plan, make_plan
from validator.matrix.plan import Variant
from validator.upgrade import Requirements

TEXT = """
version: 1
matrix: {keras: ["3.3.3", "3.5.0"], precision: [as-saved, float32, bfloat16], jit: ["off", "on"]}
models: [{name: m, builder: "a:b", inputs: i.npz}]
"""


@pytest.fixture
def plan() -> Plan:
    return make_plan(parse(TEXT, "validator.yml"), Requirements())


@pytest.mark.parametrize("precision", ["as-saved", "bfloat16"])
@pytest.mark.parametrize("jit", ["off", "on"])
def test_the_sibling_is_the_float32_cell_of_the_same_place(plan: Plan, precision: str, jit: str) -> None:
    cell = Cell("m", "keras-3.5.0", Variant(precision, jit))
    assert plan.float32_of(cell) == Cell("m", "keras-3.5.0", Variant("float32", jit))


def test_a_float32_cell_is_not_its_own_sibling(plan: Plan) -> None:
    assert plan.float32_of(Cell("m", "keras-3.5.0", Variant("float32", "on"))) is None


def test_a_plan_without_float32_has_none(plan: Plan) -> None:
    cells = tuple(cell for cell in plan.cells if cell.variant.precision != "float32")
    assert all(replace(plan, cells=cells).float32_of(cell) is None for cell in cells)
