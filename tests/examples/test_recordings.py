"""What the shipped artifacts and recordings must hold, so that the examples show what they are there for."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml

from validator.config.settings import ModelSettings, Settings

if TYPE_CHECKING:
    from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"
NAMES = ("digits", "translator", "llama")
LIMIT = 3_000_000  # bytes; the examples are cloned by everybody


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def inputs(name: str) -> dict[str, np.ndarray]:
    return load(EXAMPLES / name / "inputs.npz")


def labels(name: str) -> np.ndarray:
    (only,) = load(EXAMPLES / name / "labels.npz").values()
    return only


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings.model_validate(yaml.safe_load((EXAMPLES / "validator.yml").read_text("utf-8")))


def model(settings: Settings, name: str) -> ModelSettings:
    (found,) = (model for model in settings.models if model.name == name)
    return found


def test_artifacts_and_recordings_are_small() -> None:
    files = [path for name in NAMES for path in (EXAMPLES / name).iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_validator_yml_names_is_there(settings: Settings, name: str) -> None:
    found = model(settings, name)
    for path in (found.artifact, found.weights, found.inputs, found.labels):
        assert path is not None
        assert (EXAMPLES / path).is_file(), path
    for dotted in (*found.custom_objects, (found.builder or "").split(":")[0]):
        assert (EXAMPLES / f"{dotted.replace('.', '/')}.py").is_file(), dotted


def test_only_the_translator_and_the_llama_ignore_a_label(settings: Settings) -> None:
    assert {found.name: found.ignore_label for found in settings.models} == {
        "digits": None,
        "translator": 0,
        "llama": 0,
    }


def test_the_llama_runs_in_two_precisions_and_never_under_legacy(settings: Settings) -> None:
    assert model(settings, "llama").matrix.precision == ("as-saved", "float32")
    assert {"keras": "legacy", "model": "llama"} in settings.matrix.exclude


@pytest.mark.parametrize("name", NAMES)
def test_the_artifact_was_exported_by_the_oldest_keras_of_the_matrix(name: str) -> None:
    with zipfile.ZipFile(EXAMPLES / name / "model.keras") as archive:
        assert json.loads(archive.read("metadata.json"))["keras_version"] == "3.3.3"


@pytest.mark.parametrize("name", NAMES)
def test_the_last_batch_is_smaller(settings: Settings, name: str) -> None:
    count = len(labels(name))
    assert count > model(settings, name).batch_size
    assert count % model(settings, name).batch_size != 0
    assert {len(values) for values in inputs(name).values()} == {count}


def test_digits_are_held_out_images_of_every_class() -> None:
    images = inputs("digits")["image"]
    assert (images.dtype, images.shape) == (np.float32, (361, 8, 8, 1))
    assert 0 <= images.min() <= images.max() <= 1
    assert set(labels("digits").tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("name", "tensor"), [("translator", "source"), ("translator", "target"), ("llama", "ids")]
)
def test_rows_are_padded_at_the_end_and_one_is_padding_alone(name: str, tensor: str) -> None:
    real = inputs(name)[tensor] != 0
    lengths = real.sum(axis=1)
    assert len(set(lengths.tolist())) > 3
    assert lengths.min() == 0
    assert (lengths == 0).sum() == 1
    np.testing.assert_array_equal(real, np.arange(real.shape[1]) < lengths[:, None])


@pytest.mark.parametrize("name", ["translator", "llama"])
def test_labels_are_the_decoder_s_inputs_one_step_later(name: str) -> None:
    given = inputs(name)["target" if name == "translator" else "ids"]
    following = labels(name)
    np.testing.assert_array_equal(given != 0, following != 0)
    both = (given[:, 1:] != 0) & (following[:, :-1] != 0)
    np.testing.assert_array_equal(given[:, 1:][both], following[:, :-1][both])


def test_most_of_the_translator_s_tokens_are_padding() -> None:
    assert 0.5 < (labels("translator") == 0).mean() < 0.9


def test_ids_above_256_occur_in_the_llama_s_recording() -> None:
    ids = inputs("llama")["ids"]
    assert ids.dtype == np.int32
    assert (ids > 256).any(axis=1).sum() > 20


def test_the_llama_names_its_precision_only_as_policies() -> None:
    """Another precision is had by rewriting the archive's policies, so nothing else may say bfloat16."""
    with zipfile.ZipFile(EXAMPLES / "llama" / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))
    layers = {layer["config"]["name"]: layer["config"].get("dtype") for layer in config["config"]["layers"]}
    assert layers.pop("ids") == "int32"
    assert layers.pop("causal_mask") == "float32"
    assert set(map(json.dumps, layers.values())) == {json.dumps("bfloat16")}


def test_the_translator_s_recording_is_what_its_generator_gives(translator: ModuleType) -> None:
    again = translator.recorded()
    recorded = inputs("translator")
    np.testing.assert_array_equal(recorded["source"], again.source)
    np.testing.assert_array_equal(recorded["target"], again.target)
    np.testing.assert_array_equal(labels("translator"), again.labels)


def test_the_llama_s_recording_is_what_its_generator_gives(llama: ModuleType) -> None:
    again = llama.recorded()
    np.testing.assert_array_equal(inputs("llama")["ids"], again.ids)
    np.testing.assert_array_equal(labels("llama"), again.labels)
