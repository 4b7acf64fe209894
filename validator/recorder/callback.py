"""A Keras callback that records. The class is made of the Keras that the process has imported."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from .rows import RecordingError
from .sources import Tap, kind_of

if TYPE_CHECKING:
    from . import Recorder

_CALLS = ("fit", "evaluate", "predict")


def make_callback(recorder: Recorder) -> Any:
    """An instance of the framework's own `Callback`."""
    state = _State(recorder)

    class RecordInputs(_base()):  # type: ignore[misc]
        """Records what the running call of fit, evaluate or predict was given."""

        def on_train_begin(self, logs: object = None) -> None:
            state.begin(self.model)

        on_test_begin = on_predict_begin = on_train_begin

        def on_train_end(self, logs: object = None) -> None:
            state.end()

        on_test_end = on_predict_end = on_train_end

    return RecordInputs()


class _State:
    """What one callback is doing: evaluate inside fit is part of the fit."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.depth = 0
        self.tap: Tap | None = None

    def begin(self, model: Any) -> None:
        self.depth += 1
        if self.depth > 1:
            return
        self.tap = self.recorder.tap()
        try:
            fed = _arguments(model)
            data = fed.get("x")
            kind = kind_of(data)
            if kind == "arrays":
                self.recorder.add(data, fed.get("y"), fed.get("sample_weight"))
            elif kind in ("sequence", "loader"):
                self.tap.on(data)
            else:
                raise RecordingError(
                    "a callback cannot see the batches of tf.data or a generator; "
                    "write `with record(model, folder):` around the call"
                )
        except Exception as error:
            self.recorder._give_up(error)

    def end(self) -> None:
        self.depth -= 1
        if self.depth == 0 and self.tap is not None:
            self.tap.off()
            self.recorder.save()


def _base() -> Any:
    """`Callback` of the Keras that runs: tf_keras where TF_USE_LEGACY_KERAS asks for it."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    names = ("tf_keras", "keras") if legacy else ("keras", "tf_keras")
    for name in names:
        module = sys.modules.get(name)
        if module is not None:
            return module.callbacks.Callback
    raise RecordingError("neither keras nor tf_keras is imported; import Keras before the callback is made")


def _arguments(model: Any) -> Any:
    """The arguments of the call of `model` that is running, by their public names."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name in _CALLS and frame.f_locals.get("self") is model:
            return frame.f_locals
        frame = frame.f_back
    raise RecordingError("the callback runs outside fit, evaluate and predict")
