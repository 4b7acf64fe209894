"""The list of faults: long enough, distinct, and each with an answer that something else would miss."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bench.faults.fault import KINDS, Outcome, expected
from bench.faults.suite import all_faults

FAULTS = all_faults()


def test_there_are_as_many_as_promised_of_every_kind() -> None:
    counted = Counter(fault.kind for fault in FAULTS)
    assert set(counted) == set(KINDS)
    assert min(counted.values()) >= 15
    assert len(FAULTS) >= 300
    assert sum(fault.quick for fault in FAULTS) >= 15


def test_ids_are_distinct_and_a_name_is_one_model() -> None:
    assert [identity for identity, count in Counter(fault.id for fault in FAULTS).items() if count > 1] == []
    models: dict[tuple[str, str], object] = {}
    for fault in FAULTS:
        assert (fault.model is None) != (fault.attempt is None), fault.id
        if fault.model is not None:
            name = fault.place, str(fault.model["name"])
            assert models.setdefault(name, fault.model) == fault.model, fault.id


def test_every_fault_can_survive() -> None:
    """No answer may fit everything: a crash of the tool, or a lost neighbour, is never right."""
    for fault in FAULTS:
        assert not fault.expected.fits(Outcome(70)), fault.id
        code, verdict = next(iter(fault.expected.codes)), next(iter(fault.expected.verdicts), "")
        right = Outcome(code, verdict, fault.expected.findings, next(iter(fault.expected.stages), ""))
        assert fault.expected.fits(right), fault.id
        assert not fault.expected.fits(replace(right, trouble="a traceback")), fault.id


def test_an_answer_is_compared_in_every_part() -> None:
    answer = expected(1, verdicts="changed failed", findings="output", stages="load")
    assert answer.fits(Outcome(1, "failed", frozenset({"output", "other"}), "load"))
    assert not answer.fits(Outcome(0, "failed", frozenset({"output"}), "load"))
    assert not answer.fits(Outcome(1, "identical", frozenset({"output"}), "load"))
    assert not answer.fits(Outcome(1, "failed", frozenset({"other"}), "load"))
    assert not answer.fits(Outcome(1, "failed", frozenset({"output"}), "crash"))
