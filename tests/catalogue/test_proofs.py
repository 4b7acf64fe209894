"""Proofs: every entry has one, what is decided of an observation, and some of them for real."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from bench.catalogue.prove import HERE, borders, decide, distance, prove
from bench.catalogue.wheels import Bases
from validator.catalogue.entries import CatalogueEntry, change, changes, newest

#: Quick ones between releases of which one is the base itself.
SAMPLE = ("K07", "K50", "K41", "K36", "K43")


def functions() -> set[str]:
    found = set()
    for path in (HERE / "proofs").glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                found.add(f"{path.stem}:{node.name}")
    return found


def test_every_entry_has_its_proof() -> None:
    there = functions()
    for each in changes():
        assert each.proof.run in there
        assert each.proof.saved is None or f"{each.proof.run}_save" in there


def test_what_is_not_proven_is_not_shipped() -> None:
    unproven = yaml.safe_load((HERE / "unproven.yml").read_text(encoding="utf-8"))
    assert all(reason.strip() for reason in unproven.values())
    assert not set(unproven) & {each.id for each in changes()}
    facts = {f"K{number:02}" for number in range(1, 99)}
    assert facts <= set(unproven) | {each.id for each in changes()}


def merge() -> CatalogueEntry:
    found = change("K07")
    assert found is not None
    return found


def answers(**shown: list[float]) -> dict[tuple[str, str], dict[str, object]]:
    values = {"before": [0.0], "since": [1.0], "until": [1.0], "fixed": [0.0], **shown}
    entry = merge()
    places = {"before": entry.before, "since": entry.since, "until": entry.until, "fixed": entry.fixed}
    return {
        (entry.id, str(release)): {"values": {"shown": values[name], "control": [5.0]}}
        for name, release in places.items()
    }


def test_a_change_at_both_borders_holds() -> None:
    assert decide(merge(), answers()).holds


def test_no_change_does_not() -> None:
    assert "does not change" in decide(merge(), answers(since=[0.0], until=[0.0])).reason


def test_another_behaviour_in_between_does_not() -> None:
    assert "differs between" in decide(merge(), answers(until=[2.0])).reason


def test_a_control_that_moves_does_not() -> None:
    seen = answers()
    seen["K07", "3.0.0"] = {"values": {"shown": [1.0], "control": [6.0]}}
    assert "the control changes too" in decide(merge(), seen).reason


def test_a_proof_that_fails_does_not() -> None:
    seen = answers()
    seen["K07", "3.0.0"] = {"error": "ImportError: no"}
    assert "fails in 3.0.0" in decide(merge(), seen).reason


def test_borders() -> None:
    assert borders(merge()) == [("tf-keras", "3.0.0"), ("3.3.3", "3.4.0")]
    assert newest() not in (merge().until, merge().fixed)


def test_distances() -> None:
    assert distance([1.0, math.nan], [1.5, math.nan]) == 0.5
    assert distance([1.0], ["a"]) == math.inf
    assert distance("a", "a") == 0
    assert distance([1.0], [1.0, 2.0]) == math.inf


@pytest.mark.environment
def test_some_proofs_hold(keras_python: Callable[[str], Path], tmp_path: Path) -> None:
    cut = {"before": None, "since": "3.3.3"}
    sample = [
        each.model_copy(update=cut) for each in changes() if each.id in SAMPLE and each.until == "3.3.3"
    ]
    sample += [each for each in changes() if each.id in SAMPLE and each.before == "3.3.3"]
    shorter = [
        each.model_copy(update={"until": "3.4.0", "fixed": None}) for each in sample if each.until != "3.3.3"
    ]
    proven = prove(
        [*(each for each in sample if each.until == "3.3.3"), *shorter], Bases(keras_python("keras-3.3.3"))
    )
    assert len(proven) == len(SAMPLE)
    assert {one.change.id: one.reason for one in proven if not one.holds} == {}
