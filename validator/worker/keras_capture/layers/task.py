"""The task `layers`: what each layer gives for a few samples, and what it gives for the baseline's inputs.

The model runs with every call recorded, into `layers/layers.json` (docs/protocol.md). Then, with the same
model, the calls whose results differ from the baseline's are replayed on what the baseline recorded.
"""

from __future__ import annotations

from collections.abc import Callable

from keras_capture.layers.replay import replay
from keras_capture.layers.values import LayerValues
from keras_capture.model.perturbing import floating_weights, perturbed
from keras_capture.model.savedmodel import SavedModel
from keras_capture.outputs.predicting import Prediction
from keras_capture.structure.calling import choose_rows, gathered, state_kept
from keras_capture.structure.task import NO_LAYERS, Tapped, emptied, tap, written
from keras_capture.tasks import Work

BUDGET = 64 << 20  # what a request does not say


def run(work: Work, options: dict) -> dict:
    """Options `rows` (further samples), `noise` (members), `budget` (bytes), and for a replay `baseline`
    (folder of its job), `pairs` ([candidate call, baseline call, candidate path]), `seconds`."""
    prediction = work.prediction
    if isinstance(prediction.model, SavedModel):
        return {**NO_LAYERS, "replay": None}
    folder = work.job.folder / "layers"
    rows = choose_rows(prediction, options.get("rows") or ())
    budget = int(options.get("budget", BUDGET))

    def new_values() -> LayerValues:
        return LayerValues(prediction.framework, emptied(folder), budget)

    with state_kept(prediction.framework, prediction.model) as reset:
        reset()
        ran = tap(work, gathered(prediction, rows), new_values)
        _add_noise(prediction, ran, int(options.get("noise", 0)), reset)
        answer = written(folder, ran.document(prediction.framework, rows))
        replayed = replay(prediction, ran, options) if options.get("baseline") else None
    return {**answer, "replay": replayed}


def _add_noise(prediction: Prediction, ran: Tapped, members: int, reset: Callable[[], None]) -> None:
    """Run again with weights moved by one place; the values collect how far each tensor moves."""
    ran.values.comparing = True
    for member in range(members if floating_weights(prediction.model) else 0):
        reset()
        with perturbed(prediction.framework, prediction.model, member):
            ran.again()
