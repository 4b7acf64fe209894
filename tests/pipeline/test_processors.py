"""Two captures from different machines: their bits are not comparable, and every form says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.checks.outputs.output_cases import OLD, capture
from validator.errors import Exit
from validator.pipeline.show import show_comparison
from validator.report.packages import differences
from validator.verdict.results import EnvironmentResult, Report


@pytest.mark.parametrize(("after", "verdict"), [("A", "identical"), ("B", "rounding")])
def test_compare_never_calls_captures_of_two_processors_identical(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], after: str, verdict: str
) -> None:
    for side, processor in (("old", "A"), ("new", after)):
        capture(tmp_path / side, {"output": OLD}, surroundings={"processor": processor})
    assert show_comparison(tmp_path / "old", tmp_path / "new", as_json=True) is Exit.OK
    printed = capsys.readouterr()
    assert [output["verdict"] for output in json.loads(printed.out)["outputs"]] == [verdict]
    assert ("bits are not comparable" in printed.err) == (after == "B")


@pytest.mark.parametrize(
    ("baseline", "candidate", "named"),
    [("X", "X", False), ("X", "Y", True), ("X | Y", "Y", False), ("X", "X | Y", True)],
)
def test_a_processor_is_a_difference_where_the_baseline_did_not_run_on_it(
    baseline: str, candidate: str, named: bool
) -> None:
    environments = (
        EnvironmentResult(name="old", role="baseline", packages={"keras": "3"}, cpu=baseline),
        EnvironmentResult(name="new", packages={"keras": "3"}, cpu=candidate),
    )
    report = Report(
        verdict="pass", reasons=(), baseline="old", environments=environments, models=(), tool="1"
    )
    (difference,) = differences(report)
    assert [fact.name for fact in difference.facts] == (["CPU"] if named else [])
