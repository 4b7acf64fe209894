"""Which changes can reach a model, by its saved configuration."""

from __future__ import annotations

import pytest

from tests.catalogue.samples import layer, model, own, residual
from validator.catalogue.description import UNKNOWN, Compiled, DescribedLayer, Description, describe_config
from validator.catalogue.entries import CatalogueEntry, Feature, change
from validator.catalogue.reach import ReleasePair, fits, known_changes, reach


def reached(
    config: dict[str, object], old: str, new: str, backend: str = "tensorflow"
) -> dict[str, tuple[str, ...]]:
    found = known_changes(describe_config(config), ReleasePair(old, new, backend))
    return {each.change.id: each.layers for each in found}


def test_a_masked_merge_is_reached_at_the_merge() -> None:
    assert reached(residual(), "3.3.3", "3.5.0")["K07"] == ("merge",)


def test_without_a_mask_it_is_not() -> None:
    plain = model(layer("x", "InputLayer"), layer("a", "Dense", "x"), layer("merge", "Add", "x", "a"))
    assert "K07" not in reached(plain, "3.3.3", "3.5.0")


def test_between_releases_of_one_behaviour_it_is_not() -> None:
    assert "K07" not in reached(residual(), "3.4.0", "3.15.1")


def test_a_setting_deep_in_a_layer() -> None:
    config = model(
        layer("x", "InputLayer"),
        layer(
            "both",
            "Bidirectional",
            "x",
            layer={
                "module": "keras.layers",
                "class_name": "LSTM",
                "config": {"recurrent_activation": "hard_sigmoid"},
            },
        ),
    )
    assert "both" in reached(config, "tf-keras", "3.5.0")["K02"]
    assert "K02" not in reached(residual(), "tf-keras", "3.5.0")


def test_a_layer_of_ones_own_in_half_precision() -> None:
    half = model(layer("x", "InputLayer"), own("scale", "RootNorm", "x", dtype="bfloat16"))
    full = model(layer("x", "InputLayer"), own("scale", "RootNorm", "x"))
    assert reached(half, "3.3.3", "3.5.0")["K38"] == ("scale",)
    assert "K38" not in reached(full, "3.3.3", "3.5.0")


def test_a_compilation_decides_about_metrics() -> None:
    compiled = {**residual(), "compile_config": {"optimizer": "adam", "loss": "mse", "metrics": ["accuracy"]}}
    assert "K01" in reached(compiled, "3.11.3", "3.12.0")
    assert "K01" not in reached(residual(), "3.11.3", "3.12.0")


def test_what_only_torch_does() -> None:
    pooled = model(layer("x", "InputLayer"), layer("pool", "AveragePooling2D", "x", padding="same"))
    assert "K45" not in reached(pooled, "3.4.1", "3.5.0")


@pytest.mark.parametrize(
    ("value", "wanted", "answer"),
    [
        (0.2, "> 0", True),
        (0, "> 0", False),
        ([2, 2], "> 1", True),
        (None, "set", False),
        (True, "true", True),
        ([1, 2], "several", True),
        ([-2], "negative", True),
        (1, "not -1", True),
        ([-1], "not -1", False),
        ("SAME", "same", True),
        (True, "> 0", False),
    ],
)
def test_settings(value: object, wanted: str, answer: bool) -> None:
    assert fits(value, wanted) is answer


def test_a_layer_of_the_user_is_none_of_keras_by_its_name() -> None:
    mine, theirs = (DescribedLayer("heads", "Attention", own_code=own) for own in (True, False))
    entry = known("K75")
    masked: frozenset[Feature] = frozenset({"mask"})
    assert reach(entry, Description((theirs,), masked)) is not None
    assert reach(entry, Description((mine,), masked)) is None


def test_a_function_of_keras_is_reached_as_an_operation_of_the_graph() -> None:
    entry = known("K104")
    photos: frozenset[Feature] = frozenset({"integer-input"})
    place = reach(entry, Description((DescribedLayer("resize", "Resize"),), photos))
    assert place is not None
    assert place.layers == ("resize",)
    assert reach(entry, Description((DescribedLayer("resize", "Resizing"),), photos)) is None


def test_an_optimizer_that_the_source_computes_is_listed_and_never_named() -> None:
    computed = Description((), frozenset({"compiled"}), Compiled(optimizer=UNKNOWN))
    assert reach(known("K47"), computed) is not None
    assert reach(known("K47"), computed, sure=True) is None


def known(number: str) -> CatalogueEntry:
    entry = change(number)
    assert entry is not None
    return entry
