from __future__ import annotations

import numpy as np

from validator.compare import SideFacts, compare_structure, match_outputs
from validator.tensors import StoredTensor


def outputs(**shapes):
    return [StoredTensor.from_array(name, np.zeros(shape, np.float32)) for name, shape in shapes.items()]


def names(tensors):
    return [tensor.name for tensor in tensors]


def test_outputs_are_matched_by_name_in_any_order():
    match = match_outputs(outputs(a=(2, 3), b=(2, 4)), outputs(b=(2, 4), a=(2, 3)))
    assert match.complete
    assert [(pair.baseline.name, pair.candidate.name) for pair in match.pairs] == [("a", "a"), ("b", "b")]


def test_missing_and_extra():
    match = match_outputs(outputs(a=(2, 3), b=(2, 4)), outputs(a=(2, 3), c=(2, 9)))
    assert (names(match.missing), names(match.extra), match.renamed) == (["b"], ["c"], ())
    assert not match.complete


def test_renamed_only_when_nothing_else_fits():
    match = match_outputs(outputs(a=(2, 3)), outputs(z=(2, 3)))
    assert [(pair.baseline.name, pair.candidate.name) for pair in match.renamed] == [("a", "z")]
    assert not match.complete
    twins = match_outputs(outputs(a=(2, 3), b=(2, 3)), outputs(y=(2, 3), z=(2, 3)))
    assert (twins.renamed, names(twins.missing), names(twins.extra)) == ((), ["a", "b"], ["y", "z"])


def test_nothing_is_never_complete():
    assert not match_outputs([], []).complete


def test_problems_are_named():
    before = SideFacts(10, 4, "aa", tuple(outputs(a=(2, 3), gone=(2,))))
    after = SideFacts(9, 2, "bb", tuple(outputs(z=(2, 3), new=(1,))))
    problems = compare_structure(before, after).problems
    assert problems[:3] == (
        "the two sides were fed different inputs (their digests differ)",
        "10 samples became 9",
        "batches of 4 became batches of 2",
    )
    assert "output 'gone' is missing" in problems
    assert "output 'new' is new" in problems
    assert "looks like it under a new name" in problems[-1]
    assert compare_structure(before, before).problems == ()


def test_no_outputs_at_all():
    empty = SideFacts(1, 1, "aa", ())
    assert compare_structure(empty, empty).problems == ("neither side has an output",)
