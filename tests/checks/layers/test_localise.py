"""Who is blamed, on recordings written by hand: cases that the corpus (bench/corpus) brought up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from validator.checks.layers import CHECK
from validator.checks.layers.localise import localise
from validator.checks.layers.numbers import (
    FullPass,
    ReplayedCall,
    ReplayedOutput,
    call_numbers,
    ratio,
    replay_of,
)
from validator.checks.layers.types import (
    CallNumbers,
    Cause,
    FirstDifference,
    FurtherCause,
    LayerDrift,
    LayersComparison,
    LayerTable,
    MoreCauses,
    NoLayerDiffers,
    Replay,
)
from validator.checks.loading.types import InputsFedFinding
from validator.checks.protocol import Earlier, Examined
from validator.checks.structure.alignment import align
from validator.checks.structure.architecture import compare_architecture
from validator.checks.structure.configurations import configuration_changes
from validator.checks.structure.graph import CallGraph
from validator.verdict.bands import BANDS


def recording(
    dtype: str = "float32", masked: bool = False, values: str = "old", model: str = ""
) -> CallGraph:
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
    return CallGraph.model_validate({**document, "calls": calls, "tensors": tensors})


def causes(old: CallGraph, new: CallGraph) -> list[tuple[str, str]]:
    differences = compare_architecture(align(old, new))
    return [(item.layer, item.aspect) for item in differences if item.cause]


def replayed(same: bool, rms: float) -> ReplayedCall:
    facts = {"path": "", "dtype": "float32", "same": same, "rms": rms, "max_abs": rms, "nonfinite": 0}
    noise = {"rms_baseline": 1.0, "noise_rms": 1e-7}
    return ReplayedCall(call=1, failure=None, outputs=(ReplayedOutput.model_validate({**facts, **noise}),))


def first(comparison: LayersComparison) -> Cause | None:
    findings = localise(comparison, BANDS.layers)
    return next((item.cause for item in findings if isinstance(item, FirstDifference)), None)


def compared(
    old: CallGraph, new: CallGraph, drifts: list[LayerDrift], replay: list[ReplayedCall]
) -> LayersComparison:
    alignment = align(old, new)
    replays = {call.call: replay_of(call) for call in replay}
    numbers = call_numbers(FullPass(alignment, Path(), Path()), replays)
    calls = [call.model_copy(update={"drift": drift}) for call, drift in zip(numbers, drifts, strict=True)]
    return LayersComparison(
        samples=(0,), replayed=True, calls=tuple(calls), differences=compare_architecture(alignment)
    )


def located(old: CallGraph, new: CallGraph, ratio: float, replay: list[ReplayedCall]) -> Cause:
    drift = LayerDrift(identical=False, ratio=ratio)
    cause = first(compared(old, new, [drift, drift], replay))
    assert cause is not None
    return cause


def test_a_model_is_not_blamed_for_the_dtype_that_its_layer_gives() -> None:
    assert causes(recording("float32"), recording("float16")) == [("norm", "dtype")]


def test_a_model_is_blamed_for_what_none_of_its_layers_does() -> None:
    assert causes(recording(), recording(model="float16")) == [("", "dtype")]


def test_a_model_is_not_blamed_where_its_inputs_arrive_swapped() -> None:
    propagated = chain(9.0, 9.0, replays={0: 0.0, 1: 0.0})
    model, *layers = propagated.calls
    moved = model.model_copy(update={"drift": LayerDrift(identical=False, ratio=9.0)})
    own_code = propagated.model_copy(update={"calls": (moved, *layers)})
    for loading in ((), (InputsFedFinding(side="baseline", outputs=()),)):
        earlier = Earlier((Examined("loading", None, loading),))
        findings = CHECK.find(own_code, BANDS, earlier)
        blamed = [each for each in findings if isinstance(each, FirstDifference) and not each.cause.layer]
        assert bool(blamed) == (not loading)


def test_the_same_bytes_in_and_other_values_out_convict_a_layer_that_does_not_differ_when_replayed() -> None:
    """K13: alone, the newer normalisation gives what the older one gave; in the model's graph it does not."""
    cause = located(recording(), recording(values="new"), 2600.0, [replayed(False, 1.5e-7)])
    assert (cause.layer, cause.differs, cause.ratio) == ("norm", "value", 2600.0)


def test_a_layer_that_rounds_otherwise_is_not_convicted_by_its_inputs() -> None:
    cause = located(recording(), recording(values="new"), 3.0, [replayed(False, 1.5e-7)])
    assert (cause.layer, cause.differs, cause.class_name) == ("", "value", "Functional")


def test_a_mask_that_is_new_does_not_explain_other_values_for_the_same_inputs() -> None:
    """K64: the softmax computes otherwise, and hands its mask on as well."""
    cause = located(recording(), recording(values="new", masked=True), 5e6, [replayed(False, 0.5)])
    assert (cause.layer, cause.differs) == ("norm", "value")
    assert cause.difference is not None
    assert (cause.difference.kind, cause.difference.after) == ("result-mask", True)


def test_a_mask_that_is_new_is_the_reason_where_the_values_are_the_same() -> None:
    drifts = [LayerDrift(identical=False, ratio=5e6), LayerDrift(identical=True, ratio=0.0)]
    cause = first(compared(recording(), recording(masked=True), drifts, []))
    assert cause is not None
    assert (cause.layer, cause.differs) == ("norm", "mask")


def chain(*ratios: float, replays: dict[int, float] | None = None, samples: int = 4) -> LayersComparison:
    """A model around layers `a0`, `a1` … with these ratios in the full pass, and when replayed."""
    model = CallNumbers(
        layer="",
        class_name="Model",
        call=0,
        candidate=0,
        parent=None,
        visible=True,
        counted=False,
        encloses=True,
    )
    calls = [model] + [
        CallNumbers(
            layer=f"a{at}",
            class_name="Dense",
            call=at + 1,
            candidate=at + 1,
            parent=0,
            visible=True,
            counted=True,
            encloses=False,
            drift=LayerDrift(identical=value == 0, ratio=value),
            replay=Replay(ratio=replays[at]) if replays and at in replays else None,
        )
        for at, value in enumerate(ratios)
    ]
    return LayersComparison(samples=tuple(range(samples)), replayed=True, calls=tuple(calls))


def test_layers_that_diverge_and_those_that_propagate_are_told_apart() -> None:
    comparison = chain(0.0, 0.5, 400.0, 390.0, 1.9, replays={2: 398.0, 3: 0.9})
    found, table = localise(comparison, BANDS.layers)
    assert isinstance(found, FirstDifference)
    assert (found.cause.layer, found.cause.ratio, found.alike) == ("a2", 398.0, ())
    assert isinstance(table, LayerTable)
    assert [row.kind for row in table.rows] == ["same", "same", "value", "propagated", "same"]
    assert [row.replayed for row in table.rows] == [0.0, None, 398.0, 0.9, None]
    assert (table.layers, table.diverging, table.propagating) == (5, 1, 1)


def test_causes_that_only_their_layer_tells_apart_stand_together() -> None:
    comparison = chain(*[50.0] * 6, replays=dict.fromkeys(range(6), 50.0))
    named = comparison.model_copy(
        update={
            "calls": tuple(
                call.model_copy(update={"class_name": f"Class{call.call % 5}"}) for call in comparison.calls
            )
        }
    )
    found = [item for item in localise(named, BANDS.layers) if not isinstance(item, LayerTable)]
    assert [item.kind for item in found] == [
        "first-difference",
        "further-cause",
        "further-cause",
        "more-causes",
    ]
    assert isinstance(found[0], FirstDifference)
    assert [call.layer for call in found[0].alike] == ["a5"]
    assert isinstance(found[1], FurtherCause)
    assert isinstance(found[3], MoreCauses)
    assert [call.layer for call in found[3].layers] == ["a3", "a4"]


def test_without_any_difference_that_is_what_is_found() -> None:
    table, nothing = localise(chain(0.0, 0.0), BANDS.layers)
    assert isinstance(table, LayerTable)
    assert (nothing.kind, isinstance(nothing, NoLayerDiffers) and nothing.samples) == ("no-layer-differs", 4)


def test_a_table_has_fifty_rows_and_starts_at_the_first_difference() -> None:
    *_, table = localise(chain(*[0.0] * 40, *[9.0] * 40, replays={40: 9.0}), BANDS.layers)
    assert isinstance(table, LayerTable)
    assert len(table.rows) == 50
    assert sum(row.kind == "propagated" for row in table.rows) == 39
    assert (table.layers, table.diverging, table.propagating) == (80, 1, 39)


@given(st.floats(0, 1e30), st.floats(0, 1e30), st.floats(0, 1e30))
def test_a_ratio_is_never_negative_and_grows_with_the_drift(drift: float, noise: float, unit: float) -> None:
    assert 0 <= ratio(drift, noise, unit) <= ratio(drift * 2, noise, unit)
    assert ratio(0.0, noise, unit) == 0


def test_an_activation_of_two_names_is_one() -> None:
    assert list(configuration_changes({"activation": "swish"}, {"activation": "silu"}, 2)) == []
    assert list(configuration_changes({"activation": "swish"}, {"activation": "gelu"}, 2)) != []
