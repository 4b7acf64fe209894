"""The list of cases: complete, distinct, and split by nobody's choice."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from bench.corpus.benign import benign_pairs
from bench.corpus.case import split_of
from bench.corpus.known import LEFT_OUT, known_changes
from bench.corpus.models import data

MODELS = Path(__file__).resolve().parents[2] / "bench" / "corpus" / "models"
CASES = [*known_changes(), *benign_pairs()]


def test_there_are_as_many_as_promised() -> None:
    assert len(known_changes()) >= 40
    assert len(benign_pairs()) >= 60


def test_ids_are_distinct_and_a_name_is_one_model() -> None:
    assert [identity for identity, count in Counter(case.id for case in CASES).items() if count > 1] == []
    models: dict[str, object] = {}
    for case in CASES:
        assert models.setdefault(case.model.name, case.model) == case.model


def test_about_a_third_of_either_kind_is_held_out() -> None:
    for cases in (known_changes(), benign_pairs()):
        held_out = sum(case.split == "held-out" for case in cases)
        assert 0.2 < held_out / len(cases) < 0.45


def test_the_split_hangs_on_the_id_alone() -> None:
    assert [split_of(identity) for identity in ("a", "b", "c", "d", "e", "f")] == [
        "dev",
        "dev",
        "dev",
        "held-out",
        "held-out",
        "dev",
    ]


def test_every_case_says_how_its_answer_is_known() -> None:
    assert all(case.source for case in CASES)
    assert all(case.change is None or case.change.layer or case.change.shows != "structure" for case in CASES)


def test_every_builder_recording_and_labels_file_exists() -> None:
    functions = {
        path.stem: {
            node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)
        }
        for path in MODELS.glob("*.py")
    }
    for case in CASES:
        module, _, name = case.model.builder.partition(":")
        taken = [argument.arg for argument in functions[module][name].args.args]
        assert {argument for argument, _ in case.model.arguments} <= set(taken), case.id
        assert case.model.inputs in functions["data"]
        assert case.model.labels is None or case.model.labels in data.labels()


def test_every_edit_is_one_that_its_builder_knows() -> None:
    """A misspelt change would edit nothing, and stand in the corpus as a miss or as a benign pair."""
    for case in CASES:
        change = dict(case.model.arguments).get("change")
        source = (MODELS / (case.model.builder.partition(":")[0] + ".py")).read_text()
        assert change is None or f'"{change}"' in source, case.id


def test_recordings_have_as_many_samples_as_their_labels() -> None:
    for case in CASES:
        samples = {len(values) for values in getattr(data, case.model.inputs)().values()}
        if case.model.labels:
            samples |= {len(values) for values in data.labels()[case.model.labels].values()}
        assert len(samples) == 1, case.id


@pytest.mark.parametrize("entry", ["K01", "K02", "K07", "K13", "K37", "K51", "K60", "K68"])
def test_reproduced_changes_are_cases(entry: str) -> None:
    assert any(case.source.startswith(entry) for case in known_changes())


def test_what_is_left_out_is_no_case() -> None:
    named = {entry for entries in LEFT_OUT for entry in entries.split(", ")}
    assert named & {case.source for case in CASES} == set()
