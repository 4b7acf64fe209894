"""Inputs, labels and state in real environments: the worker feeds a model as its users do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.models.fed_data import BATCH, CASES, data
from worker.support import MODELS, Environment, Results, job, record

pytestmark = pytest.mark.environment

ENVIRONMENTS = ("keras-2.15.0", "legacy", "keras-3.3.3", "keras-3.5.0", "keras-3.15.1")
SWAPPED = "keras-3.5.0"  # takes a dict of inputs in the order of their names


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def fed(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    """Every case by one worker, and what Keras reports without the worker."""
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(request.param)
    jobs = []
    for case, builder in {**CASES, "counting": "counting"}.items():
        inputs, labels = data(case)
        recordings = {
            "inputs": record(folder / f"{case}-x", inputs),
            "labels": record(folder / f"{case}-y", labels),
        }
        jobs.append(job(case, folder, builder=f"fed_models:{builder}", batch_size=BATCH, **recordings))
    process = environment.work(folder, jobs)
    environment.run(MODELS / "fed_models.py", folder / "plain.json")
    return Results(environment, folder, process)


@pytest.mark.parametrize("case", CASES)
def test_evaluate_reports_what_it_reports_to_people(fed: Results, case: str) -> None:
    plain = json.loads((fed.folder / "plain.json").read_text())[case]
    response = fed[case]
    if isinstance(plain, str):
        assert response.reported is None
        assert response.reported_failure is not None
        assert response.reported_failure.error == plain.partition(":")[0]
        return
    assert response.reported_failure is None
    assert response.reported is not None
    assert response.reported.keys() == plain.keys()
    different = {
        name: (value, response.reported[name])
        for name, value in plain.items()
        if not math.isclose(value, response.reported[name] or 0.0, rel_tol=1e-5, abs_tol=1e-6)
    }
    assert different == {}


def test_a_dict_decides_and_a_list_that_predicts_otherwise_is_told(fed: Results) -> None:
    response = fed["pair"]
    assert response.listed is not None
    swapped = fed.environment.name == SWAPPED
    assert [each.output for each in response.listed] == (["output"] if swapped else [])
    if swapped:
        assert (response.listed[0].max_abs or 0.0) > 0.05


def test_one_input_has_no_other_way(fed: Results) -> None:
    assert fed["one"].listed is None


def test_labels_by_name_are_also_given_as_a_list(fed: Results) -> None:
    response = fed["heads by name"]
    assert response.reported_listed is not None
    assert response.reported_listed == pytest.approx(fed["heads by number"].reported, rel=1e-5)
    assert fed["heads by number"].reported_listed is None
    assert fed["one"].reported_listed is None


@pytest.mark.parametrize(("case", "layer"), [("stateful", "memory"), ("counting", "counter")])
def test_a_state_begins_anew_before_every_pass(fed: Results, case: str, layer: str) -> None:
    response = fed[case]
    assert response.state == (layer,)
    assert response.deterministic


def test_a_model_without_state_has_none(fed: Results) -> None:
    assert fed["one"].state == ()
