"""Real releases of Keras, laid over one real environment: needs wheels from the package index."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.version import Version

from tests.conftest import ROOT
from validator.config.settings import Install
from validator.environments import Overlays, Uv, Wheel
from validator.failure import Failure
from validator.matrix import Environment
from validator.origin import Aspect, Budget, Case, Origin, SearchWatcher, Site, trace
from validator.runner import Bounds, Capture, Forks, Job, Overlay, Place

MODELS = Path(__file__).parent / "models"
BOUNDS = Bounds(120, 120, 64 * 2**30)
ENVIRONMENT = Environment("over", "3.11", (), variables=(("KERAS_BACKEND", "tensorflow"),))
NORMALIZATION = "keras/src/layers/normalization/unit_normalization.py"


@pytest.fixture(scope="module")
def python(keras_python: Callable[[str], Path]) -> Path:
    return keras_python("keras-3.3.3")


@pytest.fixture(scope="module")
def overlays(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Overlays:
    return Overlays(tmp_path_factory.mktemp("overlays"), python, Install(), Uv.bundled(os.environ))


def job(folder: Path, overlay: Overlay | None = None, **fields: Any) -> Job:
    settings: dict[str, Any] = {
        "id": folder.name,
        "folder": str(folder),
        "artifact": None,
        "builder": "origin_models:unit_normalization",
        "builder_arguments": {},
        "weights": None,
        "custom_objects": (),
        "safe_mode": True,
        "compile": True,
        "signature": "serving_default",
        "variant": {"precision": "as-saved", "jit": "as-saved", "attention": "as-saved"},
        "inputs": "origin_models:features",
        "labels": None,
        "batch_size": 8,
        "evaluate": False,
        "environment": "over",
        "brief": True,
        "overlay": overlay,
    }
    return Job(**{**settings, **fields})


def laid(overlays: Overlays, version: str, **fields: Any) -> Overlay:
    folder = overlays.folder(Wheel("keras", version))
    assert isinstance(folder, Path), folder
    return Overlay(str(folder.resolve()), **fields)


@pytest.fixture
def forks(python: Path, tmp_path: Path) -> Iterator[Forks]:
    with Forks(Place(ENVIRONMENT, tmp_path / "runs", (MODELS,), lambda: python), python, BOUNDS) as running:
        yield running


def values(result: Capture | Failure) -> np.ndarray:
    assert isinstance(result, Capture), result
    return result.outputs[0].open().values


@pytest.mark.environment
def test_versions_run_in_forks_of_one_process_and_none_reaches_another(
    forks: Forks, overlays: Overlays, tmp_path: Path
) -> None:
    order = ["3.5.0", "3.6.0", "3.5.0", "3.3.3"]
    results = [
        forks.run([job(tmp_path / f"{at}", laid(overlays, version))])[0] for at, version in enumerate(order)
    ]
    first, second, third, fourth = map(values, results)
    assert np.array_equal(first, third)
    assert np.array_equal(first, fourth)
    assert not np.array_equal(first, second)
    assert forks.facts is not None
    assert (forks.facts.isolation, forks.facts.keras) == ("fork", None)


@pytest.mark.environment
def test_a_mixture_that_hangs_or_does_not_import_costs_itself(
    forks: Forks, overlays: Overlays, tmp_path: Path
) -> None:
    for name, text in (("hangs", "while True: pass\n"), ("raises", "raise RuntimeError('no')\n")):
        (tmp_path / f"{name}.json").write_text(json.dumps({NORMALIZATION: text}))
    forks.job_seconds = 8
    mixtures = {
        name: laid(overlays, "3.5.0", sources=str(tmp_path / f"{name}.json")) for name in ("hangs", "raises")
    }
    hung, raised = (forks.run([job(tmp_path / name, overlay)])[0] for name, overlay in mixtures.items())
    assert isinstance(hung, Failure)
    assert hung.stage == "timeout"
    assert isinstance(raised, Failure)
    assert (raised.stage, raised.error) == ("import", "RuntimeError")
    forks.job_seconds = 100
    values(forks.run([job(tmp_path / "after", laid(overlays, "3.5.0"))])[0])


@pytest.mark.environment
def test_weights_beside_an_artifact_stay_where_they_are(
    forks: Forks, overlays: Overlays, tmp_path: Path
) -> None:
    """Keras 3.4.1 extracts `model.weights.h5` beside the artifact that it loads, and removes it."""
    model = tmp_path / "model"
    model.mkdir()
    shutil.copy(ROOT / "examples" / "digits" / "model.keras", model)
    (model / "model.weights.h5").write_bytes(b"mine")
    np.savez(tmp_path / "inputs.npz", **np.load(ROOT / "examples" / "digits" / "inputs.npz"))
    from validator.storage import recording

    recording.prepare(tmp_path / "inputs.npz", tmp_path / "inputs")
    fields = {"artifact": str(model / "model.keras"), "builder": None, "inputs": str(tmp_path / "inputs")}
    values(forks.run([job(tmp_path / "job", laid(overlays, "3.4.1"), **fields)])[0])
    assert (model / "model.weights.h5").read_bytes() == b"mine"


def traced(
    overlays: Overlays,
    python: Path,
    folder: Path,
    case: Case,
    seconds: float,
    watcher: SearchWatcher = SearchWatcher(),  # noqa: B008 - frozen
) -> Origin:
    site = Site(ENVIRONMENT, python, {}, folder, (MODELS,), BOUNDS, overlays)
    return trace(case, site, Budget(seconds), watcher, "again")


def case(folder: Path, aspect: Aspect, ends: tuple[str, str], **fields: Any) -> Case:
    versions = (Version(end) for end in ends)
    return Case("cell", aspect, job(folder / "template", **fields), (), "identity", *versions)


@pytest.mark.environment
@pytest.mark.matrix
def test_a_changed_layer_is_traced_to_its_night_and_its_function(
    overlays: Overlays, python: Path, tmp_path: Path
) -> None:
    asked = case(tmp_path, "outputs", ("3.5.0", "3.6.0"))
    part = traced(overlays, python, tmp_path / "work", asked, 1)
    assert part.stopped is not None
    assert part.command == "again"
    origin = traced(overlays, python, tmp_path / "work", asked, 600)
    assert origin.releases is not None
    assert origin.releases.since is not None
    assert (origin.releases.since.before, origin.releases.since.after) == ("3.5.0", "3.6.0")
    [nights] = origin.nights
    assert [version[-10:-2] for version in (nights.before, nights.after)] == ["20240907", "20240908"]
    [lines] = origin.lines
    assert [unit.name for unit in lines.units] == ["UnitNormalization.call"]
    assert "+        return ops.normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)" in lines.diff
    again = traced(overlays, python, tmp_path / "work", asked, 600)
    assert again.runs == 0
    assert again.lines == origin.lines


@pytest.mark.environment
@pytest.mark.matrix
def test_the_losses_of_a_training_are_traced_too(overlays: Overlays, python: Path, tmp_path: Path) -> None:
    lean = {"steps": 3, "members": 0, "seeds": 0, "epochs": 0, "reference": False}
    fields = {"builder": "origin_models:regularised", "labels": "origin_models:targets", "predict": False}
    asked = case(tmp_path, "training", ("3.13.2", "3.14.0"), tasks={"training": lean}, **fields)
    origin = traced(overlays, python, tmp_path / "work", asked, 600)
    assert [each.after for each in origin.releases.transitions] == ["3.14.0"] if origin.releases else False
    [nights] = origin.nights
    assert [version[-10:-2] for version in (nights.before, nights.after)] == ["20260122", "20260123"]
    assert [unit.name for lines in origin.lines for unit in lines.units] == ["Layer.__call__"]
    assert origin.lines[0].proof == "both"


@pytest.mark.environment
def test_an_index_without_nights_is_a_failure_in_uvs_words(python: Path, tmp_path: Path) -> None:
    empty = tmp_path / "index"
    empty.mkdir()
    offline = Overlays(
        tmp_path / "overlays",
        python,
        Install(index_url=empty.as_uri(), no_index=True),
        Uv.bundled({**os.environ, "UV_OFFLINE": "1"}),
    )
    assert isinstance(offline.nights(), Failure)
    assert isinstance(offline.folder(Wheel("keras", "3.5.0")), Failure)
