"""What a model's file says about its inputs, in every form of file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.inputs.files import entry, functional, layer, write_keras, write_saved_model
from validator.errors import ConfigurationError
from validator.inputs import Input, read_specification, synthesise

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def only(path: Path) -> Input:
    (single,) = read_specification(path).inputs
    return single


def test_the_examples() -> None:
    assert only(EXAMPLES / "digits" / "model.keras").shape == (8, 8, 1)
    assert only(EXAMPLES / "llama" / "model.keras").high == 385  # an embedding of the team's own
    translator = read_specification(EXAMPLES / "translator" / "model.keras").inputs
    assert {each.name: (each.high, each.padded_with) for each in translator} == {
        "source": (101, 0.0),
        "target": (16, 0.0),
    }


def test_ids_are_followed_to_the_embedding(tmp_path: Path) -> None:
    config = functional(
        entry("ids", [None, 20], "float32"),
        entry("other", [None, 3], "float32"),
        layer("Reshape", "reshape", ["ids"]),
        layer("Embedding", "embedding", ["reshape"], input_dim=50, mask_zero=True),
        layer("Dense", "dense", ["other"]),
    )
    ids, other = read_specification(write_keras(tmp_path / "m.keras", config)).inputs
    assert (ids.meaning, ids.high, ids.dtype) == ("id", 50, "float32")
    assert other.meaning == "number"


def test_a_dict_of_inputs_goes_by_its_keys(tmp_path: Path) -> None:
    ends = {"age": ["input_1", 0, 0]}
    config = functional(entry("input_1", [None, 1]), ends=ends)
    single = only(write_keras(tmp_path / "m.keras", config))
    assert (single.name, single.layer) == ("age", "input_1")


@pytest.mark.parametrize("where", ["config", "assets"])
def test_words_of_a_text_layer(tmp_path: Path, where: str) -> None:
    saved = {"vocabulary": ["red", "green"]} if where == "config" else {}
    text = layer("TextVectorization", "vectorise", ["review"], **saved)
    assets = {"assets/text_vectorization/vocabulary.txt": "red\ngreen\n"} if where == "assets" else {}
    config = functional(entry("review", [None, 1], "string"), text)
    single = only(write_keras(tmp_path / "m.keras", config, assets=assets))
    assert (single.meaning, single.words) == ("text", ("red", "green"))
    texts = synthesise(read_specification(tmp_path / "m.keras"))["review"]
    assert texts.shape == (100, 1)
    assert texts[1, 0] == ""
    assert {word for text in texts[5:, 0].tolist() for word in text.split()} == {"red", "green"}


def test_pixels_masks_and_fixed_batches(tmp_path: Path) -> None:
    config = functional(
        entry("image", [8, None, None, 3]),
        entry("padding_mask", [8, 24], "int32"),
        entry("ids", [8, 24], "int32"),
        layer("Rescaling", "rescale", ["image"], scale=1 / 255),
        layer("Embedding", "embedding", ["ids"], input_dim=9),
    )
    specification = read_specification(write_keras(tmp_path / "m.keras", config))
    arrays = synthesise(specification)
    assert specification.batch == 8
    assert len(arrays["image"]) == 96
    assert arrays["image"].max() > 200
    assert arrays["padding_mask"].sum(1)[1] == 0
    assert set(np.unique(arrays["padding_mask"])) == {0, 1}
    assert arrays["ids"].max() == 8


def test_masked_steps_get_the_value_of_the_masking_layer(tmp_path: Path) -> None:
    config = functional(
        entry("history", [None, None, 4]), layer("Masking", "masking", ["history"], mask_value=-1.0)
    )
    arrays = synthesise(read_specification(write_keras(tmp_path / "m.keras", config)))
    assert (arrays["history"][1] == -1).all()
    assert (arrays["history"][0, 12:] == -1).all()
    assert not (arrays["history"][2] == -1).any()


def test_a_sequential_of_keras_2(tmp_path: Path) -> None:
    layers = [
        {"class_name": "Embedding", "config": {"name": "e", "input_dim": 7, "batch_input_shape": [None, 5]}},
        {"class_name": "Dense", "config": {"name": "d"}},
    ]
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    path = tmp_path / "model.h5"
    path.write_bytes(b"\x89HDF..." + json.dumps(config).encode() + b"\0keras_version\0\0 2.15.0\0")
    single = only(path)
    assert (single.shape, single.high, single.name) == ((5,), 7, "e_input")


def test_signatures_of_a_saved_model(tmp_path: Path) -> None:
    folder = write_saved_model(tmp_path / "export", {"x": (1, [-1, 6]), "ids": (3, [-1, -1])}, "2.17.1")
    specification = read_specification(folder)
    assert [(each.name, each.dtype, each.shape) for each in specification.inputs] == [
        ("ids", "int32", (None,)),
        ("x", "float32", (6,)),
    ]
    assert "0 to 9" in specification.assumed[0]


@pytest.mark.parametrize("content", [b"\xff\xff", b"\x12\x7f\x01", b"\x08"])
def test_a_torn_saved_model(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"torn|no signature"):
        read_specification(tmp_path)


def test_what_a_file_does_not_say_is_one_sentence(tmp_path: Path) -> None:
    config = {
        "module": "own",
        "class_name": "Ranker",
        "config": {"units": 3},
        "registered_name": "acme>Ranker",
    }
    with pytest.raises(ConfigurationError, match=r"Ranker is subclassed\); record them"):
        read_specification(write_keras(tmp_path / "m.keras", config))


def test_made_inputs_have_what_known_changes_need(tmp_path: Path) -> None:
    from validator.catalogue.adequacy import adequacy

    config = functional(
        entry("ids", [None, 20], "int32"),
        entry("number", [None, 4]),
        layer("Embedding", "embedding", ["ids"], input_dim=900, mask_zero=True),
    )
    arrays = synthesise(read_specification(write_keras(tmp_path / "m.keras", config)))
    assert adequacy(arrays).lacks == {"nan", "wide-id"}  # an id beyond the vocabulary is no input
    assert arrays["ids"].min() == 0
    assert arrays["ids"].max() == 899
