"""The signatures in a `saved_model.pb`, read without TensorFlow: four messages of its protocol buffers.

Field numbers: https://github.com/tensorflow/tensorflow/blob/v2.17.1/tensorflow/core/protobuf/saved_model.proto,
meta_graph.proto, and core/framework/tensor_shape.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from validator.documents import read_bytes

#: `DataType` of tensorflow/core/framework/types.proto.
_DTYPES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
_MOST = 2 << 30
_META_GRAPHS, _META_INFO, _SIGNATURES, _VERSION, _INPUTS, _KEY, _VALUE = 2, 1, 5, 5, 1, 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class SignatureInput:
    """One input of a signature. `shape` has the batch axis; None where the rank is unknown."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class SavedModelFile:
    """What is read of a SavedModel. `tensorflow`: the version that wrote it, empty where it does not say."""

    signatures: Mapping[str, tuple[SignatureInput, ...]]
    tensorflow: str


def read_saved_model(folder: Path) -> SavedModelFile:
    """Read the signatures of a SavedModel, without loading it.

    Raises:
        OSError: there is no saved_model.pb.
        ValueError: it is torn.
    """
    signatures: dict[str, tuple[SignatureInput, ...]] = {}
    tensorflow = ""
    for graph in _messages(read_bytes(folder / "saved_model.pb", _MOST), _META_GRAPHS):
        for about in _messages(graph, _META_INFO):
            tensorflow = next((text.decode() for text in _messages(about, _VERSION)), tensorflow)
        for entry in _messages(graph, _SIGNATURES):
            name, signature = _entry(entry)
            inputs = tuple(_input(each) for each in _messages(signature, _INPUTS))
            if not name.startswith("__"):
                signatures[name] = inputs
    return SavedModelFile(signatures, tensorflow)


def _input(entry: bytes) -> SignatureInput:
    """`TensorInfo`: dtype 2, tensor_shape 3; of a shape dim 2 and unknown_rank 3; of a dim size 1."""
    name, info = _entry(entry)
    number = next((value for field, value in _fields(info) if field == 2 and isinstance(value, int)), 0)
    shape: tuple[int | None, ...] | None = ()
    for described in _messages(info, 3):
        unknown = any(field == 3 and value for field, value in _fields(described))
        shape = None if unknown else tuple(_size(dim) for dim in _messages(described, 2))
    return SignatureInput(name, _DTYPES.get(number, ""), shape)


def _size(dim: bytes) -> int | None:
    size = next((value for field, value in _fields(dim) if field == 1 and isinstance(value, int)), 0)
    return None if size >= 1 << 63 else size  # -1 as an unsigned number


def _entry(entry: bytes) -> tuple[str, bytes]:
    """The key and the value of an entry of a map."""
    key, value = b"", b""
    for number, content in _fields(entry):
        if isinstance(content, bytes):
            key, value = (content, value) if number == _KEY else (key, content)
    return key.decode("utf-8", "replace"), value


def _messages(message: bytes, number: int) -> Iterator[bytes]:
    return (value for field, value in _fields(message) if field == number and isinstance(value, bytes))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Every field of a message: its number, and its number or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        length = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _BYTES:
            length, at = _varint(message, at)
        if length is None or at + length > len(message):
            raise ValueError("its saved_model.pb is torn")
        yield number, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
    raise ValueError("its saved_model.pb is torn")
