"""What is trained: the model with a loss and an optimizer, its start, and everything put back afterwards."""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from keras_capture.artifacts import Loaded
from keras_capture.custom import function
from keras_capture.evaluating import is_compiled
from keras_capture.failures import UnusableError
from keras_capture.imports import Framework
from keras_capture.perturbing import MANTISSA, numpy_of
from keras_capture.request import Job
from keras_capture.training_settings import settings
from keras_capture.training_store import Named

_NOISY = ("rate", "dropout", "recurrent_dropout", "stddev")


@dataclass(frozen=True)
class Supplied:
    """A compiled model, where it is from, and data, if whoever gave the model gave some."""

    model: object
    source: str
    x: object = None
    y: object = None
    sample_weight: object = None
    batches: object = None
    recorded: object = None  # a model that holds the weights of a file: the same in every environment


def supply(framework: Framework, job: Job, loaded: Optional[Loaded], options: dict) -> Supplied:
    """The model to train: that of the user's function, or the loaded one.

    Raises:
        UnusableError: it cannot be trained; the sentence says what is missing.
    """
    reference = options.get("function")
    from_file = loaded is not None and (loaded.source == "artifact" or job.weights is not None)
    recorded = loaded.model if from_file else None
    if not reference:
        _check_compiled(loaded.model, loaded)
        return Supplied(loaded.model, loaded.source, recorded=recorded)
    given = function(reference)(**dict(options.get("arguments") or {}))
    if isinstance(given, framework.keras.Model):
        given = {"model": given}
    elif isinstance(given, tuple) and 2 <= len(given) <= 4:
        given = dict(zip(("model", "x", "y", "sample_weight"), given))
    known = {"model", "x", "y", "sample_weight", "batches"}
    if not isinstance(given, dict) or "model" not in given or set(given) - known:
        raise UnusableError(
            f"{reference} must return a compiled model, (model, x, y), or a dict with `model` and any of "
            f"`x`, `y`, `sample_weight`, `batches`; it returned {type(given).__name__}"
        )
    if not isinstance(given["model"], framework.keras.Model):
        raise UnusableError(
            f"{reference} gave {type(given['model']).__name__}, not a model of {framework.name}"
        )
    _check_compiled(given["model"], None)
    return Supplied(source="function", recorded=recorded, **given)


def _check_compiled(model: object, loaded: Optional[Loaded]) -> None:
    if is_compiled(model) and _optimizers(model):
        return
    reasons = [note["message"] for note in (loaded.notes if loaded else ()) if note["kind"] == "compile"]
    because = f" ({reasons[0]})" if reasons else ""
    raise UnusableError(
        f"the model is not compiled with an optimizer{because}, so it cannot be trained: compile it in its "
        "builder, or name a function that returns a compiled model as training.function"
    )


class Trainee:
    """A context manager around training: optimizers are fresh inside, and all is as before outside."""

    def __init__(self, framework: Framework, model: object, options: dict) -> None:
        self.framework = framework
        self.model = model
        self.dropout = options.get("dropout") or "off"
        self.start: List[np.ndarray] = []
        self._like: List[np.ndarray] = []
        self._held = list(_distinct(model.weights))
        trainable = {id(variable) for variable in model.trainable_variables}
        self.variables = [Named(_name(variable), id(variable) in trainable) for variable in self._held]
        self.custom_step = _is_custom(model)
        self._undo = contextlib.ExitStack()
        self._states: List[tuple] = []

    def __enter__(self) -> Trainee:
        if not self._held:
            raise UnusableError("the model has no weights before it is called, so there is nothing to train")
        before = self.weights()
        self._undo.callback(lambda: self._put(before))
        for name, optimizer in _optimizers(self.model).items():
            self._renew(name, optimizer)
        self._like = self.start = before
        if self.dropout == "off":
            self._undo.enter_context(self._silenced())
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def weights(self) -> List[np.ndarray]:
        """The values of all variables now."""
        return [np.array(numpy_of(self.framework, variable)) for variable in self._held]

    def settle_start(self, supplied: Supplied, how: str) -> str:
        """Bring about the weights that training starts from, and say where they are from.

        Weights of a file are the same in every environment. Without one, initialisers are at work, which
        differ: then each variable that is not constant is drawn again, from NumPy's unchanging stream.
        """
        if how == "own":
            self.start = self.weights()
            return "as built"
        if supplied.recorded is not None:
            values = [
                np.array(numpy_of(self.framework, item)) for item in _distinct(supplied.recorded.weights)
            ]
            if [value.shape for value in values] == [value.shape for value in self.start]:
                self.start = values
                self.begin(values)
                return "the recorded weights"
        self.start = [self._drawn(index, value) for index, value in enumerate(self.weights())]
        self._put(self.start)
        return "drawn by NumPy, the same everywhere"

    def _drawn(self, index: int, value: np.ndarray) -> np.ndarray:
        if value.dtype.name not in MANTISSA or value.size == 0 or np.all(value == value.flat[0]):
            return value
        fans = value.shape[-1] + math.prod(value.shape[:-1])
        random = np.random.RandomState(zlib.crc32(f"{index} {value.shape}".encode()))
        return random.uniform(-1, 1, value.shape).astype(value.dtype) * value.dtype.type(math.sqrt(6 / fans))

    def begin(self, weights: List[np.ndarray]) -> None:
        """Weights as given, optimizers as new."""
        self._put([value.astype(like.dtype, copy=False) for value, like in zip(weights, self._like)])
        for variable, value in self._states:
            variable.assign(value)

    def index(self, variable: object) -> Optional[int]:
        """The place of a variable among those of the model."""
        return next((number for number, held in enumerate(self._held) if held is variable), None)

    def trainable(self) -> List[Optional[object]]:
        """The variables by their place; None for those that are not trained."""
        return [held if named.trainable else None for held, named in zip(self._held, self.variables)]

    def optimizers(self) -> List[object]:
        """The optimizers that are at work."""
        return list(_optimizers(self.model).values())

    def random_layers(self) -> List[str]:
        """Layers that draw random numbers when they train."""
        return [layer.name for layer, _, _ in self._noisy]

    @contextlib.contextmanager
    def random(self) -> Iterator[None]:
        """The layers' own rates, for a while."""
        for layer, attribute, rate in self._noisy:
            setattr(layer, attribute, rate)
        try:
            yield
        finally:
            for layer, attribute, _ in self._noisy:
                setattr(layer, attribute, 0.0)

    def optimizer_config(self) -> Dict[str, dict]:
        """Class and configuration of each optimizer."""
        return {
            name: {"class": type(optimizer).__name__, **settings(optimizer.get_config)}
            for name, optimizer in _optimizers(self.model).items()
        }

    def loss_config(self) -> dict:
        """What the loss is, as far as it says."""
        loss = getattr(self.model, "loss", None)
        if hasattr(loss, "get_config"):
            return {"class": type(loss).__name__, **settings(loss.get_config)}
        return {"class": str(getattr(loss, "__name__", None) or loss)[:200]}

    def layer_configs(self) -> List[dict]:
        """Name, class and the plain settings of every layer."""
        return [
            {"name": layer.name, "class_name": type(layer).__name__, "config": settings(layer.get_config)}
            for layer in _layers(self.model)
            if layer is not self.model
        ]

    @property
    def _noisy(self) -> List[tuple]:
        if not hasattr(self, "_found"):
            self._found = [
                (layer, attribute, getattr(layer, attribute))
                for layer in _layers(self.model)
                for attribute in _NOISY
                if _of_keras(layer, attribute) and _positive(getattr(layer, attribute, None))
            ]
        return self._found

    @contextlib.contextmanager
    def _silenced(self) -> Iterator[None]:
        noisy = self._noisy
        for layer, attribute, _ in noisy:
            setattr(layer, attribute, 0.0)
        try:
            yield
        finally:
            for layer, attribute, rate in noisy:
                setattr(layer, attribute, rate)

    def _renew(self, name: str, optimizer: object) -> None:
        """A new optimizer of the same configuration: a saved one brings the state of its past."""
        try:
            new = type(optimizer).from_config(optimizer.get_config())
        except Exception:  # a class of the user's own that cannot be written down: its state is put back
            new = optimizer
        if new is not optimizer:
            setattr(self.model, name, new)
            self._undo.callback(lambda: setattr(self.model, name, optimizer))
        build = getattr(new, "build", None) or getattr(new, "_create_all_weights", None)
        if build is not None and not getattr(new, "built", False) and name == "optimizer":
            build(self.model.trainable_variables)
        states = [(variable, np.array(numpy_of(self.framework, variable))) for variable in _states(new)]
        self._states += states
        if new is optimizer:
            self._undo.callback(lambda: [variable.assign(value) for variable, value in states])

    def _put(self, values: List[np.ndarray]) -> None:
        for variable, value in zip(self._held, values):
            variable.assign(value)


def _optimizers(model: object) -> Dict[str, object]:
    """Attributes of the model that are optimizers: usually one, two in an adversarial pair."""
    return {
        name: value
        for name, value in vars(model).items()
        if any(base.__name__ in ("Optimizer", "BaseOptimizer", "OptimizerV2") for base in type(value).__mro__)
    }


def _states(optimizer: object) -> List[object]:
    held = getattr(optimizer, "variables", ())
    return list(held if isinstance(held, (list, tuple)) else held())


def _is_custom(model: object) -> bool:
    module = getattr(type(model).train_step, "__module__", "")
    return module.partition(".")[0] not in ("keras", "tf_keras")


def _distinct(variables: List[object]) -> Iterator[object]:
    seen = set()
    for variable in variables:
        if id(variable) not in seen:
            seen.add(id(variable))
            yield variable


def _name(variable: object) -> str:
    """`layer/kernel`, in the words of this Keras."""
    return str(getattr(variable, "path", None) or variable.name).partition(":")[0]


def _layers(model: object) -> List[object]:
    return list(_distinct(list(model._flatten_layers(include_self=True, recursive=True))))


def _of_keras(layer: object, attribute: str) -> bool:
    """Whether Keras gave a layer this attribute: in a class of the user's it may mean anything."""
    bases = [
        base for base in type(layer).__mro__ if base.__module__.partition(".")[0] in ("keras", "tf_keras")
    ]
    own = {"Layer", "Model", "Functional", "Sequential", "Operation", "KerasSaveable"}
    named = [base for base in bases if base.__name__ not in own]
    if attribute in ("rate", "stddev") and not any(
        word in base.__name__ for base in named for word in ("Dropout", "Noise")
    ):
        return False
    return bool(named) and not isinstance(getattr(type(layer), attribute, None), property)


def _positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
