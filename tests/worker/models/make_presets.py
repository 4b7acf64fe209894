"""Saves presets with the KerasHub of a folder: `python make_presets.py PACKAGES FOLDER`."""

import shutil
import sys
from pathlib import Path

sys.path.append(sys.argv[1])

import keras
import keras_hub
import numpy as np

INPUTS = {
    "token_ids": np.arange(24).reshape(2, 12) % 50,
    "segment_ids": np.zeros((2, 12), int),
    "padding_mask": np.ones((2, 12), int),
}


def make(folder: Path) -> None:
    keras.utils.set_random_seed(1)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=50,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=12,
    )
    task = keras_hub.models.BertTextClassifier(backbone=backbone, num_classes=3, preprocessor=None)
    backbone.save_to_preset(str(folder / "backbone"))
    task.save_to_preset(str(folder / "task"))
    shutil.copytree(folder / "task", folder / "headless")
    (folder / "headless" / "task.weights.h5").unlink()
    np.save(folder / "expected.npy", task.predict(INPUTS, verbose=0))


if __name__ == "__main__":
    make(Path(sys.argv[2]))
