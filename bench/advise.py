"""What `keras-validator advise` takes for a model of 300 layers, as a command, with no Keras installed."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

LAYERS = 300
_KINDS = (
    "Embedding", "MultiHeadAttention", "Add", "LayerNormalization", "Dense", "Dropout", "LSTM",
    "BatchNormalization",
)  # fmt: skip


def model_file(folder: Path, layers: int = LAYERS) -> Path:
    """A `.keras` file with the configuration of a model as Keras 3.3.3 writes it, without weights."""
    made = [_layer(number) for number in range(layers)]
    ends = {"input_layers": [["layer_0", 0, 0]], "output_layers": [[f"layer_{layers - 1}", 0, 0]]}
    config = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "config": {"name": "model", "trainable": True, "layers": made, **ends},
        "registered_name": "Functional",
        "compile_config": {"optimizer": "adam", "loss": "mse", "metrics": ["accuracy"]},
    }
    path = folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.3.3"}))
    return path


def _layer(number: int) -> dict[str, object]:
    kind, name, shape = _KINDS[number % len(_KINDS)], f"layer_{number}", [None, 64, 64]
    history = {"shape": shape, "dtype": "float32", "keras_history": [f"layer_{number - 1}", 0, 0]}
    initializer = {"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": None}}
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    return {
        "module": "keras.layers",
        "class_name": kind,
        "config": {
            "name": name,
            "dtype": policy,
            "units": 64,
            "mask_zero": kind == "Embedding",
            "kernel_initializer": initializer,
        },
        "registered_name": None,
        "build_config": {"input_shape": shape},
        "name": name,
        "inbound_nodes": [{"args": [{"class_name": "__keras_tensor__", "config": history}], "kwargs": {}}],
    }


def main(rounds: int = 9) -> None:
    """Print the seconds of the command, and of the processor."""
    import resource

    seconds, spent = [], []
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "validator", "advise", str(model_file(Path(scratch)))]
        for _ in range(rounds):
            began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds.append(time.perf_counter() - began)
            spent.append(after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime)
    wall, processor = statistics.median(seconds), statistics.median(spent)
    print(f"advise, {LAYERS} layers: {wall:.2f} s, {processor:.2f} s of one processor (target 1)")
