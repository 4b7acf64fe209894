"""Looks at what passes from a data source to a model, without changing it, its type, or its order."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from .rows import RecordingError

#: What receives a batch: inputs, labels, weights.
Feed = Callable[[Any, Any, Any], None]


class Tap:
    """Watches one data source. A position of it is recorded once, however many epochs there are."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seen: set[int] = set()
        self._undo: list[Callable[[], None]] = []

    def on(self, data: Any) -> Any:
        """The same data, watched. Call `off` when the model is done."""
        kind = kind_of(data)
        if kind == "dataset":
            return self._dataset(data)
        if kind == "generator":
            return self._generator(data)
        if kind in ("sequence", "loader"):
            if getattr(data, "use_multiprocessing", False) and kind == "sequence":
                raise RecordingError(
                    "a dataset with worker processes hides its batches; record with use_multiprocessing=False"
                )
            self._swap(data, self._items(data) if kind == "sequence" else self._iterations(data))
            return data
        raise RecordingError(
            f"data of the type {type(data).__name__} cannot be watched; use Recorder.add(x, y) on its batches"
        )

    def off(self) -> None:
        """Leave the source as it was."""
        while self._undo:
            self._undo.pop()()

    def batch(self, position: int, batch: Any) -> None:
        """Record a batch, unless that position was recorded before."""
        if position not in self._seen:
            self._seen.add(position)
            self._feed(*unpacked(batch))

    def _dataset(self, data: Any) -> Any:
        """A tf.data pipeline with a step at its end that looks at each batch. Its element_spec stays."""
        tensorflow = sys.modules["tensorflow"]
        spec = data.element_spec

        def keep(position: Any, *flat: Any) -> None:
            self.batch(int(position), tensorflow.nest.pack_sequence_as(spec, flat))

        def through(position: Any, element: Any) -> Any:
            flat = tensorflow.nest.flatten(element)
            watched = tensorflow.py_function(keep, [position, *flat], [])
            with tensorflow.control_dependencies([watched]):
                return tensorflow.nest.map_structure(tensorflow.identity, element)

        return data.enumerate().map(through).prefetch(tensorflow.data.AUTOTUNE)

    def _generator(self, data: Any) -> Iterator[Any]:
        for position, batch in enumerate(data):
            self.batch(position, batch)
            yield batch

    def _items(self, data: Any) -> Any:
        plain, tap = type(data), self

        def __getitem__(dataset: Any, index: int) -> Any:  # noqa: N807 - a method
            batch = plain.__getitem__(dataset, index)
            tap.batch(int(index), batch)
            return batch

        return {"__getitem__": __getitem__}

    def _iterations(self, data: Any) -> Any:
        plain, tap = type(data), self

        def __iter__(loader: Any) -> Iterator[Any]:  # noqa: N807 - a method
            for position, batch in enumerate(plain.__iter__(loader)):
                tap.batch(position, batch)
                yield batch

        return {"__iter__": __iter__}

    def _swap(self, data: Any, methods: Any) -> None:
        """Give one object a subclass of its class: everybody who holds it already sees the methods."""
        plain = type(data)
        watched = type(plain.__name__, (plain,), {**methods, "__module__": plain.__module__})
        object.__setattr__(data, "__class__", watched)
        self._undo.append(lambda: object.__setattr__(data, "__class__", plain))


def kind_of(data: Any) -> str:
    """`arrays`, `dataset` (tf.data), `sequence` (PyDataset, Sequence), `loader` (torch) or `generator`."""
    if isinstance(data, types.GeneratorType):
        return "generator"
    for base in type(data).__mro__:
        framework = base.__module__.partition(".")[0]
        if base.__name__ in ("PyDataset", "Sequence") and framework in ("keras", "tf_keras", "tensorflow"):
            return "sequence"
        if base.__name__ == "DataLoader" and framework == "torch":
            return "loader"
        if base.__name__ == "DatasetV2" and framework == "tensorflow":
            return "dataset"
    if hasattr(data, "__next__") or type(data).__name__.startswith("Distributed"):
        return "unknown"
    return "arrays"


def unpacked(batch: Any) -> tuple[Any, Any, Any]:
    """`(x, y, sample_weight)` of a batch, by Keras' rule: a tuple or list is unpacked, all else is x."""
    if isinstance(batch, (list, tuple)) and not hasattr(batch, "_fields"):
        parts: tuple[Any | None, ...] = (*batch, None, None)[:3]
        return parts[0], parts[1], parts[2]
    return batch, None, None
