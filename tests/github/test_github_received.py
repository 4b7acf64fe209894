from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.github.cases import HEAD, HOSTILE, OTHER, cell, report
from validator.errors import CannotJudgeError
from validator.github.received import REPORT_LIMIT, RefusedReportError, parse_report, read_report
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.results import EnvironmentResult, Report

FULL = report(
    "fail",
    cell("changed", gated=True, message=HOSTILE).model_copy(update={"seconds": 0.25}),
    environments=(EnvironmentResult(name="head", packages={"keras": "3.5.0"}, seconds=7.5),),
    upgrade=Upgrade(
        changes=(PackageChange(name="keras", old="3.3.3", new="3.5.0", line=9001),), relevant=True
    ),
)
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
