"""A model's file → what each of its inputs takes: shape, dtype, the ids or words it knows, padding.

Nothing is loaded or run. What a file does not say is a sentence, not a guess.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from validator.catalogue.description import DescribedLayer, Description
from validator.catalogue.reading import read_description
from validator.documents import read_bytes
from validator.errors import ConfigurationError
from validator.inputs.savedmodel import read_saved_model

#: What the values of an input mean, by the first layer that reads them.
Meaning = Literal["number", "id", "text", "pixel", "mask", "flag"]
_TEXT_LAYERS = frozenset({"TextVectorization", "StringLookup", "Hashing"})
#: Layers that hand their input on, so that the layer behind them says what it means.
_PASSING = frozenset(
    {"InputLayer", "Reshape", "Flatten", "Masking", "Cast", "Permute", "Identity", "Functional", "Sequential"}
)
_VOCABULARY_KEYS = ("input_dim", "num_tokens", "vocabulary_size", "vocab_size", "max_tokens", "num_bins")
_MOST_WORDS = 64 << 20


@dataclass(frozen=True)
class Input:
    """One input of a model.

    Attributes:
        name: as the worker maps recorded tensors to it: a key of a dict, or the name of its layer.
        layer: the name of its layer; empty where that is the name.
        shape: of one sample; None for an axis of any length.
        dtype: NumPy's name, or `string`.
        meaning: what the values are.
        high: ids run from 0 to below it; None where it is not known.
        words: what a text layer knows, in its order; empty where it is not known.
        padded_with: the value of a masked step; None where nothing masks.
        batch: the only batch size that is taken; None for any.
        declared: whether the file gives the dtype; otherwise it is what the first layer suggests.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str = "float32"
    meaning: Meaning = "number"
    high: int | None = None
    words: tuple[str, ...] = field(default=(), repr=False)
    padded_with: float | None = None
    batch: int | None = None
    layer: str = ""
    declared: bool = True


@dataclass(frozen=True)
class Specification:
    """The inputs of a model, and what had to be assumed about them, a sentence each.

    `nested`: they are a structure within a structure, whose paths are the names that count.
    """

    inputs: tuple[Input, ...]
    assumed: tuple[str, ...] = ()
    nested: bool = False

    @property
    def batch(self) -> int | None:
        """The batch size that the model insists on."""
        return next((each.batch for each in self.inputs if each.batch), None)


def read_specification(artifact: Path, signature: str = "serving_default") -> Specification:
    """What the inputs of a `.keras`, `.h5` or SavedModel take.

    Raises:
        ConfigurationError: the file cannot be read, or does not say; the sentence says what is missing.
    """
    if artifact.is_dir() and (artifact / "saved_model.pb").is_file():
        return _of_signature(artifact, signature)
    description = read_description(artifact)
    inputs = tuple(_Reader(description, artifact).inputs())
    if not inputs:
        kind = str(description.config.get("class_name", "model"))
        raise ConfigurationError(
            f"{artifact}: the file does not say what its inputs are ({kind} is subclassed); record them: "
            '`with record(model, "inputs"): model.predict(…)`'
        )
    return Specification(inputs, tuple(_assumed(inputs)), _is_nested(description.config))


def _is_nested(config: Mapping[str, object]) -> bool:
    """Whether a model is made of dicts or lists of inputs within one another."""
    inner = config.get("config")
    ends = inner.get("input_layers") if isinstance(inner, Mapping) else None
    if not isinstance(ends, list | Mapping) or _is_end(ends):
        return False
    return not all(map(_is_end, ends.values() if isinstance(ends, Mapping) else ends))


def _is_end(value: object) -> bool:
    """Whether it names a layer's output: `[layer, call, tensor]`."""
    return isinstance(value, list) and [type(part) for part in value[:2]] == [str, int]


def _of_signature(folder: Path, signature: str) -> Specification:
    try:
        signatures = read_saved_model(folder).signatures
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{folder}: {error}; export the model again") from None
    if signature not in signatures and "serve" in signatures:
        signature = "serve"
    if not signatures.get(signature):
        known = ", ".join(sorted(signatures)) or "none"
        raise ConfigurationError(
            f"{folder}: no signature {signature!r} with inputs (it has {known}); name one under `signature`"
        )
    inputs = []
    for each in sorted(signatures[signature], key=lambda entry: entry.name):
        if each.shape is None or not each.dtype or not each.shape:
            raise ConfigurationError(
                f"{folder}: the input {each.name!r} has no known shape; record inputs instead"
            )
        meaning = _plain_meaning(each.name, each.dtype)
        inputs.append(Input(each.name, each.shape[1:], each.dtype, meaning, batch=each.shape[0]))
    return Specification(tuple(inputs), tuple(_assumed(inputs)))


def _assumed(inputs: Sequence[Input]) -> Iterator[str]:
    for each in inputs:
        if each.meaning == "id" and each.high is None:
            yield f"no layer says how many ids {each.name!r} has: 0 to 9 are used"
        if each.meaning == "text" and not each.words:
            yield f"no vocabulary is in the file: {each.name!r} is filled with common English words"


@dataclass(frozen=True)
class _Reader:
    """Follows each input to the first layer that says what its values mean."""

    description: Description
    artifact: Path

    def inputs(self) -> Iterator[Input]:
        layers = self.description.layers
        ends = [layer for layer in layers if layer.class_name == "InputLayer" and "/" not in layer.name]
        if not ends and layers and _batch_shape(layers[0]):
            ends = [layers[0]]  # a Sequential of Keras 2 keeps it in its first layer
        for layer in ends:
            shape = _batch_shape(layer)
            if shape:
                name = layer.name if layer.class_name == "InputLayer" else f"{layer.name}_input"
                yield self._input(layer, name, shape)

    def _input(self, layer: DescribedLayer, name: str, shape: tuple[int | None, ...]) -> Input:
        readers = list(self._readers(layer))
        dtype = layer.dtype if layer.class_name == "InputLayer" else _dtype_read(readers)
        dtype = dtype or "float32"
        sample = shape[1:]
        masking = next((each for each in readers if each.class_name == "Masking"), None)
        pad = _number(masking.config.get("mask_value")) if masking else None
        key = self._keys().get(name)
        base = Input(key or name, sample, dtype, _plain_meaning(name, dtype), padded_with=pad, batch=shape[0])
        base = replace(base, declared=layer.class_name == "InputLayer", layer=name if key else "")
        return self._meant(base, readers)

    def _keys(self) -> dict[str, str]:
        """Layer → key of the dict that the model is made of; empty where it is made of none."""
        inner = self.description.config.get("config")
        ends = inner.get("input_layers") if isinstance(inner, Mapping) else None
        if not isinstance(ends, Mapping):
            return {}
        return {str(end[0]): str(key) for key, end in ends.items() if isinstance(end, list) and end}

    def _meant(self, base: Input, readers: Sequence[DescribedLayer]) -> Input:
        for layer in readers:
            if base.dtype == "string":
                words = self._words(layer)
                return replace(base, meaning="text", words=words)
            high = _high(layer)
            if high is not None and base.meaning != "mask":
                pad = 0.0 if layer.config.get("mask_zero") else None
                return replace(base, meaning="id", high=high, padded_with=pad)
            scale = _number(layer.config.get("scale"))
            if layer.class_name == "Rescaling" and scale is not None and 0 < scale <= 0.02:
                return replace(base, meaning="pixel")
        if base.meaning == "id" and (high := self._only_vocabulary()) is not None:
            return replace(base, meaning="id", high=high, padded_with=0.0)
        return base

    def _readers(self, start: DescribedLayer) -> Iterator[DescribedLayer]:
        """The layers that an input reaches before its values become others, nearest first."""
        layers = self.description.layers
        if start.class_name != "InputLayer":
            yield start
        names, seen = [start.name], {start.name}
        linear = not any(layer.inputs for layer in layers)  # a Sequential: each layer feeds the next
        while names:
            name = names.pop(0)
            for position, layer in enumerate(layers):
                follows = linear and position > 0 and layers[position - 1].name == name
                if layer.name in seen or not (follows or name in layer.inputs):
                    continue
                seen.add(layer.name)
                yield layer
                if layer.class_name in _PASSING:
                    names.append(layer.name)
                    names += [inner.name for inner in layers if _enters(inner, layer)]

    def _only_vocabulary(self) -> int | None:
        """The smallest number of ids that any layer knows: safe for every one of them."""
        highs = [high for layer in self.description.layers if (high := _high(layer)) is not None]
        return min(highs, default=None)

    def _words(self, layer: DescribedLayer) -> tuple[str, ...]:
        saved = layer.config.get("vocabulary")
        if isinstance(saved, list):
            return tuple(str(word) for word in saved)
        texts = [each for each in self.description.layers if each.class_name in _TEXT_LAYERS]
        same = [each.name for each in texts if each.class_name == layer.class_name]
        number = same.index(layer.name) if layer.name in same else 0
        return _stored_words(self.artifact, layer.class_name, number)


def _enters(inner: DescribedLayer, model: DescribedLayer) -> bool:
    """Whether a layer is an entrance of a model within the model."""
    prefix, _, last = inner.name.rpartition("/")
    return bool(last) and prefix == model.name and inner.class_name == "InputLayer"


def _stored_words(artifact: Path, class_name: str, number: int) -> tuple[str, ...]:
    """The vocabulary of the layer of that class and number, which Keras 3 keeps as an asset of the file."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()
    expected = snake if number == 0 else f"{snake}_{number}"
    for folder, text in _assets(artifact):
        if expected in folder.split("/"):
            return tuple(text.splitlines())
    return next((tuple(text.splitlines()) for _, text in _assets(artifact)), ())


def _assets(artifact: Path) -> Iterator[tuple[str, str]]:
    if artifact.is_dir():
        for path in sorted(artifact.rglob("vocabulary.txt")):
            content = read_bytes(path, _MOST_WORDS).decode("utf-8", "replace")
            yield path.parent.relative_to(artifact).as_posix(), content
    elif zipfile.is_zipfile(artifact):
        with zipfile.ZipFile(artifact) as archive:
            for member in archive.infolist():
                if member.filename.endswith("vocabulary.txt") and member.file_size <= _MOST_WORDS:
                    content = archive.read(member).decode("utf-8", "replace")
                    yield member.filename.rpartition("/")[0], content


def _batch_shape(layer: DescribedLayer) -> tuple[int | None, ...]:
    saved = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
    if not isinstance(saved, list | tuple) or not saved:
        return ()
    return tuple(length if isinstance(length, int) else None for length in saved)


def _high(layer: DescribedLayer) -> int | None:
    """How many ids a layer takes."""
    if layer.class_name in _TEXT_LAYERS or layer.class_name == "InputLayer":
        return None
    if layer.class_name == "IntegerLookup":
        saved = layer.config.get("vocabulary")
        return len(saved) + 1 if isinstance(saved, list) else None
    if (
        layer.class_name not in ("Embedding", "CategoryEncoding", "ReversibleEmbedding")
        and not layer.own_code
    ):
        return None
    for key in _VOCABULARY_KEYS:
        value = layer.config.get(key)
        if isinstance(value, int) and value > 1:
            return value
    return None


def _dtype_read(readers: Sequence[DescribedLayer]) -> str:
    return "string" if any(layer.class_name in _TEXT_LAYERS for layer in readers[:1]) else "float32"


def _plain_meaning(name: str, dtype: str) -> Meaning:
    """What values are where no layer says so: by the dtype, and by the name of a mask."""
    if dtype == "string":
        return "text"
    if "mask" in name.lower():
        return "mask"
    if dtype == "bool":
        return "flag"
    if dtype == "uint8":
        return "pixel"
    return "id" if dtype.startswith(("int", "uint")) else "number"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
