"""One known change and one benign pair, the whole way through real environments and the product."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.corpus.benign import benign_pairs
from bench.corpus.harness import run_cases
from bench.corpus.known import known_changes
from bench.corpus.rules import RULES, alarms
from bench.corpus.score import OURS, outcome

pytestmark = pytest.mark.e2e


def test_an_edit_is_seen_and_another_order_of_sums_is_not(tmp_path: Path) -> None:
    wanted = {"transformer-epsilon", "transformer-split-4"}
    cases = [case for case in (*known_changes(), *benign_pairs()) if case.model.name in wanted]
    assert len(cases) == 2
    ran = run_cases(cases, jobs=1, folder=tmp_path)
    edited, split = (
        outcome(one.case, one.result, alarms(one.baseline, one.candidate))
        for one in sorted(ran, key=lambda one: one.case.change is None)
    )
    assert (edited.alarms[OURS], edited.layer, edited.kind) == (True, True, True), edited.said
    assert split.alarms[OURS] is False, split.said
    assert set(edited.alarms) == {OURS, *RULES}
    assert edited.alarms["rtol = atol = 1e-3"] is False, "the case for a measured noise floor"
