"""Makes six projects below a folder, each as a team would have it: a model, its code, and sometimes data."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import numpy as np
import tensorflow as tf
from keras import layers

ROOT = Path(sys.argv[1])
RANDOM = np.random.default_rng(0)


def folder(name):
    path = ROOT / name
    path.mkdir(parents=True)
    (path / "requirements.txt").write_text("keras==3.3.3\ntensorflow-cpu==2.17.1\n")
    sys.path.insert(0, str(path))
    return path


def tabular():
    """Preprocessing layers and a dict of inputs; recorded inputs and labels lie beside the model."""
    place = folder("tabular")
    age, town = RANDOM.normal(40, 12, (200, 1)).astype("float32"), RANDOM.choice(["ab", "cd", "ef"], (200, 1))
    label = (age[:, 0] > 40).astype("int64")
    normal = layers.Normalization()
    normal.adapt(age)
    lookup = layers.StringLookup(vocabulary=["ab", "cd", "ef"], output_mode="one_hot")
    inputs = {"age": keras.Input((1,), name="age"), "town": keras.Input((1,), dtype="string", name="town")}
    joined = layers.Concatenate()([normal(inputs["age"]), lookup(inputs["town"])])
    output = layers.Dense(2, "softmax")(layers.Dense(16, "relu")(joined))
    model = keras.Model(inputs, output)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    features = {"age": tf.constant(age), "town": tf.constant(town)}
    model.fit(tf.data.Dataset.from_tensor_slices((features, label)).batch(32), epochs=3, verbose=0)
    model.save(place / "model.keras")
    np.savez(place / "inputs.npz", age=age, town=town)
    np.save(place / "labels.npy", label)


def image():
    place = folder("image")
    model = keras.Sequential(
        [
            layers.Input((32, 32, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(8, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, "softmax"),
        ]
    )
    model.save(place / "classifier.keras")


def text():
    place = folder("text")
    words = [f"word{number}" for number in range(400)]
    vector = layers.TextVectorization(max_tokens=402, output_sequence_length=20, vocabulary=words)
    entry = keras.Input((1,), dtype="string", name="review")
    hidden = layers.Embedding(402, 16, mask_zero=True)(vector(entry))
    hidden = layers.Bidirectional(layers.LSTM(8))(hidden)
    keras.Model(entry, layers.Dense(1, "sigmoid")(hidden)).save(place / "sentiment.keras")


def forecaster():
    place = folder("forecaster")
    entry = keras.Input((None, 4), name="history")
    hidden = layers.GRU(16)(layers.Masking()(entry))
    outputs = {"mean": layers.Dense(3, name="mean")(hidden), "spread": layers.Dense(3, "softplus")(hidden)}
    (place / "models").mkdir()
    keras.Model(entry, outputs).save(place / "models" / "forecast.keras")


CODE = '''
import keras
from keras import layers


@keras.saving.register_keras_serializable("acme")
class Ranker(keras.Model):
    """Two towers with a training step of their own."""

    def __init__(self, vocabulary=500, units=16, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary, self.units = vocabulary, units
        self.embedding = layers.Embedding(vocabulary, units, mask_zero=True)
        self.pool = layers.GlobalAveragePooling1D()
        self.top = layers.Dense(1)

    def call(self, ids):
        return self.top(self.pool(self.embedding(ids)))

    def train_step(self, data):
        return super().train_step(data)

    def get_config(self):
        return {**super().get_config(), "vocabulary": self.vocabulary, "units": self.units}
'''


def subclassed():
    """Nothing in the file says what it takes: the team records, as the documentation tells."""
    place = folder("subclassed")
    (place / "ranker").mkdir()
    (place / "ranker" / "__init__.py").write_text("")
    (place / "ranker" / "model.py").write_text(CODE)
    from ranker.model import Ranker

    model = Ranker()
    ids = RANDOM.integers(0, 500, (100, 12)).astype("int32")
    model.compile("sgd", "mse")
    model.fit(ids, ids[:, :1].astype("float32") / 500, verbose=0)
    sys.path.insert(0, sys.argv[2])
    from validator import record

    os.chdir(place)
    with record(model, "inputs"):
        model.predict(ids, verbose=0)
    model.save(place / "ranker.keras")


def savedmodel():
    place = folder("savedmodel")
    model = keras.Sequential([layers.Input((6,)), layers.Dense(8, "tanh"), layers.Dense(2)])
    model.export(place / "export")


for make in (tabular, image, text, forecaster, subclassed, savedmodel):
    keras.utils.set_random_seed(1)
    make()
