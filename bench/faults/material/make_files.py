"""Writes models and weights into the current folder, sound and spoilt. Runs in an environment with Keras."""

import json
import os
import shutil
import sys
import zipfile

import h5py
import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import keras
from planted import classifier, late

keras.utils.set_random_seed(3)
model = classifier()
model.compile("sgd", "sparse_categorical_crossentropy")
model.save_weights("sound.weights.h5")
model.save("sound.keras")
model.save("sound.h5")
unbuilt = late()
unbuilt(np.zeros((1, 8), "float32"))
unbuilt.save_weights("late.weights.h5")


def copied(name, edit, source="sound.weights.h5"):
    shutil.copy(source, name)
    with h5py.File(name, "r+") as file:
        edit(file)


def variable(file, layer, number="0"):
    path = f"layers/{layer}/vars"
    if path not in file:
        path = f"_layer_checkpoint_dependencies/{layer}/vars"
    return file[path], number


names = []
with h5py.File("sound.weights.h5") as file:
    file.visit(names.append)
stored = sorted(name for name in names if name.endswith("/0") and "optimizer" not in name)
hidden = next(name for name in stored if np.shape(h5py.File("sound.weights.h5")[name]) == (8, 16))
normal = next(name for name in stored if np.shape(h5py.File("sound.weights.h5")[name]) == (16,))


def replace(name, change):
    def edit(file):
        values = np.array(file[name])
        del file[name]
        changed = change(values)
        if changed is not None:
            file[name] = changed

    return edit


copied("variable-missing.weights.h5", replace(hidden, lambda v: None))
copied("layer-missing.weights.h5", lambda file: file.__delitem__(os.path.dirname(os.path.dirname(hidden))))
copied("variable-transposed.weights.h5", replace(hidden, lambda v: v.T.copy()))
copied("variable-wider.weights.h5", replace(hidden, lambda v: np.zeros((8, 17), "float32")))
copied("variable-flat.weights.h5", replace(hidden, lambda v: v.ravel()))
copied("variable-scalar.weights.h5", replace(hidden, lambda v: np.float32(1)))
copied("variable-text.weights.h5", replace(hidden, lambda v: b"text"))
copied("variable-nan.weights.h5", replace(hidden, lambda v: v * np.nan))
copied(
    "variable-extra.weights.h5", lambda file: file.__setitem__(os.path.dirname(hidden) + "/7", np.zeros(3))
)
copied("layer-extra.weights.h5", lambda file: file.__setitem__("layers/unknown/vars/0", np.zeros(3)))
copied("statistics-missing.weights.h5", lambda file: file.__delitem__(os.path.dirname(normal) + "/3"))
copied("variable-float64.weights.h5", replace(hidden, lambda v: v.astype("float64")))
copied("everything-missing.weights.h5", lambda file: [file.__delitem__(key) for key in list(file)])
whole = open("sound.weights.h5", "rb").read()
open("empty.weights.h5", "wb").close()
open("torn.weights.h5", "wb").write(whole[: len(whole) // 2])
open("torn-start.weights.h5", "wb").write(whole[:100])
open("text.weights.h5", "w").write("weights")
os.mkdir("folder.weights.h5")


def archive(name, edit, source="sound.keras"):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(name, "w") as new:
        for member in old.namelist():
            content = edit(member, old.read(member))
            if content is not None:
                new.writestr(member, content)


def weights_of(path):
    return lambda member, content: open(path, "rb").read() if member.endswith(".h5") else content


def configuration(change):
    def edit(member, content):
        if member != "config.json":
            return content
        value = json.loads(content)
        change(value)
        return json.dumps(value)

    return edit


def layers_of(value):
    return {layer["config"]["name"]: layer for layer in value["config"]["layers"]}


for spoilt in (
    "variable-missing",
    "layer-missing",
    "variable-transposed",
    "torn",
    "empty",
    "everything-missing",
    "statistics-missing",
):
    archive(f"{spoilt}.keras", weights_of(f"{spoilt}.weights.h5"))
archive("no-weights.keras", lambda member, content: None if member.endswith(".h5") else content)
archive("no-configuration.keras", lambda member, content: None if member == "config.json" else content)
archive(
    "configuration-torn.keras", lambda member, content: content[:50] if member == "config.json" else content
)
archive(
    "configuration-deep.keras", lambda member, content: b"[" * 10_000 if member == "config.json" else content
)
archive(
    "units-other.keras", configuration(lambda value: layers_of(value)["hidden"]["config"].update(units=17))
)
archive(
    "class-unknown.keras", configuration(lambda value: layers_of(value)["hidden"].update(class_name="Danse"))
)
archive(
    "activation-unknown.keras",
    configuration(lambda value: layers_of(value)["hidden"]["config"].update(activation="tahn")),
)
archive(
    "layer-renamed.keras", configuration(lambda value: layers_of(value)["hidden"]["config"].update(key="x"))
)
packed = open("sound.keras", "rb").read()
open("torn-zip.keras", "wb").write(packed[: len(packed) // 2])
open("empty-file.keras", "wb").close()
open("text.keras", "w").write("model")
os.mkdir("folder.keras")
open("archive-as.h5", "wb").write(packed)
open("weights-as.keras", "wb").write(whole)
shutil.copy("sound.h5", "torn.h5")
os.truncate("torn.h5", os.path.getsize("torn.h5") // 2)
copied("no-configuration.h5", lambda file: file.attrs.__delitem__("model_config"), "sound.h5")
