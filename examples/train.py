"""Trains the example models and writes their artifacts and recordings: `python examples/train.py [NAME ...]`.

Run it with the oldest Keras that the artifacts shall load in: a .keras file loads forward only.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import keras
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent


class Trained(NamedTuple):
    """A compiled model as it is exported, and what is recorded beside it."""

    model: keras.Model
    inputs: dict[str, np.ndarray]
    labels: np.ndarray


def train_digits() -> Trained:
    from digits import data, model

    kept, held_out = data.load()
    trained = model.build()
    trained.fit(kept.images, kept.digits, epochs=20, batch_size=32, verbose=2)
    return Trained(_fresh(model.build(), trained), {"image": held_out.images}, held_out.digits)


def train_translator() -> Trained:
    from translator import data, model

    pairs, recorded = data.training(), data.recorded()
    trained = model.build()
    trained.fit([pairs.source, pairs.target], pairs.labels, epochs=6, batch_size=64, verbose=2)
    inputs = {"source": recorded.source, "target": recorded.target}
    return Trained(_fresh(model.build(), trained), inputs, recorded.labels)


def train_llama() -> Trained:
    from llama import data, model

    stories, recorded = data.training(), data.recorded()
    trained = model.build(precision="float32")  # bfloat16 is too coarse for small steps
    trained.fit(stories.ids, stories.labels, epochs=4, batch_size=64, verbose=2)
    return Trained(_fresh(model.build(), trained), {"ids": recorded.ids}, recorded.labels)


def _fresh(model: keras.Model, trained: keras.Model) -> keras.Model:
    """The model with the trained weights and an optimizer that has no state yet, a third of the size."""
    model.set_weights(trained.get_weights())
    return model


def export(name: str, trained: Trained) -> None:
    """Writes the four files of the example, reads the model back, and prints what the framework reports."""
    folder = HERE / name
    trained.model.save(folder / "model.keras")
    trained.model.save_weights(folder / "model.weights.h5")
    np.savez_compressed(folder / "inputs.npz", **trained.inputs)
    np.savez_compressed(folder / "labels.npz", labels=trained.labels)
    again = keras.saving.load_model(folder / "model.keras")
    again.evaluate(list(trained.inputs.values()), trained.labels, batch_size=32, verbose=2)


TRAINERS: dict[str, Callable[[], Trained]] = {
    "digits": train_digits,
    "translator": train_translator,
    "llama": train_llama,
}


def main(names: list[str]) -> None:
    unknown = sorted(set(names) - set(TRAINERS))
    if unknown:
        sys.exit(f"There is no example {unknown[0]!r}; choose from {', '.join(TRAINERS)}.")
    for name in names or list(TRAINERS):
        keras.utils.set_random_seed(1)
        started = time.monotonic()
        export(name, TRAINERS[name]())
        print(f"{name}: {time.monotonic() - started:.0f} s with Keras {keras.__version__}")


if __name__ == "__main__":
    main(sys.argv[1:])
