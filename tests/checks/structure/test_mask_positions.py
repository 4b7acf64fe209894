"""A mask that is there on both sides and keeps other positions: K08 and K09, and whoever only inherits it."""

from __future__ import annotations

from typing import Any

import pytest

from validator.checks.structure.alignment import align
from validator.checks.structure.architecture import compare_architecture
from validator.checks.structure.graph import CallGraph
from validator.checks.structure.types import StructuralDifference


def recording(ids: str, embedded: str | None, merged: str | None, read: str | None) -> CallGraph:
    """ids → words → merge → reader; the arguments name the content of ids and of each layer's mask."""
    names = ("words", "merge", "reader")
    layers: list[dict[str, Any]] = [
        {"name": "model", "class_name": "Functional", "module": "keras.src.models", "container": True}
    ]
    layers += [{"name": name, "class_name": name.title(), "module": "keras.src.layers"} for name in names]
    tensors: list[dict[str, Any]] = [
        {"dtype": "int32", "shape": [4, 3], "summary": {"count": 12, "hash": ids}}
    ]
    calls: list[dict[str, Any]] = [{"layer": 0, "parent": None, "path": "", "occurrence": 0}]
    taken: dict[str, Any] = {"t": 0}
    for number, (name, mask) in enumerate(zip(names, (embedded, merged, read), strict=True), start=1):
        value = {"count": 12, "hash": f"values of {name}"}
        tensors.append({"dtype": "float32", "shape": [4, 3], "producer": number, "summary": value})
        given: dict[str, Any] = {"t": len(tensors) - 1}
        if mask is not None:
            tensors.append({"dtype": "bool", "shape": [4, 3], "summary": {"count": 12, "hash": mask}})
            given["m"] = len(tensors) - 1
        argument = {"name": "inputs", "positional": True, "value": taken}
        place = {"layer": number, "parent": 0, "path": name, "occurrence": 0}
        calls.append({**place, "arguments": [argument], "result": given})
        taken = given
    calls[0]["result"] = taken
    document = {"schema": 1, "mode": "traced", "rows": [0], "layers": layers}
    return CallGraph.model_validate({**document, "calls": calls, "tensors": tensors})


def differences(old: CallGraph, new: CallGraph) -> list[StructuralDifference]:
    return list(compare_architecture(align(old, new)))


def test_the_layer_that_makes_the_other_mask_is_the_cause_and_the_next_one_inherits() -> None:
    found = differences(recording("i", "m", "and", "and"), recording("i", "m", "or", "or"))
    assert [(one.aspect, one.layer, one.cause) for one in found] == [
        ("mask", "merge", True),
        ("mask", "reader", False),
    ]
    assert found[0].kind == "result-mask-positions"


def test_a_first_mask_is_caused_where_the_ids_are_the_same() -> None:
    found = differences(recording("i", "m", "m", "m"), recording("i", "n", "n", "n"))
    assert [(one.layer, one.cause) for one in found] == [("words", True), ("merge", False), ("reader", False)]


def test_other_ids_cause_nothing() -> None:
    found = differences(recording("i", "m", None, None), recording("j", "n", None, None))
    assert [(one.layer, one.cause) for one in found] == [("words", False)]


@pytest.mark.parametrize("masks", [("m", "m", "m"), ("m", "m", None), (None, None, None)])
def test_the_same_masks_are_no_difference(masks: tuple[str | None, str | None, str | None]) -> None:
    assert differences(recording("i", *masks), recording("i", *masks)) == []
