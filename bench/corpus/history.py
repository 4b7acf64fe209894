"""Silent fixes of Keras: the last release before each against the first with it, and what is to be reported.

All were reproduced with plain scripts, a fresh process for each release. Four are benign: the fix is in code
that the model runs, and shows in none of its predictions.
"""

from __future__ import annotations

from typing import Any

from bench.corpus.case import Case, Change, FirstKind, Model, Pair


def silent_fixes() -> list[Case]:
    """All of them."""
    return [*_predictions(), *_training(), *_reported(), *_benign()]


def _releases(baseline: str, candidate: str) -> Pair:
    return Pair(f"keras-{baseline}", f"keras-{candidate}")


_3_6, _3_7, _3_8 = _releases("3.5.0", "3.6.0"), _releases("3.6.0", "3.7.0"), _releases("3.7.0", "3.8.0")
_3_9, _3_10 = _releases("3.8.0", "3.9.0"), _releases("3.9.2", "3.10.0")
_3_11, _3_12 = _releases("3.10.0", "3.11.0"), _releases("3.11.3", "3.12.0")
_3_14, _3_15 = _releases("3.13.2", "3.14.0"), _releases("3.14.1", "3.15.0")
_JAX = _releases("3.4.1-jax", "3.5.0-jax")


def _model(builder: str, inputs: str, **fields: Any) -> Model:
    name = fields.pop("name", builder.replace("_", "-"))
    return Model(name, f"fixes:{builder}", inputs, **fields)


def _at(layer: str, *kinds: FirstKind) -> Change:
    return Change("predictions", layer, frozenset(kinds))


def _predictions() -> list[Case]:
    """What changed predictions. At one layer a setting and what it does are both right."""
    return [
        Case(_model("pooled", "tokens"), _3_10, _at("weights", "value"), "keras#21149"),
        Case(_model("handed_on", "gaps"), _3_11, _at("norm", "mask"), "keras#21449"),
        Case(_model("wide_head", "tokens"), _3_14, _at("average", "mask"), "keras#21946"),
        Case(_model("gappy", "holes"), _3_15, _at("average", "value"), "keras#22392"),
        Case(_model("named_axis", "frames"), _3_12, _at("across", "value", "structure"), "keras#21721"),
        Case(_model("resized", "bytes_of_photos"), _3_6, _at("resize", "value"), "keras#20213"),
        Case(_model("detector", "images"), _3_15, _at("pixels", "value"), "keras#22806"),
        Case(_model("adapted", "ages"), _3_15, _at("bins", "value", "structure"), "keras#22892"),
        Case(_model("binned", "vectors"), _3_12, _at("bins", "dtype"), "keras#21769"),
        Case(_model("group_norm", "bright"), _3_7, _at("norm", "value"), "keras#20385"),
        Case(_model("short_vectors", "tiny"), _3_6, _at("unit", "value"), "keras#20196"),
        Case(_model("two_texts", "two_vectors"), _3_7, Change("feeding"), "keras#20481"),
    ]


def _training() -> list[Case]:
    """What changed training, and no prediction (but those of fresh weights)."""

    def trained(builder: str, inputs: str, labels: str = "topics", start: str = "shared") -> Model:
        settings = (("training", {"steps": 4, "start": start}),)
        return _model(builder, inputs, labels=labels, settings=settings)

    def at(layer: str = "") -> Change:
        return Change("training", layer)

    fresh = trained("fresh_attention", "tokens", start="own")
    return [
        Case(trained("sparse_code", "vectors", "numbers"), _3_14, at("code"), "keras#22021"),
        Case(fresh, _3_15, at(), "keras#22789"),
        Case(trained("masked_statistics", "gaps"), _3_9, at("norm"), "keras#20815"),
        Case(trained("empty_texts", "tokens"), _JAX, at("mean"), "keras#20110"),
        Case(trained("scaled_loss", "vectors"), _3_10, at(), "keras#21233"),
    ]


def _reported() -> list[Case]:
    """What changed reported numbers alone, or whether a file loads at all."""
    tower = _model("tower", "vectors", saved=True)
    return [
        Case(_model("two_losses", "vectors", labels="near_and_far"), _3_7, Change("metric"), "keras#20476"),
        Case(_model("tagged", "tokens", labels="words"), _3_12, Change("metric"), "keras#21569"),
        Case(tower, _3_15, Change("failure"), "keras#22362"),
    ]


def _benign() -> list[Case]:
    """Fixes in code that the model runs, without a trace in its predictions."""
    sharp = _model("group_norm", "images", arguments=(("epsilon", 1e-8),), name="sharp-group-norm")
    return [
        Case(_model("causal", "tokens"), _3_15, None, "keras#23040"),
        Case(_model("behind_attention", "tokens"), _3_8, None, "keras#20594"),
        Case(_model("hashed", "wide_ids"), _3_12, None, "keras#21604"),
        Case(sharp, _3_15, None, "keras#23070"),
    ]
