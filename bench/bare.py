"""The yardstick of `bench.cells`: import Keras, load, predict, save, no more. Runs inside an environment.

python bare.py EXAMPLES OUTPUT MODEL[:float32] …
"""

import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np

examples, output = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(examples))
legacy = os.environ.get("TF_USE_LEGACY_KERAS") == "1"
if legacy:
    import tf_keras as keras
else:
    import keras

for wanted in sys.argv[3:]:
    name, _, precision = wanted.partition(":")
    folder = examples / name
    if legacy or precision:
        arguments = {"precision": precision} if precision else {}
        model = import_module(f"{name}.model").build(**arguments)
        model.load_weights(str(folder / "model.weights.h5"))
    else:
        if (folder / "layers.py").exists():
            import_module(f"{name}.layers")
        model = keras.models.load_model(str(folder / "model.keras"))
    with np.load(folder / "inputs.npz") as recorded:
        inputs = {key: recorded[key] for key in recorded.files}
    fed = inputs if len(inputs) > 1 else next(iter(inputs.values()))
    predicted = model.predict(fed, batch_size=32, verbose=0)
    np.save(output / f"{wanted.replace(':', '-')}.npy", np.asarray(predicted, np.float32))
