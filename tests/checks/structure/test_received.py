"""The same call, and a layer whose own code is given something else: named before the layer is blamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from validator.checks.layers.localise import localise
from validator.checks.layers.numbers import FullPass, call_numbers
from validator.checks.layers.types import Cause, FirstDifference, LayersComparison, Replay
from validator.checks.structure.alignment import align
from validator.checks.structure.architecture import compare_architecture
from validator.checks.structure.graph import CallGraph
from validator.checks.structure.types import StructuralDifference
from validator.verdict.bands import BANDS

PLAIN = {"x": {"t": 1}, "mask": {"v": None}, "causal": {"v": False}, "training": {"v": None}}


def recording(
    received: dict[str, Any] = PLAIN,
    values: str = "old",
    given: dict[str, Any] | None = None,
    result: dict[str, Any] | None = None,
    **tensor: Any,
) -> CallGraph:
    """body → head. `received`: what the head's code is given. `tensor`: fields of a tensor that no call made.

    Tensor 1 is the body's, 2 its mask, 3 the head's, 4 that of no call.
    """
    layers: list[dict[str, Any]] = [
        {"name": "model", "class_name": "Functional", "module": "keras.src.models", "container": True},
        {"name": "body", "class_name": "Dense", "module": "keras.src.layers"},
        {"name": "head", "class_name": "Mean", "module": "keras.src.layers"},
    ]
    shape: dict[str, Any] = {"dtype": "float32", "shape": [4, 3]}
    tensors = [
        {**shape, "summary": {"hash": "input"}},
        {**shape, "producer": 1, "summary": {"hash": "body"}},
        {"dtype": "bool", "shape": [4], "summary": {"hash": "mask"}},
        {**shape, "producer": 2, "summary": {"hash": values}},
        {**shape, "summary": {"hash": "made"}, **tensor},
    ]
    body = {"layer": 1, "parent": 0, "path": "body", "occurrence": 0}
    body |= {"arguments": [{"name": "x", "value": {"t": 0}}], "result": {"t": 1, "m": 2}}
    head = {"layer": 2, "parent": 0, "path": "head", "occurrence": 0, "received": received}
    head |= {"arguments": [{"name": "x", "value": given or {"t": 1, "m": 2}}], "result": result or {"t": 3}}
    whole = {"layer": 0, "parent": None, "path": "", "occurrence": 0, "result": {"t": 3}}
    document = {"schema": 1, "rows": [0, 1], "layers": layers, "tensors": tensors}
    return CallGraph.model_validate({**document, "calls": [whole, body, head]})


def causes(old: CallGraph, new: CallGraph) -> list[StructuralDifference]:
    return [difference for difference in compare_architecture(align(old, new)) if difference.cause]


@pytest.mark.parametrize(("before", "after"), [({"v": None}, {"t": 2}), ({"t": 2}, {"v": None})])
def test_a_mask_that_the_framework_hands_over_or_not_is_named(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    (found,) = causes(recording({**PLAIN, "mask": before}), recording({**PLAIN, "mask": after}))
    assert (found.layer, found.kind, found.name, found.aspect) == ("head", "received-mask", "mask", "mask")
    assert (found.before, found.after) == ("t" in before, "t" in after)


def test_a_mask_that_does_not_arrive_since_none_was_given_is_nobodys_fault_here() -> None:
    old = recording({**PLAIN, "mask": {"t": 2}})
    new = recording(PLAIN, given={"t": 1})
    kinds = [found.kind for found in compare_architecture(align(old, new)) if found.layer == "head"]
    assert kinds == ["input-mask"]


@pytest.mark.parametrize("masked", [True, False])
def test_a_mask_that_code_between_the_layers_takes_off_is_named_where_it_is_missing(masked: bool) -> None:
    sides = recording({}), recording({}, values="new", given={"t": 4})
    old, new = sides if masked else sides[::-1]
    (found,) = causes(old, new)
    assert (found.layer, found.kind, found.before, found.after) == ("head", "input-mask", masked, not masked)
    assert first(old, new, 1e6).differs == "mask"


def test_one_of_several_masks_that_is_missing_is_named() -> None:
    both, one = {"list": [{"t": 2}, {"t": 2}]}, {"list": [{"t": 2}, {"v": None}]}
    (found,) = causes(recording({**PLAIN, "mask": both}), recording({**PLAIN, "mask": one}))
    assert found.kind == "received-mask"


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("causal", False, True), ("causal", None, 3), ("axes", [1, 2], [2]), ("x_scale", 0.5, 0.25)],
)
def test_another_argument_is_named_with_both_values(name: str, before: Any, after: Any) -> None:
    def tree(value: Any) -> dict[str, Any]:
        return {"list": [{"v": item} for item in value]} if isinstance(value, list) else {"v": value}

    sides = ({**PLAIN, name: tree(value)} for value in (before, after))
    (found,) = causes(*map(recording, sides))
    assert (found.kind, found.name, found.before, found.after) == ("argument", name, before, after)


def test_a_number_that_json_does_not_have_is_an_argument_too() -> None:
    sides = ({**PLAIN, "fill": {"f": "-inf"}}, {**PLAIN, "fill": {"v": 0.0}})
    (found,) = causes(*map(recording, sides))
    assert (found.before, found.after) == ("-inf", 0.0)


def test_an_argument_that_is_a_tensor_on_one_side_is_named() -> None:
    (found,) = causes(recording({**PLAIN, "scores": {"v": None}}), recording({**PLAIN, "scores": {"t": 2}}))
    assert (found.kind, found.before, found.after) == ("argument", None, "tensor")


@pytest.mark.parametrize(
    "other",
    [
        {**PLAIN, "training": {"v": False}},
        {**PLAIN, "a_new_parameter": {"v": 1}},
        {name: value for name, value in PLAIN.items() if name != "causal"},
        {},  # Keras 2 says nothing
    ],
)
def test_what_releases_write_otherwise_is_no_difference(other: dict[str, Any]) -> None:
    assert causes(recording(), recording(other)) == []
    assert causes(recording(other), recording()) == []


@pytest.mark.parametrize(
    ("tensor", "kind"), [({"dtype": "int64"}, "input-dtype"), ({"shape": [4, 6]}, "input-shape")]
)
def test_a_tensor_that_code_between_the_layers_made_is_named_where_it_arrives(
    tensor: dict[str, Any], kind: str
) -> None:
    made = {"t": 4}
    old, new = recording({}, given=made), recording({}, given=made, **tensor)
    assert [(found.layer, found.kind) for found in causes(old, new)] == [("head", kind)]


def first(old: CallGraph, new: CallGraph, replayed: float) -> Cause:
    """The first difference, where the head diverges when it is replayed."""
    alignment = align(old, new)
    numbers = call_numbers(FullPass(alignment, Path(), Path()), {2: Replay(ratio=replayed)})
    comparison = LayersComparison(
        samples=(0, 1), replayed=True, calls=tuple(numbers), differences=compare_architecture(alignment)
    )
    found = next(item for item in localise(comparison, BANDS.layers) if isinstance(item, FirstDifference))
    return found.cause


def test_what_a_layer_receives_explains_what_it_returns_even_where_a_replay_diverges() -> None:
    """Replayed, the framework drops the mask again: that is not other output for the same input."""
    old, new = recording(), recording({**PLAIN, "mask": {"t": 2}}, values="new")
    assert (first(old, new, 1e6).layer, first(old, new, 1e6).differs) == ("head", "mask")


def test_a_mask_on_the_result_does_not_explain_what_a_replay_returns() -> None:
    masked = {"t": 3, "m": 2}
    cause = first(recording(), recording(values="new", result=masked), 1e6)
    assert (cause.differs, cause.difference is not None) == ("value", True)


def test_a_tensor_that_arrives_otherwise_is_no_identical_input() -> None:
    """Bytes that the layer's code is given count, not those before the framework's conversion."""
    numbers = [
        list(call_numbers(FullPass(align(recording(), new), Path(), Path()), {}))[2].same_inputs
        for new in (recording(values="new"), recording({**PLAIN, "x": {"t": 4}}, values="new"))
    ]
    assert numbers == [True, False]


def scaled(
    values: str = "old", by: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **tensor: Any
) -> CallGraph:
    """body → an operation of the graph that scales what it gets by `by`; tensor 4 is a constant."""
    document = recording(values=values, **{"shape": [3], **tensor}).model_dump(mode="json", by_alias=True)
    document["layers"][2] |= {"name": "multiply", "class_name": "Multiply", "config": config or {}}
    arguments = [{"name": "x1", "value": {"t": 1}}, {"name": "x2", "value": by or {"t": 4}}]
    document["calls"][2] |= {"path": "multiply", "operation": True, "received": {}, "arguments": arguments}
    return CallGraph.model_validate(document)


@pytest.mark.parametrize(
    ("old", "new", "kind", "name"),
    [
        (scaled(), scaled(summary={"hash": "other"}), "constant", "x2"),
        (scaled(by={"v": 1.0}), scaled(by={"v": 1.5}), "argument", "x2"),
        (scaled(by={"v": 1.0}), scaled(), "argument", "x2"),
        (scaled(config={"axis": -1}), scaled(config={"axis": 0}), "configuration", "axis"),
    ],
)
def test_what_a_graph_gives_to_an_operation_is_named(
    old: CallGraph, new: CallGraph, kind: str, name: str
) -> None:
    (difference,) = causes(old, new)
    assert (difference.layer, difference.kind, difference.name) == ("multiply", kind, name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (scaled(), scaled(values="new")),
        (scaled(config={"axis": -1}), scaled(config={"axis": 1})),  # of two axes, the last
        (scaled(shape=[2, 3]), scaled(shape=[2, 3], summary={"hash": "other"})),  # one for each sample
        (scaled(by={"opaque": "DType"}), scaled(by={"v": "float32"})),
        (scaled(), scaled(summary=None)),
    ],
)
def test_what_may_be_the_same_to_an_operation_is_no_difference(old: CallGraph, new: CallGraph) -> None:
    assert causes(old, new) == []
