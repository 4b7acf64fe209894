"""What is read of a builder's source: the function and what it uses, and how that is compiled."""

from __future__ import annotations

from pathlib import Path

from validator.catalogue.description import UNKNOWN
from validator.catalogue.reading import read_builder

SOURCE = """
import keras

def head():
    return keras.layers.Dense(3)

def regression():
    model = keras.Sequential([head()])
    model.compile("sgd", loss="mse", weighted_metrics=[keras.metrics.MeanIoU(2)])
    return model

def named():
    model = keras.Sequential([head()])
    loss = keras.losses.BinaryCrossentropy()
    model.compile(loss=loss)
    return model

def given(loss):
    model = keras.Sequential([head()])
    model.compile(keras.optimizers.SGD(use_ema=True), loss=loss)
    return model

def twice():
    model = regression()
    model.compile(loss="mae")
    return model

def helped(**options):
    model = keras.Sequential([head()])
    model.compile(loss="mse", **options)
    return model

def calls_the_helper():
    return helped(metrics=["accuracy"], loss_weights=[1.0])

def bare():
    return keras.Sequential([keras.layers.LSTM(3)])
"""


def test_a_builder_is_read_without_the_others_of_its_module(tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    path.write_text(SOURCE)
    regression = read_builder(path, "regression")
    assert [layer.class_name for layer in regression.layers if layer.class_name in ("Dense", "LSTM")] == [
        "Dense"
    ]
    assert regression.compiled is not None
    assert (regression.compiled.losses, regression.compiled.metrics) == (("mse",), ("MeanIoU",))
    assert read_builder(path, "bare").compiled is None


def test_what_is_computed_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    path.write_text(SOURCE)
    given = read_builder(path, "given").compiled
    assert given is not None
    assert (given.losses, given.optimizer, given.settings) == ((UNKNOWN,), "SGD", {"use_ema": True})
    assert read_builder(path, "twice").compiled is None
    assert read_builder(path, "helped").compiled is None


def test_a_helper_is_followed_to_what_it_is_called_with(tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    path.write_text(SOURCE)
    helped = read_builder(path, "calls_the_helper")
    assert helped.compiled is not None
    assert (helped.compiled.losses, helped.compiled.metrics) == (("mse",), ("accuracy",))
    assert "loss-weights" in helped.features


def test_a_loss_is_followed_to_where_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "models.py"
    path.write_text(SOURCE)
    named = read_builder(path, "named").compiled
    assert named is not None
    assert named.losses == ("BinaryCrossentropy",)
