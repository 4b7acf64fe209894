"""A training-mode pass with the gradient at every layer, on JAX and torch: what a tape gives on TensorFlow.

JAX differentiates with respect to arguments alone. So every layer's result gets an argument of zeros added to
it: the gradient with respect to the zeros is that with respect to the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Tuple

from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import dtype_of
from keras_capture.model.structures import leaves
from keras_capture.structure.tapping import Call, Recorder, tapped
from keras_capture.training.model import Trainee

#: Path and occurrence of a call, and the place in what it returned.
Key = Tuple[str, int, int]


@dataclass
class Slopes:
    """Tensors of the framework: the `loss`, what the model and its `layers` returned, and gradients.

    `backward` has one entry a layer, `gradients` one a variable; None: the loss does not depend on it.
    """

    loss: object
    predicted: List[object]
    layers: List[dict]
    forward: List[object]
    backward: List[object]
    gradients: List[object] = field(default_factory=list)


def slopes_of(trainee: Trainee) -> Optional[Callable[[tuple], Slopes]]:
    """What differentiates the loss of a batch, on JAX and torch."""
    kinds: Dict[str, type] = {"jax": _Jax, "torch": _Torch}
    kind = kinds.get(trainee.framework.backend)
    return kind(trainee) if kind is not None else None


def _scored(trainee: Trainee, parts: tuple) -> tuple:
    """The predictions of a batch in training mode, and the loss."""
    x, y, weight = (*parts, None, None)[:3]
    predicted = trainee.model(x, training=True)
    loss = trainee.model.compute_loss(x=x, y=y, y_pred=predicted, sample_weight=weight)
    return [leaf for leaf in leaves(predicted) if leaf is not None], loss


class _Watcher(Recorder):
    """Keeps the floating results of every call but the model's own, each once, with who returned them."""

    def __init__(self, framework: Framework) -> None:
        super().__init__(framework, lambda _: None)
        self.layers: List[dict] = []
        self.results: List[object] = []
        self._known: Dict[int, object] = {}  # holds them, so that no identity comes again

    def passed(self, call: Call, result: object) -> object:
        for leaf in leaves(result) if call.path else ():
            if self.is_new(leaf):
                self.keep(call, leaf)
        return result

    def is_new(self, value: object) -> bool:
        """Whether a result is to be kept."""
        return self.is_tensor(value) and id(value) not in self._known and "float" in dtype_of(value)

    def keep(self, call: Call, value: object) -> None:
        """Take a result down."""
        self._known[id(value)] = value
        kind = type(call.owner).__name__
        self.layers.append({"name": call.path, "class_name": kind, "occurrence": call.occurrence})
        self.results.append(value)


class _Torch:
    """By the graph that torch keeps of what it did."""

    def __init__(self, trainee: Trainee) -> None:
        self._trainee = trainee

    def __call__(self, parts: tuple) -> Slopes:
        import torch

        watcher = _Watcher(self._trainee.framework)
        with torch.enable_grad(), tapped(watcher):
            predicted, loss = _scored(self._trainee, parts)
        trained = [getattr(variable, "value", None) for variable in self._trainee.trainable()]
        reached = [item for item in (*watcher.results, *trained) if _is_reached(item)]
        by_item = iter(torch.autograd.grad(loss, reached, allow_unused=True))
        slopes = [next(by_item) if _is_reached(item) else None for item in (*watcher.results, *trained)]
        count = len(watcher.results)
        return Slopes(loss, predicted, watcher.layers, watcher.results, slopes[:count], slopes[count:])


def _is_reached(item: object) -> bool:
    return item is not None and bool(item.requires_grad)


class _Shifted(_Watcher):
    """Adds its shift to every result that has one. `shifts` None: finds out which can have one.

    A result can that holds values while nothing is traced: what runs inside of a loop of JAX never does.
    """

    def __init__(self, framework: Framework, shifts: Optional[Dict[Key, object]] = None) -> None:
        super().__init__(framework)
        self._shifts = shifts
        self.keys: List[Key] = []

    def passed(self, call: Call, result: object) -> object:
        import jax

        if not call.path:
            return result
        flat, tree = jax.tree_util.tree_flatten(result)
        named = [((call.path, call.occurrence, place), leaf) for place, leaf in enumerate(flat)]
        return jax.tree_util.tree_unflatten(tree, [self._shifted(call, *each) for each in named])

    def _shifted(self, call: Call, key: Key, value: object) -> object:
        import jax

        shifts = self._shifts
        shiftable = key in shifts if shifts is not None else not isinstance(value, jax.core.Tracer)
        if not shiftable or not self.is_new(value):
            return value
        if shifts is not None:
            value = _masked_as(value, value + shifts[key])
        self.keys.append(key)
        self.keep(call, value)
        return value


def _masked_as(value: object, other: object) -> object:
    """`other` with the mask of `value`."""
    mask = getattr(value, "_keras_mask", None)  # an attribute up to Keras 3.5
    if mask is not None:
        other._keras_mask = mask
        return other
    try:
        from keras.src.backend.common.masking import get_keras_mask, set_keras_mask
    except ImportError:  # private, and new in Keras 3.6: seen there and in 3.15.1
        return other
    if get_keras_mask(value) is not None:
        set_keras_mask(other, get_keras_mask(value))
    return other


class _Jax:
    """By differentiating a function of the weights and of the shifts, traced once."""

    def __init__(self, trainee: Trainee) -> None:
        self._trainee = trainee
        self._shifts: Optional[Dict[Key, object]] = None
        self._seen = _Shifted(trainee.framework)
        self._function: Optional[Callable] = None

    def __call__(self, parts: tuple) -> Slopes:
        import jax

        if self._function is None:
            # also builds what is built by its first use: no variable may begin in a trace
            with tapped(self._seen):
                _scored(self._trainee, parts)
            results = zip(self._seen.keys, self._seen.results)
            self._shifts = {key: jax.numpy.zeros_like(result) for key, result in results}
            self._function = jax.jit(jax.value_and_grad(self._loss, argnums=(0, 1), has_aux=True))
        trained, others = ([variable.value for variable in group] for group in self._variables())
        (loss, (predicted, forward)), (slopes, backward) = self._function(
            trained, self._shifts, others, parts
        )
        by_variable = iter(slopes)
        variables = self._trainee.trainable()
        gradients = [None if variable is None else next(by_variable) for variable in variables]
        shifted = [backward[key] for key in self._seen.keys]
        return Slopes(loss, predicted, self._seen.layers, forward, shifted, gradients)

    def _variables(self) -> tuple:
        """What is trained, and all other state."""
        trained = [variable for variable in self._trainee.trainable() if variable is not None]
        known = {id(variable) for variable in trained}
        return trained, [each for each in self._trainee.model.variables if id(each) not in known]

    def _loss(self, trained: list, shifts: Dict[Key, object], others: list, parts: tuple) -> tuple:
        variables = self._variables()
        pairs = [*zip(variables[0], trained), *zip(variables[1], others)]
        self._seen = seen = _Shifted(self._trainee.framework, shifts)
        scope = self._trainee.framework.keras.StatelessScope(state_mapping=pairs, collect_losses=True)
        with scope, tapped(seen):
            predicted, loss = _scored(self._trainee, parts)
        return loss, (predicted, seen.results)
