"""Six projects, a newcomer's way: nothing is asked or edited, and verdicts agree with a plain script."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.newcomer.projects import PROJECTS, main

pytestmark = pytest.mark.matrix  # long: six projects, each with two environments


def test_every_project_gets_a_verdict_that_a_script_confirms(tmp_path: Path) -> None:
    outcomes = main(str(tmp_path / "projects"))
    assert [outcome.project for outcome in outcomes] == list(PROJECTS)
    assert [outcome.project for outcome in outcomes if not outcome.agrees] == []
    assert {outcome.questions for outcome in outcomes} == {0}
    recorded = {outcome.project for outcome in outcomes if not outcome.synthetic}
    assert recorded == {"tabular", "subclassed"}
