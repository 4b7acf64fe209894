"""Rebuilds recorded calls of the baseline, masks included, for the layers of this model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from keras_capture.failures import UnusableError
from keras_capture.model.feeding import to_backend
from keras_capture.model.imports import Framework
from keras_capture.model.structures import located
from keras_capture.structure.tapping import parameters_of, tensors_of
from keras_capture.structure.task import FILE
from keras_capture.wire.files import read_json
from keras_capture.wire.tensors import stored


class Recorded:
    """What the baseline's task `layers` recorded; `folder` is that of its job."""

    def __init__(self, framework: Framework, folder: Path) -> None:
        document = read_json(folder / "layers" / FILE)
        self.framework = framework
        self.calls = document["calls"]
        self.traced = document["mode"] == "traced" and framework.on_tensorflow
        self._tensors = document["tensors"]
        self._folder = folder

    def is_kept(self, place: int) -> bool:
        """Whether the values of a tensor were kept."""
        return self._tensors[place]["stored"] is not None

    def hash(self, place: int) -> Optional[str]:
        """The hash of a tensor's values; None where it had none."""
        summary = self._tensors[place]["summary"]
        return summary and summary["hash"]

    def values(self, place: int) -> object:
        """The recorded values of a tensor: an array, or `Ragged`."""
        tensor = self._tensors[place]
        if tensor["stored"] is None:
            why = "it belongs to the body of a loop" if tensor["inner"] else "it is larger than the budget"
            raise UnusableError(f"a tensor {tensor['dtype']} {tensor['shape']} was not recorded: {why}")
        return stored(self._folder, tensor["stored"]).whole()


def rebuild(recorded: Recorded, call: dict, owner: object) -> Callable[[], Dict[str, object]]:
    """A recorded call made by a layer of this model, traced if the baseline was: path → tensor."""
    order = tensors_of(argument["value"] for argument in call["arguments"])
    places = {number: place for place, number in enumerate(dict.fromkeys(order))}
    tensors = [to_backend(recorded.framework, recorded.values(number)) for number in places]
    accepted = _accepted(owner)

    def arguments(given: List[object]) -> Tuple[list, dict]:
        positional, named = [], {}
        for argument in call["arguments"]:
            name, tree = argument["name"], argument["value"]
            if argument["positional"]:
                positional.append(_value(tree, given, places))
            elif name != "training" and tree != {"v": None} and (accepted is None or name in accepted):
                named[name] = _value(tree, given, places)
        if accepted is not None and "training" in accepted[len(positional) :]:
            named["training"] = False
        return positional, named

    arguments(tensors)  # what cannot be rebuilt shows now

    def make(given: List[object]) -> object:
        positional, named = arguments(given)
        return owner(*positional, **named)

    if recorded.traced:
        import tensorflow

        arguments = tensorflow.autograph.experimental.do_not_convert(arguments)
        make = tensorflow.function(make)
    return lambda: {"".join(f"/{part}" for part in path): leaf for path, leaf in located(make(tensors))}


def _value(tree: dict, given: List[object], numbers: Dict[int, int]) -> object:
    if "t" in tree:
        tensor = given[numbers[tree["t"]]]
        if "m" in tree:  # where Keras looks for it: 2.15, tf_keras 2.17, 3.3.3 to 3.15.1
            tensor._keras_mask = given[numbers[tree["m"]]]
        return tensor
    if "dict" in tree:
        return {key: _value(item, given, numbers) for key, item in tree["dict"].items()}
    for kind in (list, tuple):
        if kind.__name__ in tree:
            return kind(_value(item, given, numbers) for item in tree[kind.__name__])
    if "f" in tree:
        return float(tree["f"])
    if "v" in tree:
        return tree["v"]
    raise UnusableError(f"an argument is a {tree.get('opaque')}, which is not recorded")


def _accepted(owner: object) -> Optional[List[str]]:
    """Names of the arguments that a layer's call takes; None where it takes any."""
    parameters = parameters_of(owner)
    if parameters is None or any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    return [parameter.name for parameter in parameters]
