"""The known changes: what releases of Keras did, and edits of a model that stays in its release."""

from __future__ import annotations

from bench.corpus.case import Case, Change, FirstKind, Model, Pair, Shows

OLD, NEW, NEWEST, LEGACY = "keras-3.3.3", "keras-3.5.0", "keras-3.15.1", "legacy"
EDITED = f"{OLD}-edited"

_EDIT = Pair(OLD, EDITED)
_NEXT = Pair(OLD, NEW)
_LATER = Pair(OLD, NEWEST)
_LEAP = Pair(LEGACY, NEW)
_STEP = Pair(LEGACY, OLD)

_VALUE: frozenset[FirstKind] = frozenset({"value"})
_SETTING: frozenset[FirstKind] = frozenset({"value", "structure"})
_STRUCTURE: frozenset[FirstKind] = frozenset({"structure"})
_MASK: frozenset[FirstKind] = frozenset({"mask"})
_DTYPE: frozenset[FirstKind] = frozenset({"dtype"})


def known_changes() -> list[Case]:
    """All of them."""
    return [*_releases(), *_reported(), *_transformer(), *_networks(), *_sequences(), *_given(), *_hidden()]


def _case(source: str, model: Model, pair: Pair, change: Change) -> Case:
    return Case(model, pair, change, source)


def _computes(layer: str, kinds: frozenset[FirstKind] = _VALUE, precision: bool | None = False) -> Change:
    return Change("predictions", layer, kinds, precision)


def _releases() -> list[Case]:
    """What changed from release to release and shows in predictions."""
    merged = "versions:merged"

    def merge(kind: str, *options: str) -> Model:
        arguments: tuple[tuple[str, str | bool], ...] = (
            ("kind", kind),
            *((option, True) for option in options),
        )
        inputs = ("full_batches" if "static" in options else "pairs") if "two" in options else "tokens"
        return Model("-".join(["merged", kind.lower(), *options]), merged, inputs, arguments)

    unread = Model("merged-unread", merged, "tokens", (("kind", "Add"), ("read", False)))
    gates = (("gates", "hard_sigmoid"),)
    lost = _computes("merge", _MASK, None)
    excluded = _computes("merge", frozenset({"value", "mask"}), None)
    return [
        _case("K02", Model("hard-sigmoid", "versions:hard_sigmoid", "vectors"), _LEAP, _computes("squash")),
        _case("K02", Model("lstm-hard", "recurrent:lstm", "series", gates), _LEAP, _computes("reader")),
        _case("K02", Model("gru-hard", "recurrent:gru", "series", gates), _LEAP, _computes("reader")),
        _case("K03", Model("conv-lstm", "recurrent:films", "films"), _LEAP, _computes("watcher", _SETTING)),
        _case("K07", merge("Add"), _STEP, lost),
        _case("K07", merge("Average"), _STEP, lost),
        _case("K07", merge("Concatenate"), _STEP, lost),
        _case("K07", merge("Maximum"), _STEP, lost),
        _case("K39", merge("Add"), _NEXT, lost),
        _case("K39", merge("Average"), _NEXT, lost),
        _case("K39", merge("Add", "two"), _NEXT, lost),
        _case(
            "K39", Model("masked-blocks", "versions:blocks", "tokens"), _NEXT, _computes("sum_0", _MASK, None)
        ),
        _case("K08", merge("Add", "two"), _LEAP, lost),
        _case("K08", merge("Average", "two"), _LEAP, lost),
        _case("K09", merge("Concatenate", "two", "static"), _LEAP, lost),
        _case("K10", merge("Multiply", "two"), _LEAP, excluded),
        _case("K10", merge("Maximum", "two"), _LEAP, excluded),
        _case("K10", merge("Minimum", "two"), _LEAP, excluded),
        _case(
            "K13",
            Model("offset-norm", "versions:offset_norm", "offset"),
            _LEAP,
            _computes("norm", _VALUE, True),
        ),
        _case("K37", Model("cast-mask", "versions:cast", "tokens"), _NEXT, _computes("gate", _DTYPE, None)),
        _case(
            "K38", Model("promoted", "versions:promoted", "vectors"), _NEXT, _computes("rms", _DTYPE, None)
        ),
        _case("K50", merge("Concatenate", "two"), _NEXT, Change("failure")),
        _case("seen here", Model("timed", "recurrent:timed", "tokens"), _LEAP, Change("failure")),
        _case("seen here", Model("timed", "recurrent:timed", "tokens"), _NEXT, Change("failure")),
        _case("K51", Model("unit-norm", "versions:unit_norm", "tiny"), _LATER, _computes("unit")),
        _case(
            "K64", Model("masked-softmax", "versions:masked_softmax", "series"), _LATER, _computes("softmax")
        ),
        _case(
            "K68",
            Model("list-layer", "versions:list_layer", "tokens"),
            _LATER,
            _computes("joined", _MASK, None),
        ),
        _case("K07, unread", unread, _NEXT, Change("structure", "merge")),
        _case("K07, unread", unread, _STEP, Change("structure", "merge")),
    ]


def _reported() -> list[Case]:
    """What shows in the numbers that the framework reports, and in no prediction."""
    tagger = Model("tagger", "versions:tagger", "tokens", labels="words")
    activity = Model("activity", "versions:activity", "vectors", labels="numbers")
    overlap = Model("overlap", "versions:overlap", "vectors", labels="parts")
    saturated = Model("saturated", "versions:saturated", "vectors", labels="bits")
    cosine = Model("cosine", "versions:cosine", "tiny", labels="numbers")
    told = Change("metric")
    return [
        _case("K01", tagger, _LEAP, told),
        _case("K01", tagger, _STEP, told),
        _case("K01", tagger, _LATER, told),
        _case("K11", saturated, _LEAP, told),
        _case("K12", cosine, _LEAP, told),
        _case("K16", activity, _LEAP, told),
        _case("K16", activity, _LATER, told),
        _case("K60", overlap, _LATER, told),
    ]


def _edit(builder: str, change: str, inputs: str, answer: Change) -> Case:
    name = f"{builder.rpartition(':')[2]}-{change}".replace("build", "transformer").replace("_", "-")
    return Case(Model(name, builder, inputs, (("change", change),)), _EDIT, answer, "an edit")


def _transformer() -> list[Case]:
    """Edits of a transformer that no configuration shows; those of numerics.md are among them."""
    build, digits = "transformer:build", _computes("heads_0", precision=None)
    answers = {
        "epsilon": _computes("norm_a_0", _SETTING),
        "epsilon-last": _computes("norm_out", _SETTING),
        "gelu-all": _computes("gelu_0", _SETTING),
        "gelu-one": _computes("gelu_1", _SETTING),
        "scale-1.001": _computes("heads_0"),
        "scale-1.00001": _computes("heads_0"),
        "softmax-bf16": digits,
        "uncausal": _computes("heads_0"),
        "interleaved": _computes("heads_0"),
        "no-bias": _computes("up_1"),
        "transposed": _computes("out_1"),
        "coarse": _computes("up_0", precision=True),
    }
    cases = [_edit(build, change, "hidden", answer) for change, answer in answers.items()]
    in_half = {
        "epsilon": _computes("norm_a_0", _SETTING),
        "gelu-all": _computes("gelu_0", _SETTING),
        "gelu-one": _computes("gelu_1", _SETTING),
        "uncausal-in-half": _computes("heads_0"),
    }
    for change, answer in in_half.items():
        name = f"transformer-{change}-bf16"
        model = Model(name, build, "hidden", (("change", change),), precision="bfloat16")
        cases.append(Case(model, _EDIT, answer, "an edit, in bfloat16"))
    return cases


def _networks() -> list[Case]:
    """Edits of feed-forward models."""
    return [
        _edit("networks:mlp", "epsilon", "vectors", _computes("norm", _SETTING)),
        _edit("networks:mlp", "no-bias", "vectors", _computes("second", _SETTING)),
        _edit("networks:mlp", "extra", "vectors", _computes("extra", _STRUCTURE)),
        _edit("networks:mlp", "less", "vectors", _computes("squash", _STRUCTURE)),
        _edit("networks:mlp", "one-in-bf16", "vectors", _computes("third", _DTYPE, None)),
        _edit("networks:mlp", "float16-output", "vectors", _computes("top", _DTYPE, None)),
        _edit("networks:mlp", "slope", "vectors", _computes("leaky", _SETTING)),
        _edit("networks:mlp", "missing-output", "vectors", _computes("aux", _STRUCTURE, None)),
        _edit("networks:cnn", "bn-epsilon", "images", _computes("bn_0", _SETTING)),
        _edit("networks:cnn", "activation", "images", _computes("act_0", _SETTING)),
        _edit("networks:cnn", "pooling", "images", _computes("pool", _SETTING)),
        _edit("networks:cnn", "kernel-turned", "images", _computes("conv_1")),
        _edit("networks:cnn", "half-weights", "images", _computes("conv_0", precision=None)),
        _edit("networks:unet", "upsampling", "images", _computes("up", _SETTING)),
        _edit("networks:pictures", "rescaling", "images", _computes("rescaled", _SETTING)),
        _edit("networks:conv1d", "padding", "series", _computes("causal", _SETTING)),
        _edit("networks:flatten", "flatten", "images", _computes("flat")),
        _edit("networks:logarithm", "unclipped", "vectors", _computes("log", precision=None)),
        _edit("networks:dropout", "dropout", "vectors", Change("nondeterminism", "drop")),
    ]


def _sequences() -> list[Case]:
    """Edits of models of sequences."""
    dropped: frozenset[FirstKind] = frozenset({"mask", "structure"})
    return [
        _edit("recurrent:lstm", "hard-sigmoid", "series", _computes("reader", _SETTING)),
        _edit("recurrent:lstm", "backwards", "series", _computes("reader", _SETTING)),
        _edit("recurrent:gru", "reset-before", "series", _computes("reader", _SETTING)),
        _edit("recurrent:reader", "no-mask", "tokens", _computes("words_ids", dropped, None)),
        _edit("recurrent:reader", "merge", "tokens", _computes("both", _SETTING)),
        _edit("recurrent:mean", "unmasked-mean", "tokens", _computes("mean")),
        _edit("recurrent:positions", "off-by-one", "tokens", _computes("positions")),
    ]


def _given() -> list[Case]:
    """Edits of what a layer is given, and of an attribute that no configuration has."""
    return [
        _edit("received:attention", "call-not-causal", "tokens", _computes("heads", _STRUCTURE)),
        _edit("received:scaled", "own-factor", "vectors", _computes("scale", _SETTING)),
        # Keras writes the argument of its constructor into the configuration: naming that is right as well.
        _edit("received:reader", "mask-taken-off", "tokens", _computes("average", _MASK | _SETTING)),
        _edit("received:reader", "numbers-cut", "tokens", _computes("")),
    ]


def _hidden() -> list[Case]:
    """An edit that the recorded inputs do not show."""
    return [_edit("networks:idle_slope", "slope", "vectors", Change("structure", "leaky"))]


#: Reproduced changes of the knowledge base that are no case here, and why.
LEFT_OUT: dict[str, str] = {
    "K04, K06, K14, K15": "shows in training alone: the training comparison has them",
    "K05": "is rounding: among the benign pairs",
    "K17": "the default is off on a CPU: jit on is a benign pair",
    "K18, K19, K21, K49": "an artifact that does not load is a failure to everybody",
    "K30, K31": "changed in 3.2, before the oldest Keras 3 here",
    "K36": "predictions take tensors, which hides it",
    "K53, K54": "is in 3.6.0 or 3.7.0 alone",
}

SHOWS: tuple[Shows, ...] = ("predictions", "metric", "failure", "nondeterminism", "structure")
