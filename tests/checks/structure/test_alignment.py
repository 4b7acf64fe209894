"""Aligning calls, reading configurations, blaming: on recordings written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.checks.structure.alignment import align, name_in
from validator.checks.structure.architecture import compare_architecture
from validator.checks.structure.configurations import configuration_changes
from validator.checks.structure.graph import CallFacts, CallGraph, LayerFacts

Spec = tuple[str, str]


def recording(*specs: Spec, **changes: dict[str, Any]) -> CallGraph:
    """A chain of layers (name, class), one call each; `changes` overrides fields of a layer by its name."""
    layers: list[dict[str, Any]] = [
        {"name": "model", "class_name": "Functional", "module": "keras.src.models", "container": True}
    ]
    calls: list[dict[str, Any]] = [
        {"layer": 0, "parent": None, "path": "", "occurrence": 0, "received": {"training": {"v": False}}}
    ]
    tensors: list[dict[str, Any]] = [{"dtype": "float32", "shape": [4, 3]}]
    for number, (name, class_name) in enumerate(specs, start=1):
        layer = {
            "name": name,
            "class_name": class_name,
            "module": "keras.src.layers",
            "compute_dtype": "float32",
        }
        layers.append({**layer, **changes.get(name, {})})
        tensors.append({"dtype": "float32", "shape": [4, 3], "producer": number})
        argument = {"name": "inputs", "positional": True, "value": {"t": number - 1}}
        result = {"t": number}
        calls.append(
            {
                "layer": number,
                "parent": 0,
                "path": name,
                "occurrence": 0,
                "arguments": [argument],
                "result": result,
            }
        )
    return CallGraph.model_validate(
        {"schema": 1, "mode": "traced", "rows": [0], "layers": layers, "calls": calls, "tensors": tensors}
    )


def facts(name: str, class_name: str, function: str = "") -> LayerFacts:
    return LayerFacts(name=name, class_name=class_name, module="keras", function=function)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (facts("dense_17", "Dense"), "dense"),
        (facts("dense", "Dense"), "dense"),
        (facts("attention_0", "GroupedAttention"), "attention_0"),
        (facts("re_lu_3", "ReLU"), "re_lu"),
        (facts("conv2d_1", "Conv2D"), "conv2d"),
        (facts("forward_lstm_2", "LSTM"), "forward_lstm"),
        (facts("tf.__operators__.add_4", "TFOpLambda", "__operators__.add"), "operation add"),
        (facts("tf.math.multiply", "TFOpLambda", "math.multiply"), "operation multiply"),
        (facts("tf.__operators__.getitem", "SlicingOpLambda", "__operators__.getitem"), "operation get_item"),
    ],
)
def test_automatic_names_lose_their_numbers_and_given_ones_keep_them(
    layer: LayerFacts, expected: str
) -> None:
    call = CallFacts(layer=0, parent=None, path="", occurrence=0)
    assert name_in(layer, call) == expected


def test_an_operation_is_known_by_its_class() -> None:
    call = CallFacts(layer=0, parent=None, path="", occurrence=0, operation=True)
    assert name_in(facts("not_equal_3", "NotEqual"), call) == "operation not_equal"


@given(st.lists(st.sampled_from(["Dense", "ReLU", "Conv2D", "LSTM"]), max_size=8), st.integers(0, 40))
def test_renumbering_automatic_names_changes_nothing(classes: list[str], offset: int) -> None:
    snake = {"Dense": "dense", "ReLU": "re_lu", "Conv2D": "conv2d", "LSTM": "lstm"}
    here = [(f"{snake[one]}_{number}", one) for number, one in enumerate(classes)]
    there = [(f"{snake[one]}_{number + offset}", one) for number, one in enumerate(classes)]
    alignment = align(recording(*here), recording(*there))
    assert alignment.pairs == tuple((number, number) for number in range(len(classes) + 1))
    assert compare_architecture(alignment) == ()


def test_a_layer_in_between_takes_no_partner_away() -> None:
    old = recording(("dense", "Dense"), ("dense_1", "Dense"))
    new = recording(("dense", "Dense"), ("re_lu", "ReLU"), ("dense_1", "Dense"))
    alignment = align(old, new)
    assert alignment.extra == (2,)
    (difference,) = compare_architecture(alignment)
    assert (difference.kind, difference.class_name, difference.aspect) == ("added", "ReLU", "structure")


def holding(*hashes: str) -> dict[str, Any]:
    weights = [{"name": "kernel", "shape": [3, 3], "dtype": "float32", "hash": each} for each in hashes]
    return {"weights": weights}


def test_layers_of_one_name_are_told_apart_by_their_weights() -> None:
    old = recording(("dense", "Dense"), ("dense_1", "Dense"), dense=holding("a"), dense_1=holding("b"))
    swapped = recording(("dense_1", "Dense"), ("dense", "Dense"), dense=holding("a"), dense_1=holding("b"))
    assert align(old, swapped).pairs == ((0, 0), (1, 2), (2, 1))
    alone = recording(("dense", "Dense"), dense=holding("b"))
    assert align(old, alone).pairs == ((0, 0), (2, 1))
    fresh = recording(("dense", "Dense"), ("dense_1", "Dense"), dense=holding("c"), dense_1=holding("c"))
    assert align(old, fresh).pairs == ((0, 0), (1, 1), (2, 2))


def test_more_layers_of_a_name_are_told_apart_by_their_looks() -> None:
    wide = {"weights": [{"name": "kernel", "shape": [3, 9], "dtype": "float32"}]}
    old = recording(("dense", "Dense"), ("dense_1", "Dense"), dense_1=wide)
    new = recording(("dense_5", "Dense"), dense_5=wide)
    assert align(old, new).pairs == ((0, 0), (2, 1))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"activation": "relu"}, {"activation": {"class_name": "function", "config": "relu"}}),
        ({"activation": None}, {"activation": "linear"}),
        ({"axis": [3]}, {"axis": -1}),
        ({"pool_size": [2, 2]}, {"pool_size": 2}),
        ({"padding": [[1, 1], [1, 1]]}, {"padding": [1, 1]}),
        ({"time_major": False, "units": 3}, {"units": 3}),
        ({"kernel_initializer": "zeros"}, {"kernel_initializer": {"class_name": "Zeros", "config": {}}}),
        ({"batch_input_shape": [None, 3]}, {"batch_shape": [None, 3]}),
        ({"epsilon": 0.001}, {"epsilon": 0.0010000000474974513}),
        ({"data_format": None}, {"data_format": "channels_last"}),
        ({"trainable": True, "name": "a"}, {"trainable": False, "name": "b"}),
    ],
)
def test_what_releases_write_otherwise_is_the_same_setting(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert list(configuration_changes(old, new, 4)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"epsilon": 0.001}, {"epsilon": 0.00001}),
        ({"recurrent_activation": "hard_sigmoid"}, {"recurrent_activation": "sigmoid"}),
        ({"axis": 1}, {"axis": -1}),
        ({"strides": [1, 2]}, {"strides": [2, 1]}),
        ({"use_bias": True}, {"use_bias": False}),
    ],
)
def test_another_setting_is_told(old: dict[str, Any], new: dict[str, Any]) -> None:
    ((name, before, after),) = configuration_changes(old, new, 4)
    assert name in old
    assert before != after


def test_weights_in_another_order_are_told() -> None:
    pair = [{"name": name, "shape": [3], "dtype": "float32"} for name in ("gamma", "beta")]
    old = recording(("norm", "Norm"), norm={"weights": pair})
    new = recording(("norm", "Norm"), norm={"weights": pair[::-1]})
    (difference,) = compare_architecture(align(old, new))
    assert difference.kind == "weight-order"
    assert (difference.before, difference.after) == (["gamma", "beta"], ["beta", "gamma"])


@pytest.mark.parametrize(
    ("old", "new", "kind", "values"),
    [
        ([("w", [3], "float32")], [], "weight-count", ("", 1, 0)),
        ([("w", [3], "float32")], [("v", [4], "float32")], "weight-shape", ("w", [3], [4])),
        ([("w", [3], "float32")], [("w", [3], "float16")], "weight-dtype", ("w", "float32", "float16")),
        ([("seed", [2], "uint32")], [], "", ()),
    ],
)
def test_weights(old: list[Any], new: list[Any], kind: str, values: tuple[Any, ...]) -> None:
    sides = [
        recording(
            ("n", "N"), n={"weights": [dict(zip(("name", "shape", "dtype"), w, strict=True)) for w in side]}
        )
        for side in (old, new)
    ]
    differences = compare_architecture(align(*sides))
    assert [item.kind for item in differences] == ([kind] if kind else [])
    assert [(item.name, item.before, item.after) for item in differences] == ([values] if kind else [])


def test_a_class_a_policy_and_a_configuration_key_are_typed() -> None:
    old, new = recording(("a", "Dense")), recording(("a", "LSTM"))
    (difference,) = compare_architecture(align(old, new))
    assert (difference.kind, difference.before, difference.after) == ("class", "Dense", "LSTM")
    old = recording(("a", "Norm"), a={"policy": "float32", "config": {"epsilon": 1e-3}})
    half = {"policy": "mixed_float16", "compute_dtype": "float16", "config": {"epsilon": 1e-5}}
    policy, key = compare_architecture(align(old, recording(("a", "Norm"), a=half)))
    assert (policy.kind, policy.aspect, policy.after) == ("policy", "dtype", "mixed_float16")
    assert (key.kind, key.name, key.before, key.after) == ("configuration", "epsilon", 1e-3, 1e-5)


@pytest.mark.parametrize(
    "broken",
    [
        {"calls": [{"layer": 7, "parent": None, "path": "", "occurrence": 0}]},
        {"calls": [{"layer": 0, "parent": 0, "path": "", "occurrence": 0}]},
        {"calls": [{"layer": 0, "parent": None, "path": "", "occurrence": 0, "result": {"t": 9}}]},
        {"tensors": [{"dtype": "bool", "shape": [], "producer": 5}]},
    ],
)
def test_a_document_whose_indices_lead_nowhere_is_refused(broken: dict[str, Any]) -> None:
    document = recording().model_dump(by_alias=True)
    with pytest.raises(ValueError, match=r"does not exist|before its parent"):
        CallGraph.model_validate({**document, **broken})
