"""What is claimed of known changes that could concern a model and were not recognised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from checks.layers.subjects import subject

from tests.catalogue.samples import archive, residual
from validator.catalogue.description import describe_config
from validator.catalogue.entries import Shows, changes
from validator.catalogue.matching import Observation
from validator.catalogue.reach import ReleasePair
from validator.checks.known import CHECK, exposure_of
from validator.checks.known.types import Exposure, KnownComparison
from validator.checks.loading.types import CellFailed
from validator.checks.protocol import Earlier, Examined, Finding
from validator.checks.structure.types import StructuralDifference, StructureFinding
from validator.failure import Failure
from validator.report.phrases import unmarked
from validator.report.words.known import exposed
from validator.runner.captures import CpuFacts, EnvironmentFacts, KerasFacts
from validator.storage import recording

MODEL = describe_config(residual())
PREDICTIONS = next(each for each in changes() if "predictions" in each.shows and not each.inputs)
NEEDY = next(each for each in changes() if "predictions" in each.shows and each.inputs)


def facts(release: str) -> EnvironmentFacts:
    """What the worker of a release says of its environment."""
    return EnvironmentFacts(
        schema=1,
        keras=KerasFacts(module="keras", version=release),
        backend="tensorflow",
        cpu=CpuFacts(model="", features=()),
    )


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


PAIR = (facts("3.3.3"), facts("3.4.0"))


def concerning(folder: Path, ids: list[list[int]], *findings: Finding) -> Exposure:
    """The changes that could concern the model, by `compared`."""
    exposure = compared(folder, ids, *findings).exposure
    assert exposure is not None
    return exposure


def compared(
    folder: Path,
    ids: list[list[int]],
    *findings: Finding,
    pair: tuple[EnvironmentFacts, EnvironmentFacts] = PAIR,
) -> KnownComparison:
    """What the check says of a residual model of masked words, which K07 (over in 3.4.0) reaches."""
    np.savez(folder / "inputs.npz", ids=np.array(ids, "int32"))
    archive(folder / "model.keras", residual())
    asked = replace(
        subject(),
        model=subject().model.model_copy(update={"artifact": "model.keras", "builder": None}),
        folder=folder,
        inputs=recording.prepare(folder / "inputs.npz", folder / "recorded").folder,
    )
    earlier = Earlier((Examined("outputs", None, findings),))
    comparison = CHECK.compare(asked, *pair, earlier)
    assert comparison is not None
    return comparison


def test_padded_inputs_exercise_a_change_of_masks(tmp_path: Path) -> None:
    told = concerning(tmp_path, [[3, 5, 0], [4, 0, 0]])
    assert "K07" in told.without_effect
    assert "K07" not in (*told.seen, *told.unclear, *told.not_exercised)


def test_inputs_without_padding_do_not_exercise_it(tmp_path: Path) -> None:
    told = concerning(tmp_path, [[3, 5, 1], [4, 2, 2]])
    assert "K07" in told.not_exercised
    assert "K07" not in (*told.seen, *told.unclear, *told.without_effect)


def test_a_change_that_explains_the_cell_is_seen(tmp_path: Path) -> None:
    lost = StructuralDifference(
        layer="merge", class_name="Add", kind="result-mask", call=3, before=False, after=True
    )
    told = concerning(tmp_path, [[3, 5, 0], [4, 0, 0]], StructureFinding(difference=lost))
    assert told.seen == ("K07",)
    assert "K07" not in (*told.without_effect, *told.unclear, *told.not_exercised)


@pytest.mark.parametrize(("pair", "ended"), [(PAIR, True), (PAIR[::-1], False)])
def test_an_upgrade_ends_a_change_that_the_baseline_alone_has(
    tmp_path: Path, pair: tuple[EnvironmentFacts, EnvironmentFacts], ended: bool
) -> None:
    lost = StructuralDifference(
        layer="merge", class_name="Add", kind="result-mask", call=3, before=not ended, after=ended
    )
    (known,) = compared(tmp_path, [[3, 5, 0]], StructureFinding(difference=lost), pair=pair).matches
    assert (known.change, known.ended) == ("K07", ended)


def test_of_a_candidate_that_failed_nothing_else_was_exercised(tmp_path: Path) -> None:
    failure = CellFailed(failure=Failure(stage="load", error="TypeError", message="no"), verdict="failed")
    told = concerning(tmp_path, [[3, 5, 0], [4, 0, 0]], failure)
    assert (told.seen, told.without_effect, told.unclear) == ((), (), ())
    assert "K07" in told.not_exercised


def test_the_sentence_counts_the_three_states() -> None:
    exposure = Exposure(
        baseline="3.3.3", candidate="3.5.0", seen=("K37",), without_effect=("K38", "K48"), not_exercised=()
    )
    assert unmarked(exposed(exposure)).endswith(
        "could concern the model; 1 was seen, 2 were exercised by your inputs and made no difference, "
        "0 not exercised"
    )
