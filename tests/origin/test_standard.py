"""Which end a run is like: by verdicts where predictions changed, else by values, tokens or bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.checks.outputs.output_cases import capture, entries, subject
from validator.failure import Failure
from validator.origin.standard import Rules, Standard
from validator.origin.types import Behaviour
from validator.runner import Capture
from validator.verdict.bands import BANDS

RANDOM = np.random.default_rng(7)
OLD = RANDOM.normal(0, 1, (10, 6)).astype(np.float32)
NEW = OLD.copy()
NEW[7] += 0.5
NOWHERE = Failure(stage="load", error="ValueError", message="no")


def rounded(values: np.ndarray, seed: int) -> np.ndarray:
    """As another order of the sums leaves values: a few units in the last place."""
    moved = np.random.default_rng(seed).integers(-3, 4, values.shape)
    return (values * (1 + moved * 2.0**-23)).astype(np.float32)


def measured(folder: Path, values: np.ndarray, batch: int = 0) -> Capture:
    """An end with an ensemble around it, as the worker leaves it for one batch of many."""
    members = [
        entries(folder / f"{number}", {"output": rounded(values, 100 + number)}) for number in range(8)
    ]
    for number, member in enumerate(members):
        member[0]["path"] = f"{number}/output.npy"
    noise = {
        "method": "operations",
        "reason": "",
        "batches": [batch],
        "samples": [[batch * len(values), (batch + 1) * len(values)]],
        "outputs": [{"name": "output", "members": [member[0] for member in members]}],
    }
    answer: dict[str, Any] = {"outputs": {"noise": noise, "reference": None}}
    return capture(folder, {"output": values}, tasks=answer)


def standard(folder: Path, batch: int = 0) -> Standard:
    ends = (
        measured(folder / "baseline", OLD, batch),
        measured(folder / "candidate", NEW, batch),
    )
    rules = Rules(subject().model, BANDS)
    return Standard(Behaviour(digest="old"), Behaviour(digest="new"), rules, lambda: ends)


@pytest.mark.parametrize("batch", [0, 3])
def test_rounding_around_an_end_is_that_end(tmp_path: Path, batch: int) -> None:
    by = standard(tmp_path, batch)
    for number, (values, digest) in enumerate([(OLD, "old"), (NEW, "new")]):
        run = capture(tmp_path / f"run-{number}", {"output": rounded(values, 5)})
        assert by.classed(Behaviour(digest="x"), run).digest == digest


def test_what_is_neither_stays_what_it_is(tmp_path: Path) -> None:
    third = OLD.copy()
    third[2] += 0.2
    run = capture(tmp_path / "run", {"output": third})
    assert standard(tmp_path).classed(Behaviour(digest="x"), run).digest == "x"


def test_a_failure_is_no_end(tmp_path: Path) -> None:
    failed = Behaviour(digest="!ValueError", error="ValueError")
    assert standard(tmp_path).classed(failed, NOWHERE) == failed


def test_ends_that_do_not_differ_beyond_noise_are_told_apart_by_their_bytes(tmp_path: Path) -> None:
    ends = measured(tmp_path / "baseline", OLD), measured(tmp_path / "candidate", rounded(OLD, 1))
    rules = Rules(subject().model, BANDS)
    by = Standard(Behaviour(digest="old"), Behaviour(digest="new"), rules, lambda: ends)
    run = capture(tmp_path / "run", {"output": rounded(OLD, 2)})
    assert by.classed(Behaviour(digest="x"), run).digest == "x"


def test_ends_are_measured_once_and_only_for_a_run_that_is_new(tmp_path: Path) -> None:
    asked: list[int] = []

    def captures() -> None:
        asked.append(1)

    rules = Rules(subject().model, BANDS)
    by = Standard(Behaviour(digest="old"), Behaviour(digest="new"), rules, captures)
    run = capture(tmp_path / "run", {"output": OLD})
    assert by.classed(Behaviour(digest="old"), run).digest == "old"
    assert not asked
    assert [by.classed(Behaviour(digest="x"), run).digest for _ in range(2)] == ["x", "x"]
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("value", "digest"), [(1.0000001, "old"), (1.05, "old"), (1.5, "x"), (1.96, "new"), (None, "x")]
)
def test_losses_and_metrics_count_by_their_distance(value: float | None, digest: str) -> None:
    ends = [
        Behaviour(digest=name, values={"1": 3.0, "2": number})
        for name, number in (("old", 1.0), ("new", 2.0))
    ]
    seen = Behaviour(digest="x", values={"1": 3.0, "2": value})
    assert Standard(*ends).classed(seen, NOWHERE).digest == digest


def test_a_value_that_both_ends_share_must_be_theirs() -> None:
    ends = [
        Behaviour(digest=name, values={"1": 3.0, "2": number})
        for name, number in (("old", 1.0), ("new", 2.0))
    ]
    seen = Behaviour(digest="x", values={"1": 3.1, "2": 1.0})
    assert Standard(*ends).classed(seen, NOWHERE).digest == "x"


def test_tokens_count_where_they_differ_and_bytes_where_not() -> None:
    old, new = (Behaviour(digest=name, tokens=f"{name} tokens") for name in ("old", "new"))
    seen = Behaviour(digest="x", tokens="new tokens")
    assert Standard(old, new).classed(seen, NOWHERE).digest == "new"
    alike = new.model_copy(update={"tokens": "old tokens"})
    assert Standard(old, alike).classed(seen, NOWHERE).digest == "x"


def test_another_tolerance_is_another_standard() -> None:
    ends = [Behaviour(digest=name) for name in ("old", "new")]
    loose = subject(tolerance={"rtol": 0.1, "atol": 0.1}).model
    identities = {
        Standard(*ends, rules=Rules(model, BANDS)).identity for model in (subject().model, loose)
    } | {Standard(*ends).identity}
    assert len(identities) == 3
