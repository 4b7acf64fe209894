"""A model's operations run again: each rounding moved by chance, none moved, or all in float64.

Each backend has a module `operations_<backend>` with a class `<Backend>Operations`. What cannot be had raises
`NoOperations`, whose reason is one of the words in docs/protocol.md; the moved weights stand in for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import FrozenSet

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework
from keras_capture.model.savedmodel import SavedModel

SEED = 20231
#: A batch as `Feed.batch` gives it → the outputs in the model's structure, as `read_outputs` takes them.
Call = Callable[[object], object]


def names(text: str) -> FrozenSet[str]:
    """The names of operations in a text."""
    return frozenset(text.split())


class NoOperations(UnusableError):  # noqa: N818 (it is a value as often as an error)
    """The operations of this model cannot be moved, or not run in float64; `reason` says why in a word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Operations(ABC):
    """The operations of one model at inference. Nothing is traced before the first call.

    Every method gives a context, within which what it yields may be called on batches of any number and
    order. After the context the model is as it was: weights bit for bit, states, seeds, training mode, and
    global settings of the framework. Contexts are never nested. Errors of the model's code pass.
    """

    def __init__(self, framework: Framework, model: object) -> None:
        self.framework = framework
        self.model = model

    @abstractmethod
    def member(self, number: int) -> AbstractContextManager[Call]:
        """Member `number` of the ensemble: Monte Carlo arithmetic with weights moved by one unit.

        The same number draws the same directions, in every process, whatever ran before; draws differ
        between members. A batch repeated within a context may draw again or not.
        """

    @abstractmethod
    def unmoved(self) -> AbstractContextManager[Call]:
        """The function that `member` runs, with nothing moved."""

    def sized(self) -> bool:
        """Trace `member` and `unmoved` anew for each size of a batch; False where that is so already."""
        return False

    @abstractmethod
    def float64(self) -> AbstractContextManager[Call]:
        """The same function with every floating type float64 (complex128), casts in the code included.

        Weights, constants and inputs are the numbers that the model holds, widened. Outputs that float are
        float64. Raises `NoOperations` in the context or at the first call where it cannot be had.
        """


def operations_of(framework: Framework, model: object) -> Operations:
    """The operations of a model; `NoOperations` where its backend, or a SavedModel, gives none."""
    if isinstance(model, SavedModel):
        raise NoOperations("savedmodel", "the operations of a SavedModel are frozen")
    name = f"keras_capture.outputs.operations_{framework.backend}"
    if find_spec(name) is None:
        raise NoOperations("unsupported-backend", f"no operations on the backend {framework.backend}")
    try:
        module = import_module(name)
    except (ImportError, AttributeError) as error:  # a name of the backend that this release lacks
        raise NoOperations("unsupported-version", f"{type(error).__name__}: {error}") from error
    return getattr(module, f"{framework.backend.capitalize()}Operations")(framework, model)
