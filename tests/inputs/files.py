"""Model files as Keras writes them, made without Keras: a zip of JSON, and protocol buffers by hand."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def entry(name: str, shape: Sequence[int | None], dtype: str = "float32") -> Json:
    """An InputLayer of Keras 3; `shape` with the batch axis."""
    return layer("InputLayer", name, batch_shape=list(shape), dtype=dtype)


def layer(class_name: str, name: str, before: Sequence[str] = (), **config: object) -> Json:
    """A layer of Keras 3 behind others."""
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [each, 0, 0]}} for each in before
    ]
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": name, **config},
        "registered_name": None,
        "name": name,
        "inbound_nodes": [{"args": tensors, "kwargs": {}}] if tensors else [],
    }


def functional(*layers: Json, ends: object = None, **more: object) -> Json:
    """The configuration of a functional model."""
    names = [each["name"] for each in layers if each["class_name"] == "InputLayer"]
    config = {
        "name": "model",
        "layers": list(layers),
        "input_layers": ends or [[name, 0, 0] for name in names],
    }
    return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": None, **more}


def write_keras(
    path: Path, config: Json, keras: str = "3.3.3", assets: Mapping[str, str] | None = None
) -> Path:
    """A `.keras` file without weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": keras}))
        for name, text in (assets or {}).items():
            archive.writestr(name, text)
    return path


def write_saved_model(folder: Path, inputs: Mapping[str, tuple[int, Sequence[int]]], tensorflow: str) -> Path:
    """A SavedModel with one signature; inputs: name → (number of the dtype, shape with -1)."""
    entries = b""
    for name, (dtype, shape) in inputs.items():
        dims = b"".join(_message(2, _varint(1, size)) for size in shape)
        info = _message(1, f"{name}:0".encode()) + _varint(2, dtype) + _message(3, dims)
        entries += _message(1, _message(1, name.encode()) + _message(2, info))
    signature = _message(1, b"serving_default") + _message(2, entries)
    graph = _message(1, _message(5, tensorflow.encode())) + _message(5, signature)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(_varint(1, 1) + _message(2, graph))
    return folder


def _message(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _varint(number: int, value: int) -> bytes:
    return _number(number << 3) + _number(value & 0xFFFFFFFFFFFFFFFF)


def _number(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
