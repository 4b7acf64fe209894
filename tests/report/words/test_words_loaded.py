"""Sentences about what was loaded, and about failures."""

from __future__ import annotations

from typing import Any

import pytest

from validator.checks.loading.types import (
    ArtifactFinding,
    CompilationFinding,
    LeftoverFinding,
    SurroundingsFinding,
    WarningFinding,
)
from validator.checks.outputs.types import ReferenceFinding
from validator.checks.protocol import Finding
from validator.checks.structure.types import StructuralDifference
from validator.failure import Failure, WeightsAccount
from validator.numbers.reference import ReferenceDistance
from validator.report.phrases import unmarked
from validator.report.words.failures import error_line, failed, known
from validator.report.words.loading import WORDS
from validator.report.words.outputs import WORDS as OUTPUTS
from validator.report.words.structure import difference_words
from validator.runner.captures import WorkerWarning

ACCOUNT = WeightsAccount(file="old.h5", variables=14, optimizer_saved=10, optimizer_restored=2)
FAILURE = Failure(stage="load", error="TypeError", message="unexpected keyword 'time_major'", hint="builder")


def account(**fields: Any) -> Failure:
    weights = WeightsAccount(**{"file": "m.keras", "variables": 14, **fields})
    return Failure(stage="load", error="UnfilledError", message="m.keras: a", weights=weights)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            account(unfilled=("a/kernel", "a/bias"), unfilled_count=8, constant=False),
            "8 of 14 variables are not in m.keras: a/kernel, a/bias and 4 more; their values are random",
        ),
        (
            account(unfilled=("a/bias",), unfilled_count=1),
            "1 of 14 variables is not in m.keras: a/bias; they keep their initial values",
        ),
        (
            account(file="old.h5", stale=("normalise",)),
            "old.h5 holds the statistics of normalise, but Keras computes without them; "
            "save the weights as .weights.h5",
        ),
    ],
)
def test_what_a_file_did_not_fill(failure: Failure, words: str) -> None:
    assert error_line(failure) == words
    assert unmarked(failed(failure)) == f"failed to load: {words}"


def test_a_long_error_keeps_its_head_and_its_tail() -> None:
    message = f"it began {'x' * 2000} and this is why"
    line = error_line(Failure(stage="load", error="ValueError", message=message))
    assert line.startswith("ValueError: it began xxx")
    assert line.endswith("xxx and this is why")
    assert len(line) < 420


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("build", "failed to build"),
        ("inputs", "failed to take its inputs"),
        ("structure", "failed to record its structure"),
    ],
)
def test_a_failure_names_its_phase(stage: Any, words: str) -> None:
    assert unmarked(failed(Failure(stage=stage, error="E", message="no"))) == f"{words}: E: no"


def test_what_is_known_about_an_error_is_advice() -> None:
    assert known(FAILURE).endswith("cannot read the saved configuration: name builder and weights instead")
    assert known(FAILURE.model_copy(update={"hint": None})) == ""


@pytest.mark.parametrize(
    ("finding", "words"),
    [
        (
            ArtifactFinding(side="candidate", failure=FAILURE),
            "the saved model does not load in the candidate, its builder built it instead "
            "(TypeError: unexpected keyword 'time_major')",
        ),
        (
            CompilationFinding(side="baseline", failure=FAILURE),
            "the saved loss, metrics and optimizer do not load in the baseline "
            "(TypeError: unexpected keyword 'time_major')",
        ),
        (
            LeftoverFinding(kind="optimizer-not-restored", side="both", weights=ACCOUNT),
            "8 of 10 tensors of the optimizer's state in old.h5 are not restored in both sides, "
            "so training cannot go on where it ended",
        ),
        (
            SurroundingsFinding(name="floatx", baseline="float32", candidate="float64"),
            "not only the packages differ: the float type is float64 in the candidate "
            "and float32 in the baseline",
        ),
        (
            SurroundingsFinding(name="OMP_NUM_THREADS", baseline="1", candidate=None),
            "not only the packages differ: the variable OMP_NUM_THREADS is not set in the candidate "
            "and 1 in the baseline",
        ),
        (
            WarningFinding(
                warning=WorkerWarning(phase="load", category="UserWarning", message="Skipping 'a'", key="k"),
                more=2,
            ),
            "new warning while loading: Skipping 'a' (and 2 more new warnings)",
        ),
    ],
)
def test_findings(finding: Finding, words: str) -> None:
    assert unmarked(WORDS.sentence(finding)) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"kind": "weight-values", "name": "kernel", "before": 0.1206, "after": 0.2412},
            "weights of heads (Attention) differ: kernel has a standard deviation of 0.24 instead of 0.12",
        ),
        (
            {"kind": "weight-values", "name": "kernel"},
            "weights of heads (Attention) differ: kernel has other values",
        ),
        (
            {"kind": "vocabulary-size", "before": 7, "after": 9},
            "vocabulary of heads (Attention) has 9 entries instead of 7",
        ),
        (
            {"kind": "vocabulary-entries", "before": 7, "after": 7},
            "vocabulary of heads (Attention) has other entries",
        ),
    ],
)
def test_weights_and_vocabularies(fields: dict[str, Any], words: str) -> None:
    difference = StructuralDifference(layer="heads", class_name="Attention", call=1, **fields)
    assert difference.aspect == "weights"
    assert unmarked(difference_words(difference)) == words


@pytest.mark.parametrize(("differ", "does"), [(True, "with other weights"), (False, "another function")])
def test_float64_cannot_tell_other_weights_from_another_function(differ: bool, does: str) -> None:
    distance = ReferenceDistance(output="output", delta=0.5)
    finding = ReferenceFinding(
        kind="reference-confirms", policy=None, distance=distance, weights_differ=differ
    )
    assert does in unmarked(OUTPUTS.sentence(finding))
