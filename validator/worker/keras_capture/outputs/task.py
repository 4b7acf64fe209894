"""The task `outputs`: how far rounding alone moves the predictions, and the same predictions in float64.

Half-precision noise hides real changes, and any noise hides small ones; in float64 they stand out.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.artifacts import load
from keras_capture.model.perturbing import wide_bytes
from keras_capture.outputs.ensemble import checked_operations, chosen_batches, measure
from keras_capture.outputs.operations import NoOperations, operations_of
from keras_capture.outputs.predicting import Captured, Prediction, capture
from keras_capture.room import require
from keras_capture.structure.calling import state_kept
from keras_capture.tasks import Work

FOLDER = "reference"
GRAPH, RELOAD = "graph", "reload"
_NARROW = ("float16", "bfloat16", "float32")


def run(work: Work, options: dict) -> dict:
    """Options `noise` and `reference`, each null or that part's options; a failure of one costs no other."""
    noise, reference, folder = options.get("noise"), options.get("reference"), work.job.folder
    return {
        "noise": _part(noise, lambda: measure(work.prediction, folder / "noise", noise)),
        "reference": _part(reference, lambda: _reference(work, reference)),
    }


def _part(options: Optional[dict], answer: Callable[[], dict]) -> Optional[dict]:
    """The answer with its `failure`; None where it was not asked for."""
    if options is None:
        return None
    try:
        with stage("predict"):
            return {"failure": None, **answer()}
    except StageError as failed:
        return {"failure": failed.as_dict()}


def _reference(work: Work, options: dict) -> dict:
    """Predict in float64 as the baseline did, or by the graph and, where that cannot be had, loaded again."""
    baseline = options.get("baseline")
    how = _baseline_how(Path(baseline)) if baseline else None
    prediction = chosen_batches(work.prediction, options.get("batches"))
    require(wide_bytes(prediction.model), "a copy of the weights in float64")
    if how != RELOAD:
        try:
            return _answer(GRAPH, prediction, _by_graph(work, prediction))
        except NoOperations as missing:
            if how == GRAPH:
                raise UnusableError(
                    f"the baseline's graph ran in float64, and this one cannot: {missing}"
                ) from missing
    return _answer(RELOAD, prediction, _by_reload(work, prediction))


def _baseline_how(folder: Path) -> str:
    response = json.loads((folder / "response.json").read_text(encoding="utf-8"))
    answer = (response["tasks"].get("outputs") or {}).get("reference") or {}
    if answer.get("failure") is not None or "how" not in answer:
        raise UnusableError("the baseline has no float64 reference to compare with")
    return answer["how"]


def _by_graph(work: Work, prediction: Prediction) -> Captured:
    framework, model = prediction.framework, prediction.model
    with state_kept(framework, model) as reset:
        if getattr(
            model, "run_eagerly", False
        ):  # code that asks whether it is traced may be another function
            operations = checked_operations(prediction, reset)
        else:
            operations = operations_of(framework, model)
        reset()
        with operations.float64() as call:
            return capture(prediction, work.job.folder / FOLDER, map(call, prediction.inputs()))


def _by_reload(work: Work, prediction: Prediction) -> Captured:
    """Only the loaded model says what its policy is, so it is loaded again in the process of the cell."""
    folder = work.job.folder / FOLDER
    folder.mkdir(exist_ok=True)
    job = dataclasses.replace(work.job, precision="float64", folder=folder, evaluate=False, tasks={})
    framework = prediction.framework
    with framework.kept_policy():
        with stage("load"):
            loaded = load(framework, job)
        framework.set_seed()
        return capture(dataclasses.replace(prediction, model=loaded.model), folder)


def _answer(how: str, prediction: Prediction, captured: Captured) -> dict:
    narrow = [entry["name"] for entry in captured.entries if entry["dtype"] in _NARROW]
    if narrow:
        listed = ", ".join(narrow)
        raise UnusableError(f"the outputs {listed} are not float64: the model's code sets dtypes itself")
    return {
        "how": how,
        "batches": prediction.chosen,
        "samples": prediction.bounds(),
        "outputs": captured.entries,
    }
