"""How the checks `structure` and `layers` read."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from validator.checks.layers.types import (
    Cause,
    FirstDifference,
    FurtherCause,
    LayerRow,
    LayersComparison,
    LayersNotRecorded,
    LayerTable,
    MoreCauses,
    NoLayerDiffers,
    ReplayIncomplete,
)
from validator.checks.protocol import Finding
from validator.checks.structure.types import (
    DifferenceKind,
    LayerCall,
    MoreStructure,
    NotRecorded,
    StructuralDifference,
    StructureFinding,
    StructureNotRecorded,
)
from validator.failure import Failure
from validator.report.document import Entry, Fold, Paragraph, Table
from validator.report.phrases import Words, unmarked
from validator.report.words import layers, structure

ADD = LayerCall(layer="residual", class_name="Add")
HEADS = LayerCall(layer="heads", class_name="MultiHeadAttention")
CAST = LayerCall(layer="cast", class_name="Cast")


def difference(
    kind: DifferenceKind, layer: str = "norm", class_name: str = "Norm", **more: Any
) -> StructuralDifference:
    facts = {"kind": kind, "layer": layer, "class_name": class_name, "call": 1}
    return StructuralDifference.model_validate({**facts, **more})


SENTENCES: list[tuple[StructuralDifference, str]] = [
    (difference("class", before="Dense", after="LSTM"), "class of norm changed from Dense to LSTM"),
    (
        difference("policy", before="float32", after="bfloat16"),
        "dtype policy of norm changed from float32 to bfloat16",
    ),
    (
        difference("configuration", name="epsilon", before=1e-3, after=1e-5),
        "epsilon of norm (Norm) changed from 0.001 to 1e-05",
    ),
    (difference("weight-count", before=2, after=3), "norm (Norm) has 3 weights instead of 2"),
    (
        difference("weight-shape", name="kernel", before=[3, 9], after=[9]),
        "shape of kernel of norm (Norm) changed from (3, 9) to (9)",
    ),
    (
        difference("weight-dtype", name="kernel", before="float32", after="float16"),
        "dtype of kernel of norm (Norm) changed from float32 to float16",
    ),
    (
        difference("weight-values", name="kernel"),
        "weights of norm (Norm) differ: kernel has other values",
    ),
    (
        difference("weight-values", name="kernel", before=0.25, after=0.5),
        "weights of norm (Norm) differ: kernel has a standard deviation of 0.5 instead of 0.25",
    ),
    (
        difference("vocabulary-size", before=7, after=9),
        "vocabulary of norm (Norm) has 9 entries instead of 7",
    ),
    (difference("vocabulary-entries", before=7, after=7), "vocabulary of norm (Norm) has other entries"),
    (
        difference("weight-order", before=["gamma", "beta"], after=["beta", "gamma"]),
        "weights of norm (Norm) are now in another order: (gamma, beta) → (beta, gamma)",
    ),
    (
        difference(
            "input-cast",
            "attention_0",
            name="attention_mask",
            input=2,
            before="bool",
            after="bfloat16",
            by=CAST,
        ),
        "input attention_mask of attention_0 is now cast from bool to bfloat16",
    ),
    (
        difference("input-cast", name="x", input=0, before="bool", after="float32", by=ADD),
        "input x of norm is now converted by Add from bool to float32",
    ),
    (
        difference("input-cast-removed", name="inputs", input=1, before="float32", after="bool", by=CAST),
        "input 1 of norm is no longer cast: bool instead of float32",
    ),
    (
        difference("input-conversion", name="x", input=0, before="float16", after="float32"),
        "input x of norm now arrives as float32 instead of float16",
    ),
    (
        difference("input-dtype", name="x", input=0, before="int32", after="int64"),
        "input x of norm is now int64 instead of int32",
    ),
    (
        difference("input-mask", "heads", input=0, before=True, after=False, receiver=ADD, by=HEADS),
        "heads (MultiHeadAttention) now clears the mask of input 0 of residual",
    ),
    (difference("input-mask", input=0, before=False, after=True), "input 0 of norm now has a mask"),
    (difference("input-mask", before=False, after=True), "input of norm now has a mask"),
    (difference("input-mask", input=0, before=True, after=False), "input 0 of norm no longer has a mask"),
    (difference("result-count", before=1, after=2), "norm returns 2 tensors instead of 1"),
    (
        difference("result-count", before=2, after=2),
        "norm returns its tensors under different names, or in a different structure",
    ),
    (
        difference("result-dtype", layer="", before="float32", after="float16"),
        "output of the model is now float16 instead of float32",
    ),
    (
        difference("input-shape", name="x", input=0, before=[4, 6], after=[6, 4]),
        "input x of norm has shape (6, 4) instead of (4, 6)",
    ),
    (
        difference("received-mask", name="mask", before=False, after=True),
        "norm (Norm) now receives the mask of its input",
    ),
    (
        difference("received-mask", name="mask", before=True, after=False, occurrence=1),
        "norm (Norm, call 2) no longer receives the mask of its input",
    ),
    (
        difference("argument", name="use_causal_mask", before=True, after=False),
        "argument use_causal_mask of norm (Norm) changed from True to False",
    ),
    (difference("constant", name="x2"), "constant x2 of norm (Norm) has other values"),
    (
        difference("argument", name="x2", before=1.0, after=1.0000000001),
        "argument x2 of norm (Norm) changed from 1.0 to 1.0000000001",
    ),
    (difference("result-rank", before=2, after=3), "output of norm has rank 3 instead of 2"),
    (
        difference("result-shape", before=[4, 6], after=[4, 5]),
        "output of norm (Norm) has shape (4, 5) instead of (4, 6)",
    ),
    (
        difference("result-mask", before=True, after=False, input_masked=True),
        "output of norm (Norm) no longer carries a mask, although its input does",
    ),
    (
        difference("result-mask", before=False, after=True, input_masked=True, occurrence=1),
        "output of norm (Norm, call 2) now carries a mask, like its input",
    ),
    (
        difference("result-mask", before=False, after=True, input_masked=True, name="mask"),
        "output of norm (Norm) now carries the mask given as argument mask",
    ),
    (
        difference("result-mask-positions"),
        "mask on the output of norm (Norm) keeps different positions, although its inputs are identical",
    ),
    (difference("removed"), "layer norm (Norm) was removed"),
    (difference("added", class_name="Mul", operation=True), "operation Mul was added"),
]


@pytest.mark.parametrize(("item", "text"), SENTENCES)
def test_a_structural_difference(item: StructuralDifference, text: str) -> None:
    assert unmarked(structure.WORDS.sentence(StructureFinding(difference=item))) == text


def test_every_kind_of_difference_has_its_sentence() -> None:
    assert {item.kind for item, _ in SENTENCES} == set(get_args(DifferenceKind))


LOST = NotRecorded(side="candidate", failure=Failure(stage="load", error="ValueError", message="no\nlog"))
ATTENTION = {"layer": "attention_0", "class_name": "MultiHeadAttention"}
RANK = difference("result-rank", before=2, after=3)
VALUE = Cause(**ATTENTION, differs="value", ratio=398.0)


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (MoreStructure(count=1), "1 more structural difference"),
        (MoreStructure(count=5), "5 more structural differences"),
        (
            StructureNotRecorded(missing=LOST),
            "structure of the candidate could not be recorded: ValueError: no",
        ),
        (LayersNotRecorded(missing=LOST), "layers of the candidate could not be recorded: ValueError: no"),
        (
            LayersNotRecorded(missing=NotRecorded(side="baseline", reason="savedmodel")),
            "layers of the baseline could not be recorded: a SavedModel is a frozen graph without layers",
        ),
        (
            LayersNotRecorded(missing=NotRecorded(failure=LOST.failure)),
            "layers could not be compared: ValueError: no",
        ),
        (
            FirstDifference(cause=VALUE),
            "attention_0 returns different output for identical input, 398 × noise",
        ),
        (
            FirstDifference(cause=VALUE, alike=(ADD, HEADS)),
            "attention_0 returns different output for identical input, 398 × noise; "
            "likewise residual and heads",
        ),
        (
            FurtherCause(
                cause=Cause(
                    **ATTENTION, differs="value", difference=difference("result-rank", before=2, after=3)
                )
            ),
            "output of norm has rank 3 instead of 2",
        ),
        (
            FirstDifference(
                cause=Cause(
                    **ATTENTION,
                    differs="value",
                    ratio=7e6,
                    difference=difference("configuration", "attention_0", name="axes", before=-2, after=2),
                )
            ),
            "axes of attention_0 (Norm) changed from -2 to 2; its output differs, 7e6 × noise",
        ),
        (
            FirstDifference(
                cause=Cause(**ATTENTION, differs="value", nonfinite=(40, 0), size=80, samples=(3, 9, 20))
            ),
            "attention_0 returns different output for identical input, in recorded samples 3, 9 and 20 only: "
            "40 of 80 values are NaN or infinite in the baseline, 0 in the candidate",
        ),
        (
            FirstDifference(
                cause=Cause(**ATTENTION, differs="value", unequal=3, size=96, example=(4, 5), samples=(7,))
            ),
            "attention_0 returns different output for identical input, in recorded sample 7 only: "
            "3 of 96 values differ, for example 4 → 5",
        ),
        (
            FirstDifference(cause=Cause(**ATTENTION, differs="value", ratio=2e6, example=(0.125, 0.0))),
            "attention_0 returns different output for identical input, 2e6 × noise, for example 0.125 → 0",
        ),
        (
            FirstDifference(cause=Cause(**ATTENTION, differs="value", example=("a secret", "another"))),
            "attention_0 returns different output for identical input",
        ),
        (
            FirstDifference(cause=Cause(layer="", class_name="Model", differs="value", before=ADD)),
            "no layer diverges on identical input: "
            "the difference comes from the model's own code between layers, before residual",
        ),
        (
            FirstDifference(cause=Cause(layer="", class_name="Model", differs="value")),
            "no layer diverges on identical input: "
            "the difference comes from the model's own code between layers",
        ),
        (
            FirstDifference(cause=Cause(layer="", class_name="Functional", differs="value", before=ADD)),
            "no layer diverges on identical input beyond its noise; where the difference begins is not known",
        ),
        (MoreCauses(layers=(ADD, HEADS)), "further differences start at residual and heads"),
        (
            LayerTable(rows=(), layers=22, diverging=3, propagating=16),
            "a difference starts in 3 of 22 layers, 16 propagate it",
        ),
        (
            LayerTable(rows=(), layers=5, diverging=1, propagating=1),
            "a difference starts in 1 of 5 layers, 1 propagates it",
        ),
        (ReplayIncomplete(layers=1), "no time was left to replay 1 layer"),
        (NoLayerDiffers(samples=4), "no layer differs on the 4 recorded samples"),
    ],
)
def test_a_finding(finding: Finding, text: str) -> None:
    check = structure if finding.check == "structure" else layers
    assert unmarked(check.WORDS.sentence(finding)) == text


def test_a_difference_of_structure_reads_the_same_as_the_first_difference() -> None:
    """So that a report can leave one of the two out."""
    lost = difference("result-mask", before=True, after=False)
    first = FirstDifference(cause=Cause(**lost.place, differs="mask", difference=lost))
    assert layers.WORDS.sentence(first) == structure.WORDS.sentence(StructureFinding(difference=lost))


def row(at: int, kind: str, **more: Any) -> LayerRow:
    facts = {
        "layer": f"layer_{at}",
        "class_name": "Dense",
        "kind": kind,
        "replayed": 1.0,
        "full_pass": float(at),
    }
    return LayerRow.model_validate({**facts, **more})


def table(*rows: LayerRow) -> tuple[Table, str]:
    found = LayerTable(rows=rows, layers=len(rows), diverging=1, propagating=0)
    (fold,) = layers.WORDS.details(LayersComparison(), [found])
    assert isinstance(fold, Fold)
    assert unmarked(fold.title).startswith("Layer by layer: a difference starts in 1 of ")
    shown, *hidden = fold.blocks
    assert isinstance(shown, Table)
    text = "".join(unmarked(block.words) for block in hidden if isinstance(block, Paragraph))
    return shown, text


def texts(entry: Entry) -> tuple[str, str]:
    return unmarked(entry.words), unmarked(entry.small)


def test_a_row_has_layer_numbers_and_what_differs() -> None:
    cast = difference("input-cast", name="x", input=0, before="bool", after="float16", by=CAST)
    shown, hidden = table(
        row(0, "same", replayed=0.0, full_pass=None),
        row(1, "dtype", replayed=400.0, full_pass=200.0, valid=0.6, padded=412.0, difference=cast),
        row(2, "dtype", replayed=None, difference=cast.model_copy(update={"layer": "other", "call": 7})),
        row(3, "propagated", replayed=None, replay_failure="not recorded\nlog"),
    )
    assert [tuple(texts(entry) for entry in entries) for entries in shown.rows] == [
        (("layer_0", "Dense"), ("0", ""), ("–", ""), ("", "")),
        (
            ("layer_1", "Dense"),
            ("█\u00a0400×", ""),
            ("▅\u00a0200×", "0.6× at unmasked positions, 412× at masked ones"),
            ("dtype", "input x of norm is now cast from bool to float16"),
        ),
        (("layer_2", "Dense"), ("–", ""), ("▁\u00a02.0×", ""), ("dtype", "")),
        (("layer_3", "Dense"), ("–", ""), ("▁\u00a03.0×", ""), ("propagates", "not replayed: not recorded")),
    ]
    assert hidden == ""


OWN = ("value", "dtype", "mask", "structure")


@given(st.lists(st.sampled_from(["same", "propagated", *OWN]), min_size=1, max_size=50))
def test_the_first_that_diverges_is_kept_and_the_order_too(kinds: list[str]) -> None:
    shown, hidden = table(*(row(at, kind) for at, kind in enumerate(kinds)))
    places = [int(texts(entries[0])[0].removeprefix("layer_")) for entries in shown.rows]
    assert len(places) == min(12, len(kinds))
    assert places == sorted(set(places))
    first = next((at for at, kind in enumerate(kinds) if kind in OWN), None)
    assert first is None or first in places
    left = sum(int(word) for word in hidden.split() if word.isdigit())
    assert left == len(kinds) - len(places)


def test_the_worst_and_the_layer_before_the_first_are_kept() -> None:
    kinds = ["same"] * 10 + ["value"] + ["propagated"] * 30
    shown, hidden = table(*(row(at, kind) for at, kind in enumerate(kinds)))
    names = [texts(entries[0])[0] for entries in shown.rows]
    assert names == ["layer_9", "layer_10", *(f"layer_{at}" for at in range(31, 41))]
    assert hidden == "Not shown: 20 layers that propagate the difference and 9 layers within noise."


def test_places() -> None:
    assert layers.WORDS.place(FirstDifference(cause=VALUE)) == "lead"
    assert layers.WORDS.place(MoreCauses(layers=(ADD,))) == "why"
    assert layers.WORDS.place(NoLayerDiffers(samples=4)) == "note"
    assert layers.WORDS.details(LayersComparison(), []) == ()


def test_names_are_names() -> None:
    pieces: Words = layers.WORDS.sentence(FirstDifference(cause=VALUE))
    assert [piece.text for piece in pieces if piece.kind == "name"] == ["attention_0"]
