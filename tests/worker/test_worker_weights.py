"""Whatever happens to a file of weights: a model predicts what was saved, or its job says what is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from validator.failure import Failure
from validator.runner import Capture, read_capture
from worker.support import FEATURES, MODELS, Environment, Results, job, record

HOW = ("flat", "list of lists", "dict of lists", "list of dicts", "tuple", "tuple of lists", "plain object")
TEXT = np.array([["red"], ["blue"], ["none"]])


def jobs(folder: Path, files: Path) -> list[dict[str, Any]]:
    features = record(folder / "features", {"features": FEATURES})
    text = record(folder / "text", {"text": TEXT})
    ids = record(folder / "ids", {"ids": np.array([[3], [9], [4]], np.int64)})

    def do(identity: str, builder: str = "", inputs: str = features, **fields: Any) -> dict[str, Any]:
        for name in ("artifact", "weights"):
            if name in fields:
                fields[name] = str(files / fields[name])
        if builder:
            fields["builder"] = f"weights_models:{builder}"
        return job(identity, folder, inputs=inputs, custom_objects=["weights_models"], **fields)

    structure = {"tasks": {"structure": {}}}
    return [
        *(do(f"artifact {how}", artifact=f"{how}.keras") for how in HOW),
        *(
            do(f"weights {how}", "held", builder_arguments={"how": how}, weights=f"{how}.weights.h5")
            for how in HOW
        ),
        do("artifact scaled", artifact="scaled.keras"),
        do("weights scaled", "scaled", weights="scaled.weights.h5"),
        do("weights unbuilt", "unbuilt", weights="unbuilt.weights.h5"),
        do("artifact deep", artifact="deep.keras"),
        do("h5 deep", artifact="deep.h5"),
        do("weights deep", "deep", weights="deep.weights.h5", **structure),
        do("float64 deep", artifact="deep.keras", variant={"precision": "float64", "jit": "as-saved"}),
        do("missing", "deep", weights="missing.weights.h5"),
        do("more", "deep", weights="more.weights.h5"),
        do("wider", "deep", builder_arguments={"units": 5}, weights="deep.weights.h5"),
        do("further", "deep", builder_arguments={"extra": True}, weights="deep.weights.h5"),
        do("fewer", "deep", builder_arguments={"norm": False}, weights="deep.weights.h5"),
        *(do(name, name, text, **structure) for name in ("lookup", "texts")),
        do("integers", "integers", ids, **structure),
        do("no file", "deep"),
    ]


@pytest.fixture(scope="module", params=["keras-2.15.0", "keras-3.3.3", "legacy", "keras-3.15.1"])
def loaded(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Results:
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(request.param)
    files = folder / "files"
    files.mkdir()
    environment.run(MODELS / "weights_models.py", files)
    return Results(environment, folder, environment.work(folder, jobs(folder, files)))


def expected(results: Results, case: str) -> np.ndarray:
    values: np.ndarray = np.load(results.folder / "files" / f"{case}.npy")
    return values


@pytest.mark.parametrize("source", ["artifact", "weights"])
@pytest.mark.parametrize("how", HOW)
def test_sublayers_are_filled_or_named(loaded: Results, source: str, how: str) -> None:
    capture = read_capture(loaded.path(f"{source} {how}"))
    if isinstance(capture, Capture):
        assert np.allclose(loaded.array(f"{source} {how}"), expected(loaded, how), rtol=1e-5)
        assert how != "plain object"
        return
    assert isinstance(capture, Failure)
    assert capture.stage == "load"
    assert how not in ("flat", "tuple")
    if how == "plain object":
        assert "drawn at random" in capture.message
        return
    assert capture.weights is not None
    assert capture.weights.unfilled_count == 8
    assert not capture.weights.constant
    assert all("dense" in path for path in capture.weights.unfilled)


@pytest.mark.parametrize(
    ("identity", "case"),
    [
        ("artifact scaled", "scaled"),
        ("weights scaled", "scaled"),
        ("weights unbuilt", "unbuilt"),
        ("artifact deep", "deep"),
        ("h5 deep", "deep"),
        ("weights deep", "deep"),
        ("more", "deep"),
    ],
)
def test_a_file_that_fits_fills_every_variable(loaded: Results, identity: str, case: str) -> None:
    if identity == "h5 deep" and loaded.environment.name == "keras-3.3.3":
        # such a file loses the statistics, and it is not green
        failure = read_capture(loaded.path(identity))
        assert isinstance(failure, Failure)
        assert failure.weights is not None
        assert failure.weights.stale == ("normalise",)
        return
    assert np.allclose(loaded.array(identity), expected(loaded, case), rtol=1e-5)
    account = loaded[identity].weights
    assert account is not None
    assert account.unfilled_count == 0
    assert account.unused == (("layers/leftover/vars/0",) if identity == "more" else ())


@pytest.mark.parametrize("identity", ["missing", "wider", "further"])
def test_a_variable_that_is_not_in_the_file_is_a_failure(loaded: Results, identity: str) -> None:
    failure = read_capture(loaded.path(identity))
    assert isinstance(failure, Failure)
    assert failure.stage == "load"
    assert failure.weights is None or failure.weights.unfilled_count > 0


def test_a_tensor_that_nothing_took_is_named(loaded: Results) -> None:
    capture = read_capture(loaded.path("fewer"))
    if isinstance(capture, Capture):
        assert capture.response.weights is not None
        assert capture.response.weights.unused_count > 0
    else:
        assert capture.stage == "load"


def test_what_is_loaded_in_another_precision_is_accounted_for(loaded: Results) -> None:
    account = loaded["float64 deep"].weights
    assert account is not None
    assert (account.unfilled_count, account.unused_count) == (0, 0)


def test_the_state_of_an_optimizer_is_counted(loaded: Results) -> None:
    account = loaded["artifact deep"].weights
    assert account is not None
    assert account.optimizer_saved == account.optimizer_restored > 10


def test_without_a_file_there_is_no_account(loaded: Results) -> None:
    assert loaded["no file"].weights is None


@pytest.mark.parametrize(("identity", "entries"), [("lookup", 4), ("texts", 5), ("integers", 4)])
def test_a_vocabulary_is_counted(loaded: Results, identity: str, entries: int) -> None:
    document = json.loads((loaded.path(identity) / "structure" / "layers.json").read_text())
    counts = {layer["vocabulary"]["entries"] for layer in document["layers"] if layer["vocabulary"]}
    assert counts == {entries}


def test_weights_have_hashes_and_a_spread(loaded: Results) -> None:
    document = json.loads((loaded.path("weights deep") / "structure" / "layers.json").read_text())
    weights = {layer["name"]: layer["weights"] for layer in document["layers"]}
    kernel = weights["out"][0]
    assert len(kernel["hash"]) == 32
    assert 0.2 < kernel["deviation"] < 0.4
    assert weights.get("model", []) == []


def test_what_the_process_ran_under_is_recorded(loaded: Results) -> None:
    facts = loaded["no file"].surroundings
    assert facts["floatx"] == "float32"
    assert facts["image_data_format"] == "channels_last"
    assert facts["device"]
    assert facts["processor"]
    assert "instruction sets" in facts
    assert not [name for name in facts if name in ("TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL")]
