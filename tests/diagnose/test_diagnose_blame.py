"""Who is blamed, on recordings written by hand: cases that the corpus (bench/corpus) brought up."""

from __future__ import annotations

from typing import Any

from validator.compare.alignment import align
from validator.compare.architecture import Difference, compare_architecture
from validator.compare.configurations import configuration_changes
from validator.compare.layers import LayerDrift
from validator.diagnose import Evidence, localise
from validator.layers import Layers
from validator.runner.layers import FedCall, FedOutput


def recording(dtype: str = "float32", masked: bool = False, values: str = "old", model: str = "") -> Layers:
    """A model of one layer, `norm`: what it gives, masked or not; `model` is the dtype of the model's."""
    layers: list[dict[str, Any]] = [
        {"name": "model", "class_name": "Functional", "module": "keras.src.models", "container": True},
        {"name": "norm", "class_name": "Norm", "module": "keras.src.layers"},
    ]
    tensors: list[dict[str, Any]] = [
        {"dtype": "float32", "shape": [4, 3], "summary": {"count": 12, "hash": "the same"}},
        {"dtype": dtype, "shape": [4, 3], "producer": 1, "summary": {"count": 12, "hash": values}},
        {"dtype": "bool", "shape": [4, 3], "summary": {"count": 12, "hash": "mask"}},
        {"dtype": model or dtype, "shape": [4, 3], "producer": 0, "summary": {"count": 12, "hash": values}},
    ]
    given = {"name": "inputs", "positional": True, "value": {"t": 0}}
    result = {"t": 1, "m": 2} if masked else {"t": 1}
    calls: list[dict[str, Any]] = [
        {"layer": 0, "parent": None, "path": "", "occurrence": 0, "arguments": [given]},
        {"layer": 1, "parent": 0, "path": "norm", "occurrence": 0, "arguments": [given], "result": result},
    ]
    calls[0]["result"] = {"t": 3}
    document = {"schema": 1, "mode": "traced", "rows": [0], "layers": layers}
    return Layers.model_validate({**document, "calls": calls, "tensors": tensors})


def causes(old: Layers, new: Layers) -> list[tuple[str, str]]:
    found: tuple[Difference, ...] = compare_architecture(align(old, new))
    return [(one.layer, one.kind) for one in found if one.cause]


def fed(same: bool, rms: float) -> list[FedCall]:
    facts = {"path": "", "dtype": "float32", "same": same, "rms": rms, "max_abs": rms, "nonfinite": 0}
    noise = {"rms_baseline": 1.0, "noise_rms": 1e-7, "valid_rms": None, "padded_rms": None}
    return [FedCall(call=1, failure=None, outputs=(FedOutput.model_validate({**facts, **noise}),))]


def diagnose(old: Layers, new: Layers, ratio: float, alone: list[FedCall]) -> tuple[str, str, str]:
    alignment = align(old, new)
    drifts = [LayerDrift(0, 0, False, ratio), LayerDrift(1, 1, False, ratio)]
    found = localise(Evidence(alignment, compare_architecture(alignment), drifts, alone)).first
    assert found is not None
    return found.layer, found.kind, found.message


def test_a_model_is_not_blamed_for_the_dtype_that_its_layer_gives() -> None:
    assert causes(recording("float32"), recording("float16")) == [("norm", "dtype")]


def test_a_model_is_blamed_for_what_none_of_its_layers_does() -> None:
    assert causes(recording(), recording(model="float16")) == [("the model", "dtype")]


def test_the_same_bytes_in_and_other_values_out_convict_a_layer_that_does_not_differ_when_fed() -> None:
    """K13: alone, the newer normalisation gives what the older one gave; in the model's graph it does not."""
    layer, kind, message = diagnose(recording(), recording(values="new"), 2600.0, fed(False, 1.5e-7))
    assert (layer, kind) == ("norm", "value")
    assert "2.6e+03 times its noise" in message


def test_a_layer_that_rounds_otherwise_is_not_convicted_by_its_inputs() -> None:
    layer, _, _ = diagnose(recording(), recording(values="new"), 3.0, fed(False, 1.5e-7))
    assert layer == "the model"


def test_a_mask_that_is_new_does_not_explain_other_values_for_the_same_inputs() -> None:
    """K64: the softmax computes otherwise, and hands its mask on as well."""
    old, new = recording(), recording(values="new", masked=True)
    layer, kind, message = diagnose(old, new, 5e6, fed(False, 0.5))
    assert (layer, kind) == ("norm", "value")
    assert "gives other values for the same inputs" in message
    assert "now carries a mask" in message


def test_a_mask_that_is_new_is_the_reason_where_the_values_are_the_same() -> None:
    alignment = align(recording(), recording(masked=True))
    drifts = [LayerDrift(0, 0, False, 5e6), LayerDrift(1, 1, True, 0.0)]
    found = localise(Evidence(alignment, compare_architecture(alignment), drifts, [])).first
    assert found is not None
    assert (found.layer, found.kind) == ("norm", "mask")


def test_an_activation_of_two_names_is_one() -> None:
    assert list(configuration_changes({"activation": "swish"}, {"activation": "silu"}, 2)) == []
    assert list(configuration_changes({"activation": "swish"}, {"activation": "gelu"}, 2)) != []
