"""Runs in a Keras environment: records every kind of data, and prints one JSON object of what came out."""

import json
import os
import sys
import warnings
from pathlib import Path

root, folder = sys.argv[1], Path(sys.argv[2])
sys.path.insert(0, root)
from validator import record  # noqa: E402

before = sorted(name for name in sys.modules if name.startswith("validator"))
light = not {"pydantic", "typer", "yaml"} & set(sys.modules)
if os.environ.get("TF_USE_LEGACY_KERAS"):
    import tf_keras as keras
else:
    import keras
import numpy as np  # noqa: E402

keras.utils.set_random_seed(1)
x = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
y = (np.arange(500) % 3).astype(np.int64)
entry = keras.layers.Input((4,))
model = keras.Model(entry, keras.layers.Dense(3, activation="softmax")(keras.layers.Dense(8)(entry)))
model.compile("sgd", "sparse_categorical_crossentropy")
dataset_class = getattr(keras.utils, "PyDataset", None) or keras.utils.Sequence


class Batches(dataset_class):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return x[index * 50 : index * 50 + 50], y[index * 50 : index * 50 + 50]


def generated():
    for start in range(0, 500, 50):
        yield (x[start : start + 50],)


def values(name):
    return np.load(folder / name / "0.npy")


def same(name, data, expected):
    """Predict with and without a recorder, and compare bits and what was recorded."""
    alone = model.predict(data(), verbose=0)
    with record(model, folder / name, samples=500) as recorder:
        watched = model.predict(data(), verbose=0)
    return {
        "same": bool((alone == watched).all()),
        "recorded": bool((values(name) == expected).all()),
        "failure": recorder.failure,
        "left": "predict" in model.__dict__,
    }


results = {"light": light, "modules": before}
results["arrays"] = same("arrays", lambda: x, x)
results["sequence"] = same("sequence", Batches, x)
results["generator"] = same("generator", generated, x)
if keras.__name__ == "tf_keras" or keras.__version__ < "3" or keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    results["tf.data"] = same("tfdata", lambda: tf.data.Dataset.from_tensor_slices((x, y)).batch(32), x)
    results["tensor"] = same("tensor", lambda: tf.constant(x), x)
    words = np.array(["a b", "c", "a c d", ""] * 20)
    text = keras.layers.TextVectorization(
        output_mode="int", output_sequence_length=4, vocabulary=list("abcd")
    )
    reader = keras.Sequential([text, keras.layers.Embedding(6, 3), keras.layers.GlobalAveragePooling1D()])
    strings = tf.data.Dataset.from_tensor_slices(words).batch(8)
    alone = reader.predict(strings, verbose=0)
    with record(reader, folder / "strings", samples=80):
        watched = reader.predict(strings, verbose=0)
    results["strings"] = {"same": bool((alone == watched).all())}

    ragged = tf.data.Dataset.from_tensors(tf.ragged.constant([[1, 2], [], [3]] * 5))
    recorder = record(None, folder / "ragged")
    for batch in ragged:
        recorder.add(batch)
    recorder.save()
    results["ragged"] = {"failure": recorder.failure}
if keras.__version__ >= "3" and keras.backend.backend() == "torch":
    import torch

    loaded = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), batch_size=50
    )
    results["loader"] = same("loader", lambda: loaded, x)

with record(model, folder / "evaluated", samples=40):
    reported = model.evaluate(x, y, verbose=0)
results["evaluate"] = {"same": reported == model.evaluate(x, y, verbose=0)}
weights = [np.array(each) for each in model.get_weights()]
with warnings.catch_warnings(record=True) as caught, record(model, folder / "fitted", samples=500):
    model.fit(Batches(), epochs=2, verbose=0, validation_data=(x[:20], y[:20]))
results["fit"] = {"recorded": bool((np.sort(values("fitted"), 0) == np.sort(x, 0)).all())}
recorder = record(None, folder / "callback", samples=500)
model.fit(x, y, epochs=2, verbose=0, callbacks=[recorder.callback()])
results["callback"] = {"recorded": bool((values("callback") == x).all()), "failure": recorder.failure}
recorder = record(None, folder / "callback-evaluate", samples=500)
model.evaluate(Batches(), verbose=0, callbacks=[recorder.callback()])
results["callback-evaluate"] = {"failure": recorder.failure}
model.save(folder / "model.keras")
results["saved"] = (folder / "model.keras").is_file()
print(json.dumps(results))
