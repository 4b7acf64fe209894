"""The graph of a model's layers as the script draws it: rows in order, edges by row, repeated blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import JsonValue

from validator.base import finite
from validator.checks.layers.types import FirstDifference, LayerNode, LayersComparison, LayerTable
from validator.report import figures
from validator.report.content import Row
from validator.report.pages.types import Picture, clean
from validator.report.words import drawn
from validator.verdict.bands import BANDS

_FOLDED = 40  # layers from which on repeated blocks are folded


def graph(row: Row) -> Picture | None:
    """The layers of a cell; None where they were not recorded."""
    comparison = row.cell.comparison(LayersComparison)
    if comparison is None or not comparison.nodes:
        return None
    table = next((each for each in row.cell.findings if isinstance(each, LayerTable)), None)
    difference = next((each for each in row.cell.findings if isinstance(each, FirstDifference)), None)
    rows = {node.call: at for at, node in enumerate(comparison.nodes)}
    kinds = table.kinds if table else {}
    first = _first(comparison.nodes, difference)
    blocks = _blocks(comparison.nodes) if len(comparison.nodes) > _FOLDED else {}
    nodes: list[JsonValue] = [
        _node(node, rows, kinds.get(node.call, ""), blocks.get(at), first=at == first)
        for at, node in enumerate(comparison.nodes)
    ]
    name = comparison.nodes[first].layer if first is not None else ""
    caption = drawn.graph(comparison, table, clean(name))
    band = BANDS.outputs.grains["all"].rounding
    return Picture("graph", caption.title, caption.label, {"nodes": nodes, "band": band}, wide=True)


def _first(nodes: Sequence[LayerNode], difference: FirstDifference | None) -> int | None:
    """The row of the first difference: the layer itself, or the one around it."""
    if difference is None or not difference.cause.layer:
        return None
    fits = (
        at
        for at, node in enumerate(nodes)
        if difference.cause.layer == node.layer or difference.cause.layer.startswith(f"{node.layer}/")
    )
    return next(fits, None)


def _node(
    node: LayerNode, rows: dict[int, int], kind: str, block: str | None, *, first: bool
) -> dict[str, JsonValue]:
    shape = ", ".join("?" if axis is None else str(axis) for axis in node.shape)
    value: dict[str, JsonValue] = {
        "name": clean(node.layer, 120),
        "class": clean(node.class_name),
        "result": f"({shape}) {clean(node.dtype)}",
        "from": [rows.get(call, -1) for call in node.feeds],
        "replayed": finite(node.replayed),
        "full": finite(node.full_pass),
        "texts": [figures.ratio(node.replayed), figures.ratio(node.full_pass)],
        "rms": [figures.number(node.rms), figures.number(node.noise)],
        "kind": kind,
        "first": first,
        "inputs": [[clean(each.name), clean(each.baseline), clean(each.candidate)] for each in node.inputs],
    }
    return value | ({"block": block} if block else {})


def _blocks(nodes: Sequence[LayerNode]) -> dict[int, str]:
    """Rows of repeated blocks → the block's name: layers in a row whose names have one number in common."""
    runs: list[tuple[str, list[int]]] = []
    for at, node in enumerate(nodes):
        number = re.search(r"^(.*?)_?(\d+)(?=\D|$)", node.layer)
        key = f"{number[1]}_{number[2]}" if number else ""
        if key and runs and runs[-1][0] == key:
            runs[-1][1].append(at)
        else:
            runs.append((key, [at]))
    shapes: dict[tuple[str, ...], int] = {}
    for key, places in runs:
        shape = tuple(re.sub(r"\d+", "#", nodes[at].layer) for at in places)
        shapes[shape] = shapes.get(shape, 0) + 1 if key and len(places) > 1 else 0
    return {
        at: key
        for key, places in runs
        if shapes[tuple(re.sub(r"\d+", "#", nodes[each].layer) for each in places)] > 1
        for at in places
    }
