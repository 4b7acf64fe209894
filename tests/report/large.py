"""A report as large as the page has to bear: 300 cells, and a model of 300 layers in cells that moved."""

from __future__ import annotations

from collections.abc import Sequence

from tests.report import cases
from tests.report.examples import examples
from validator.checks.layers.types import (
    Cause,
    FirstDifference,
    LayerInput,
    LayerNode,
    LayersComparison,
    LayerTable,
)
from validator.checks.protocol import Finding
from validator.verdict.results import CellResult, ModelResult, Report

LAYERS = 300
_BLOCK = (
    "norm", "query", "key", "value", "scores", "projection", "attended", "feed_norm", "up", "gelu",
    "down", "fed",
)  # fmt: skip
_TENSOR = "(10, 128, 512) bfloat16"


def large(models: int = 30, environments: int = 10) -> Report:
    """So many models in so many environments, a third of them moved; the first has 300 layers."""
    where = [f"keras-3.{minor}.0" for minor in range(4, 4 + environments)]
    names = [f"model-{at:02d}" for at in range(models)]
    made = tuple(
        ModelResult(name=name, cells=tuple(_cell(name, at, place) for place in where))
        for at, name in enumerate(names)
    )
    ran = (cases.environment(cases.BASE, "baseline"), *(cases.environment(place) for place in where))
    return examples().model_copy(update={"models": made, "environments": ran, "verdict": "fail"})


def _cell(model: str, at: int, where: str) -> CellResult:
    if at == 0:
        return deep(model, where)
    kept = f"llama@{cases.HEAD}" if at % 3 == 0 else "digits@legacy" if at % 2 else f"digits@{cases.HEAD}"
    return renamed(kept, model, where)


def renamed(kept: str, model: str, where: str) -> CellResult:
    """A cell of the examples, as if it were another."""
    cells = (cell for each in examples().models for cell in each.cells)
    cell = next(cell for cell in cells if cell.cell == kept)
    name = f"{model}@{where}"
    reproduce = f"keras-validator run --only {name}"
    return cell.model_copy(update={"cell": name, "environment": where, "reproduce": reproduce})


def deep(model: str = "ranker", where: str = cases.HEAD, layers: int = LAYERS) -> CellResult:
    """A cell whose model has so many layers, in blocks that repeat; the difference starts in the eighth."""
    first = 2 + 7 * len(_BLOCK) + 4
    nodes = tuple(_node(at, first) for at in range(layers))
    cell = renamed(f"llama@{cases.HEAD}", model, where)
    findings = tuple(_about(each, nodes, first) for each in cell.findings)
    own = LayersComparison(samples=(0, 56), replayed=True, nodes=nodes)
    checks = cell.checks.model_copy(update={"layers": own})
    return cell.model_copy(update={"checks": checks, "findings": findings})


def _about(finding: Finding, nodes: Sequence[LayerNode], first: int) -> Finding:
    """A finding of the examples, about these layers."""
    if isinstance(finding, FirstDifference):
        cause = Cause(layer=nodes[first].layer, class_name="Dense", differs="value", ratio=74.0)
        return finding.model_copy(update={"cause": cause, "alike": ()})
    if isinstance(finding, LayerTable):
        kinds = {at: "value" if at == first else "propagated" for at in range(first, len(nodes))}
        counts = {"layers": len(nodes), "diverging": 1, "propagating": len(kinds) - 1, "kinds": kinds}
        return finding.model_copy(update=counts)
    return finding


def _node(at: int, first: int) -> LayerNode:
    block, place = divmod(at - 2, len(_BLOCK))
    skip = (at - 4,) if place in (6, 11) and at > 6 else ()
    return LayerNode(
        layer=("words", "positions")[at] if at < 2 else f"block_{block}_{_BLOCK[place]}",
        class_name="Dense" if place % 2 else "LayerNormalization",
        call=at,
        shape=(10, 128, 512),
        dtype="bfloat16",
        feeds=(-1,) if at < 2 else (at - 1, *skip),
        inputs=(LayerInput(name="inputs", baseline=_TENSOR, candidate=_TENSOR),),
        replayed=74.0 if at == first else 0.7,
        full_pass=74.0 / (1 + (at - first) / 60) if at >= first else 0.4 + (at % 7) / 10,
        rms=0.31,
        noise=0.0042,
    )
