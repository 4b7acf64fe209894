"""What is said about how a model was fed."""

from __future__ import annotations

import pytest

from validator.checks.loading.types import InputsFedFinding, StateFinding
from validator.checks.outputs.types import NondeterministicFinding
from validator.report.content import Row
from validator.report.phrases import unmarked
from validator.report.words import registered_words
from validator.report.words.loading import WORDS
from validator.runner.captures import SelfDifference
from validator.verdict.results import CellResult

SWAPPED = InputsFedFinding(
    side="candidate", outputs=(SelfDifference(output="output", max_abs=0.99, elements=8),)
)


def test_a_dict_that_is_taken_in_another_order_is_told_with_its_size() -> None:
    assert unmarked(WORDS.sentence(SWAPPED)) == (
        "in the candidate, a dict of inputs gives other predictions than the same inputs in a list "
        "(max abs diff 0.99): Keras 3.4.1 to 3.6.0 take a dict in alphabetical order (keras#20481)"
    )


def test_a_state_is_a_note() -> None:
    state = StateFinding(layers=("memory",))
    assert WORDS.place(state) == "note"
    assert "keeps a state from batch to batch (memory)" in unmarked(WORDS.sentence(state))


@pytest.mark.parametrize(
    ("verdict", "leads"), [("changed", True), ("suspicious", True), ("identical", False)]
)
def test_how_a_model_was_fed_leads_where_predictions_moved(verdict: str, leads: bool) -> None:
    random = NondeterministicFinding(side="candidate", outputs=())
    cell = CellResult.model_validate(
        {"cell": "m@e", "environment": "e", "variant": "", "verdict": verdict, "findings": (random, SWAPPED)}
    )
    row = Row("m", cell, registered_words())
    assert (row.lead == WORDS.sentence(SWAPPED)) is leads
    assert row.causes[0] == WORDS.sentence(SWAPPED)
