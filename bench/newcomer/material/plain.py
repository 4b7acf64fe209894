"""What a person would write: load, predict, save. `python plain.py model inputs-folder out.npz [module]`."""

import importlib
import itertools
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf

artifact, folder, out = sys.argv[1:4]
sys.path.insert(0, "")
for module in sys.argv[4:]:
    importlib.import_module(module)


def tensors(place):
    """Named arrays of an .npz or a recording."""
    if place.is_file():
        return dict(np.load(place))
    arrays = {}
    for entry in json.loads((place / "manifest.json").read_text())["tensors"]:
        if entry["storage"] == "utf8":
            content = (place / entry["path"]).read_bytes()
            ends = np.load(place / entry["offsets"])
            items = [content[low:high].decode() for low, high in itertools.pairwise(ends)]
            arrays[entry["name"]] = np.array(items).reshape(entry["shape"])
        else:
            arrays[entry["name"]] = np.load(place / entry["path"])
    return arrays


arrays = {name: tf.constant(values) for name, values in tensors(Path(folder)).items()}
values = arrays if len(arrays) > 1 else next(iter(arrays.values()))
if Path(artifact).is_dir():
    predicted = tf.saved_model.load(artifact).signatures["serving_default"](**arrays)
else:
    model = keras.models.load_model(artifact)
    predicted = model.predict(tf.data.Dataset.from_tensor_slices(values).batch(32), verbose=0)
named = predicted if isinstance(predicted, dict) else {"output": predicted}
np.savez(out, **{name: np.asarray(value) for name, value in named.items()})
