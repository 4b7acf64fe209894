"""What is trained: the model with a loss and an optimizer, its start, and everything put back afterwards."""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Dict, List, Optional

import numpy as np

from keras_capture.accuracy.evaluating import is_compiled
from keras_capture.failures import UnusableError
from keras_capture.model.artifacts import Loaded
from keras_capture.model.custom import function
from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.perturbing import lasting, numpy_of
from keras_capture.model.state import State
from keras_capture.numbers import MANTISSA, is_same
from keras_capture.training.store import Named
from keras_capture.wire.request import Job

_NOISY = ("rate", "dropout", "recurrent_dropout", "stddev")


@dataclass(frozen=True)
class Supplied:
    """A compiled model, and data, if whoever gave the model gave some."""

    model: object
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
    from_file = loaded is not None and (loaded.source == "artifact" or job.weights is not None)
    reference = options.get("function")
    if reference:
        given = given_by(framework, reference, dict(options.get("arguments") or {}))
    else:
        given = {"model": loaded.model}
    _check_compiled(given["model"], None if reference else loaded)
    return Supplied(recorded=loaded.model if from_file else None, **given)


def given_by(framework: Framework, reference: str, arguments: dict) -> dict:
    """What a function of the user's returns, by the names of `Supplied`.

    Raises:
        UnusableError: it is no model, and has none.
    """
    given = function(reference)(**arguments)
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
    return given


def _check_compiled(model: object, loaded: Optional[Loaded]) -> None:
    if is_compiled(model) and optimizers_of(model):
        return
    lost = loaded is not None and loaded.compile_failure is not None
    because = " (its saved loss and optimizer do not load)" if lost else ""
    raise UnusableError(
        f"the model is not compiled with an optimizer{because}, so it cannot be trained: compile it in its "
        "builder, or name a function that returns a compiled model as training.function"
    )


class Trainee:
    """A context manager around training: optimizers are fresh inside, and all is as before outside.

    With `probed`, no step is trained: optimizers stay as they are.
    """

    def __init__(self, framework: Framework, model: object, options: dict, *, probed: bool = False) -> None:
        self.framework = framework
        self.model = model
        self._probed = probed
        self._silent = (options.get("dropout") or "off") == "off"
        self._held = _distinct(model.weights)
        trainable = {id(variable) for variable in model.trainable_variables}
        self.places = {id(variable): place for place, variable in enumerate(self._held)}
        self.variables = [Named(_name(variable), id(variable) in trainable) for variable in self._held]
        self.start = self._before = self.weights()
        self.random: List[dict] = []  # what layers draw random numbers by
        self._state = State(framework, model)
        self._states: List[tuple] = []
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> Trainee:
        if not self._held:
            raise UnusableError("the model has no weights before it is called, so there is nothing to train")
        self._undo.callback(self._put, self._before)
        for name, optimizer in () if self._probed else optimizers_of(self.model).items():
            self._renew(name, optimizer)
        names = _paths(self.model)
        for layer, attribute in list(_random(layers_of(self.model))):
            rate = getattr(layer, attribute)
            rated = {"layer": names.get(id(layer), layer.name), "setting": attribute, "value": float(rate)}
            self.random += [] if rated in self.random else [rated]
            if self._silent:
                self._undo.callback(setattr, layer, attribute, rate)
                setattr(layer, attribute, 0.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def weights(self) -> List[np.ndarray]:
        """The values of all variables now."""
        return self._values(self._held)

    def _values(self, variables: List[object]) -> List[np.ndarray]:
        return [lasting(self.framework, variable) for variable in variables]

    def settle_start(self, supplied: Supplied, how: str) -> str:
        """Bring about the weights that training starts from: `recorded`, as `built`, or `drawn`.

        Weights of a file are the same in every environment. Without one, initialisers are at work, which
        differ: then each variable that is not constant is drawn again, from NumPy's unchanging stream.
        """
        if how == "own":
            return "built"
        recorded = [] if supplied.recorded is None else self._values(_distinct(supplied.recorded.weights))
        fits = [value.shape for value in recorded] == [value.shape for value in self.start]
        self.start = recorded if fits else [self._drawn(*item) for item in enumerate(self.start)]
        self._put(self.start)
        return "recorded" if fits else "drawn"

    def _drawn(self, index: int, value: np.ndarray) -> np.ndarray:
        if value.dtype.name not in MANTISSA or value.size == 0 or np.all(value == value.flat[0]):
            return value
        fans = value.shape[-1] + math.prod(value.shape[:-1])
        random = np.random.RandomState(zlib.crc32(f"{index} {value.shape}".encode()))
        return random.uniform(-1, 1, value.shape).astype(value.dtype) * value.dtype.type(math.sqrt(6 / fans))

    def begin(self, weights: List[np.ndarray]) -> None:
        """Weights as given, optimizers as new, recurrent layers without memory."""
        self._put(weights)
        self._state.reset()
        for variable, value in self._states:
            _set(self.framework, variable, value)

    def trainable(self) -> List[Optional[object]]:
        """The variables by their place; None for those that are not trained."""
        return [held if named.trainable else None for held, named in zip(self._held, self.variables)]

    def _renew(self, name: str, optimizer: object) -> None:
        """A new optimizer of the same configuration: a saved one brings the state of its past."""
        try:
            new = type(optimizer).from_config(optimizer.get_config())
        except Exception:  # a class of the user's own that cannot be written down: its state is put back
            new = optimizer
        if new is not optimizer:
            setattr(self.model, name, new)
            self._undo.callback(setattr, self.model, name, optimizer)
        # `_create_all_weights`: the legacy optimizers of Keras 2.15 and tf_keras 2.17, which have no `build`.
        build = getattr(new, "build", None) or getattr(new, "_create_all_weights", None)
        if build is not None and not getattr(new, "built", False) and name == "optimizer":
            build(self.model.trainable_variables)
        states = [(variable, lasting(self.framework, variable)) for variable in _states(new)]
        self._states += states
        if new is optimizer:
            self._undo.callback(lambda: [variable.assign(value) for variable, value in states])

    def _put(self, values: List[np.ndarray]) -> None:
        for variable, value, like in zip(self._held, values, self._before):
            _set(self.framework, variable, value.astype(like.dtype, copy=False))


def _set(framework: Framework, variable: object, values: np.ndarray) -> None:
    """Assign values that are not there already: it takes the memory of a copy."""
    if not is_same(numpy_of(framework, variable), values):
        variable.assign(values)


def optimizers_of(model: object) -> Dict[str, object]:
    """Attributes of the model that are optimizers: usually one, two in an adversarial pair."""
    return {
        name: value
        for name, value in vars(model).items()
        if any(base.__name__ in ("Optimizer", "BaseOptimizer", "OptimizerV2") for base in type(value).__mro__)
    }


def _states(optimizer: object) -> List[object]:
    held = getattr(optimizer, "variables", ())
    return list(held if isinstance(held, (list, tuple)) else held())


def _distinct(variables: List[object]) -> List[object]:
    return list({id(variable): variable for variable in variables}.values())


def _name(variable: object) -> str:
    """`layer/kernel`, in the words of this Keras."""
    return str(getattr(variable, "path", None) or variable.name).partition(":")[0]


def _paths(model: object) -> Dict[int, str]:
    """Inner layer → its name behind that of the layer of the model which it belongs to."""
    inner = ((outer, layer) for outer in model.layers for layer in layers_of(outer))
    return {
        id(layer): outer.name if layer is outer else f"{outer.name}/{layer.name}" for outer, layer in inner
    }


def _random(layers: List[object]) -> Iterator[tuple]:
    """(layer, attribute) of the rates by which layers draw random numbers when they train."""
    for layer in layers:
        for attribute in _NOISY:
            value = getattr(layer, attribute, None)
            rate = isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
            if rate and _is_of_keras(type(layer), attribute):
                yield layer, attribute


def _is_of_keras(kind: type, attribute: str) -> bool:
    """Whether Keras gave a layer this attribute: in a class of the user's it may mean anything."""
    modules = ("keras", "tf_keras")
    names = {base.__name__ for base in kind.__mro__ if base.__module__.partition(".")[0] in modules}
    names -= {"Layer", "Model", "Functional", "Sequential", "Operation", "KerasSaveable"}
    if attribute in ("rate", "stddev"):
        names = {name for name in names if "Dropout" in name or "Noise" in name}
    return bool(names) and not isinstance(getattr(kind, attribute, None), property)
