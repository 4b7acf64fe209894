"""Models as Keras saves them, in the parts that the catalogue reads."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path


def layer(name: str, class_name: str, *before: str, **config: object) -> dict[str, object]:
    """One layer of a functional model of Keras 3."""
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [each, 0, 0]}} for each in before
    ]
    given = tensors if len(tensors) > 1 else tensors[:1]
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "registered_name": None,
        "name": name,
        "config": {"name": name, "dtype": "float32", **config},
        "inbound_nodes": [{"args": [given] if len(tensors) > 1 else given, "kwargs": {}}],
    }


def own(name: str, class_name: str, *before: str, **config: object) -> dict[str, object]:
    """One layer of the user's own code."""
    return {
        **layer(name, class_name, *before, **config),
        "module": "my.layers",
        "registered_name": "my>" + class_name,
    }


def model(*layers: dict[str, object], **more: object) -> dict[str, object]:
    """A functional model."""
    config = {"name": "model", "layers": list(layers), "input_layers": [["ids", 0, 0]], "output_layers": []}
    return {"module": "keras.src.models.functional", "class_name": "Functional", "config": config, **more}


def residual() -> dict[str, object]:
    """Masked embeddings, a residual and a reader."""
    return model(
        layer("ids", "InputLayer", dtype="int32"),
        layer("words", "Embedding", "ids", mask_zero=True),
        layer("mix", "Dense", "words"),
        layer("merge", "Add", "words", "mix"),
        layer("reader", "LSTM", "merge", dropout=0.0, recurrent_activation="sigmoid"),
    )


def archive(path: Path, config: dict[str, object], version: str = "3.3.3") -> Path:
    """A `.keras` file without weights."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version}))
        file.writestr("config.json", json.dumps(config))
    return path
