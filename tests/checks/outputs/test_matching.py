from __future__ import annotations

import numpy as np

from validator.checks.outputs.matching import match_outputs, moved_names
from validator.storage.tensors import StoredTensor


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
    alike = match_outputs(outputs(a=(2, 3), b=(2, 3)), outputs(y=(2, 3), z=(2, 3)))
    assert (alike.renamed, names(alike.missing), names(alike.extra)) == ((), ["a", "b"], ["y", "z"])


def test_nothing_is_never_complete():
    assert not match_outputs([], []).complete


def filled(**values):
    return [
        StoredTensor.from_array(name, np.full((2, 3), value, np.float32)) for name, value in values.items()
    ]


def test_outputs_under_the_names_of_others_are_known_by_their_values():
    old = filled(a=1.0, b=2.0)
    assert moved_names(old, filled(a=2.0, b=1.0), {"a", "b"}) == {"a": "b", "b": "a"}
    assert moved_names(old, filled(output=1.0), {"a", "b", "output"}) == {"a": "output"}
    assert moved_names(old, filled(a=3.0, b=4.0), {"a", "b"}) == {}


def test_no_name_is_guessed_where_outputs_are_equal_or_say_nothing():
    assert moved_names(filled(a=1.0, b=1.0), filled(c=1.0, d=1.0), set("abcd")) == {}
    assert moved_names(filled(a=0.0, b=2.0), filled(a=3.0, b=0.0), {"a", "b"}) == {}
