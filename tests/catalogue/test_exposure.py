"""What is claimed of known changes that could concern a model and were not recognised."""

from __future__ import annotations

import pytest
from checks.layers.subjects import subject

from tests.catalogue.samples import residual
from validator.catalogue.description import describe_config
from validator.catalogue.entries import Shows, changes
from validator.catalogue.matching import Observation
from validator.catalogue.reach import ReleasePair
from validator.checks.known import exposure_of
from validator.checks.known.types import Exposure
from validator.report.phrases import unmarked
from validator.report.words.known import exposed

MODEL = describe_config(residual())
PREDICTIONS = next(each for each in changes() if "predictions" in each.shows and not each.inputs)
NEEDY = next(each for each in changes() if "predictions" in each.shows and each.inputs)


def exposure(*shows: Shows) -> Exposure:
    cell = Observation(pair=ReleasePair("3.3.3", "3.5.0"), shows=frozenset(shows), model=MODEL)
    return exposure_of(subject(), cell, (), [PREDICTIONS, NEEDY])


def test_a_change_had_no_effect_only_where_nothing_differs() -> None:
    assert exposure().without_effect == (PREDICTIONS.id,)
    moved = exposure("predictions")
    assert (moved.without_effect, moved.unclear) == ((), (PREDICTIONS.id,))


def test_inputs_that_were_not_looked_at_exercise_nothing_that_needs_some() -> None:
    assert exposure().not_exercised == (NEEDY.id,)


@pytest.mark.parametrize(("unclear", "shown"), [((), False), (("K01",), True)])
def test_what_may_have_taken_part_is_said(unclear: tuple[str, ...], shown: bool) -> None:
    sentence = unmarked(exposed(Exposure(baseline="3.3.3", candidate="3.5.0", unclear=unclear)))
    assert ("1 may have taken part" in sentence) == shown
