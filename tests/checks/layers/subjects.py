"""A cell to ask the check `layers` about, and what the checks before it found."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from validator.checks.protocol import Examined, Finding, Subject
from validator.config.load import parse
from validator.matrix import make_plan
from validator.upgrade import Requirements
from validator.verdict.bands import BANDS

_SETTINGS = """
version: 1
requirements: [tensorflow-cpu==2.17.1]
matrix: {keras: ["3.3.3", "3.5.0"]}
models: [{name: model, builder: "none:none", inputs: none}]
"""

MOVED = Examined("outputs", None, (Finding(check="outputs", kind="output-changed", verdict="changed"),))
STEADY = Examined("outputs", None, (Finding(check="outputs", kind="output-rounding", verdict="rounding"),))


@cache
def subject() -> Subject:
    settings = parse(_SETTINGS, "a test")
    assert not isinstance(settings.requirements, str)
    plan = make_plan(settings, Requirements(requirements=settings.requirements))
    candidate = next(cell for cell in plan.cells if plan.baseline_of(cell) != cell)
    return Subject(
        settings.models[0], candidate, plan.baseline_of(candidate), plan, settings, Path(), None, BANDS
    )
