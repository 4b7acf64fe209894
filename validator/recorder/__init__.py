"""Records what really goes into a model, in the user's own environment: NumPy and the standard library alone.

This folder stands alone on Python 3.9 or newer; it may be copied. A prediction is never changed, and never
fails because of it: what cannot be recorded is a warning.
"""

from __future__ import annotations

import atexit
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from . import writing
from .rows import RecordingError, Reservoir, Row, columns_of
from .sources import Tap, kind_of

__all__ = ["Recorder", "RecordingError", "record"]

_METHODS = ("predict", "evaluate", "fit", "predict_on_batch", "test_on_batch", "train_on_batch")
_F = TypeVar("_F", bound=Callable[..., Any])
Redaction = Callable[[dict[str, Row]], dict[str, Row]]


def record(  # noqa: PLR0913 - the public call, all but two by name
    model: Any,
    folder: str | Path,
    *,
    samples: int = 512,
    megabytes: float = 256,
    seed: int = 0,
    redact: Redaction | None = None,
) -> Recorder:
    """Record what `model` is fed, into a folder that `inputs:` of a validator.yml can name.

    As a context manager, `with record(model, "inputs"): model.predict(...)`, or as a decorator of a function
    that calls the model. Labels and sample weights that are fed too are written into `folder/labels`.

    Args:
        model: a Keras model; its `predict`, `evaluate`, `fit` and `…_on_batch` are watched. None to record
            by `add` or by `callback` alone.
        folder: written when the block ends. A recording in it is replaced, anything else is refused.
        samples: the most to keep, each that goes in as likely as any other.
        megabytes: the most to keep, in memory and on disk; fewer samples are kept where it does not suffice.
        seed: of the choice. No other random generator is touched.
        redact: inputs of one sample, name → array, to the same without what must not be kept.

    Raises:
        RecordingError: the folder is in use for something else, or a number is not positive.
    """
    if samples < 1 or megabytes <= 0:
        raise RecordingError(f"samples ({samples}) and megabytes ({megabytes:g}) must be positive")
    place = Path(folder)
    writing.check_place(place)
    return Recorder(model, place, Reservoir(samples, int(megabytes * 2**20), seed), redact)


class Recorder:
    """What `record` returns. `failure`: why recording stopped, None where it did not."""

    def __init__(
        self, model: Any, folder: Path, reservoir: Reservoir, redact: Redaction | None = None
    ) -> None:
        self.model, self.folder = model, folder
        self.failure: str | None = None
        self._reservoir, self._redact = reservoir, redact
        self._before: dict[str, Any] = {}
        self._depth = 0
        self._written = 0

    def add(self, x: Any, y: Any = None, sample_weight: Any = None, ids: Sequence[str] | None = None) -> None:
        """Let samples pass, for a model that is called in another way. `ids` name them in reports."""
        if self.failure is None:
            try:
                self._reservoir.add(columns_of(x, y, sample_weight), ids, self._redact)
            except Exception as error:  # a prediction must not fail because of a recording
                self._give_up(error)

    def save(self) -> None:
        """Write what was recorded. A block does so when it ends."""
        if self.failure is not None:
            return
        if not self._reservoir.kept:
            warnings.warn(
                f"nothing was recorded, so {self.folder} was not written: neither predict, evaluate nor fit "
                "of this model ran; for model(x), call add(x) of the recorder",
                stacklevel=3,
            )
            return
        try:
            seen = self._reservoir.seen
            source = f"{len(self._reservoir.kept)} of {seen} samples that went into the model"
            writing.write(self.folder, *writing.tables(self._reservoir.kept, source))
            self._written = seen
        except (OSError, RecordingError, ValueError) as error:
            self._give_up(error)

    def __enter__(self) -> Recorder:
        for name in _METHODS:
            method = getattr(self.model, name, None)
            if callable(method):
                # Past __setattr__, which tracks what a layer holds.
                self._before[name] = self.model.__dict__.get(name)
                self.model.__dict__[name] = self._watched(method)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._leave()
        if kind is None:
            self.save()

    def __call__(self, function: _F) -> _F:
        """Decorate a function that calls the model. It is written after the first call, each time twice as
        much went in, and when the process ends."""
        atexit.register(self._rest)

        @functools.wraps(function)
        def recorded(*args: Any, **kwargs: Any) -> Any:
            self.__enter__()
            try:
                return function(*args, **kwargs)
            finally:
                self._leave()
                if self._reservoir.seen >= max(1, 2 * self._written):
                    self.save()

        return recorded  # type: ignore[return-value]

    def callback(self) -> Any:
        """A Keras callback that records what `fit`, `evaluate` or `predict` was given, and writes it.

        It sees arrays, a PyDataset or Sequence, and a DataLoader. Of tf.data and generators a callback sees
        nothing: use the block.
        """
        from .callback import make_callback

        return make_callback(self)

    def tap(self) -> Tap:
        """What watches one data source for this recorder."""
        return Tap(self.add)

    def _watched(self, method: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(method)

        @functools.wraps(method)
        def watched(*args: Any, **kwargs: Any) -> Any:
            if self._depth:  # fit evaluates, evaluate may predict: the outermost call is what was fed
                return method(*args, **kwargs)
            tap = self.tap()
            self._depth += 1
            try:
                bound = parameters.bind(*args, **kwargs)
                for name, value in self._fed(tap, bound.arguments):
                    bound.arguments[name] = value
                return method(*bound.args, **bound.kwargs)
            finally:
                self._depth -= 1
                tap.off()

        return watched

    def _fed(self, tap: Tap, arguments: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        """Record arrays at once; of a data source, yield the argument and the watched source."""
        name = "x" if "x" in arguments else next(iter(arguments), "")
        try:
            data = arguments.get(name)
            if kind_of(data) != "arrays":
                yield name, tap.on(data)
            elif data is not None:
                self.add(data, arguments.get("y"), arguments.get("sample_weight"))
        except Exception as error:
            self._give_up(error)

    def _leave(self) -> None:
        for name, method in self._before.items():
            if method is None:
                self.model.__dict__.pop(name, None)
            else:  # another recorder watches too
                self.model.__dict__[name] = method
        self._before = {}

    def _rest(self) -> None:
        if self._reservoir.seen > self._written:
            self.save()

    def _give_up(self, error: Exception) -> None:
        self.failure = str(error) or type(error).__name__
        self._reservoir.kept.clear()
        warnings.warn(f"{self.folder} is not recorded: {self.failure}", stacklevel=4)


def main() -> int:
    """`python -m validator.recorder module:function folder`: write what a function returns."""
    from .functions import main as run

    return run(sys.argv[1:])
