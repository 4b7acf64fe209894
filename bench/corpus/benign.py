"""Pairs that differ by rounding, or by nothing: releases, oneDNN, threads, reruns, sums in another order."""

from __future__ import annotations

from bench.corpus.case import Case, Model, Pair
from bench.corpus.known import EDITED, LEGACY, NEW, NEWEST, OLD
from validator.config.settings import Precision

ONEDNN_OFF = f"{OLD}-onednn-off"
ONE_THREAD = f"{OLD}-threads-1"
#: Environments whose models compute in another order (`models/rearranged.py`).
ORDERS = {f"{OLD}-{order}": order for order in ("eager", "jit", "halves", "permuted", "split")}

_MODELS = {
    model.name: model
    for model in (
        Model("mlp", "networks:mlp", "vectors"),
        Model("cnn", "networks:cnn", "images"),
        Model("separable", "networks:separable", "images"),
        Model("residual", "networks:residual", "images"),
        Model("unet", "networks:unet", "images"),
        Model("pictures", "networks:pictures", "images"),
        Model("conv1d", "networks:conv1d", "series"),
        Model("activations", "networks:activations", "vectors"),
        Model("norms", "networks:norms", "series"),
        Model("seeded", "networks:seeded", "vectors"),
        Model("lstm", "recurrent:lstm", "series"),
        Model("gru", "recurrent:gru", "series"),
        Model("reader", "recurrent:reader", "tokens"),
        Model("simple", "recurrent:simple", "series"),
        Model("bag", "recurrent:bag", "tokens"),
        Model("attention", "recurrent:attention", "hidden"),
        Model("scored", "versions:scored", "vectors", labels="classes"),
        Model("regression", "versions:regression", "vectors", labels="numbers"),
        Model("transformer", "transformer:build", "hidden"),
        Model("transformer-bf16", "transformer:build", "hidden", precision="bfloat16"),
        Model("mlp-bf16", "networks:mlp", "vectors", precision="mixed_bfloat16"),
        Model("cast-mask", "versions:cast", "tokens"),
    )
}
_SHARED = (
    "mlp cnn separable residual unet pictures conv1d activations norms seeded lstm gru reader simple bag "
    "attention scored regression"
)
_OWN = "transformer transformer-bf16"
#: Pair → (models, how it is known that nothing but rounding differs).
_PAIRS: dict[Pair, tuple[str, str]] = {
    Pair(LEGACY, NEW): (_SHARED, "no change found from tf_keras to 3.15.1"),
    Pair(OLD, NEW): (f"{_SHARED} {_OWN} mlp-bf16", "no change found from tf_keras to 3.15.1"),
    Pair(OLD, NEWEST): (f"{_SHARED} {_OWN} cast-mask", "no change found; K37 is over in 3.10"),
    Pair(OLD, ONEDNN_OFF): ("cnn separable residual unet lstm attention mlp transformer", "oneDNN off"),
    Pair(OLD, ONE_THREAD): ("cnn lstm transformer", "one thread"),
    Pair(OLD, EDITED): ("reader scored transformer-bf16", "the same again"),
}
_REASSOCIATIONS = (
    "permuted split-2 split-4 einsum bias-first norm-one-pass norm-fused scale-first late-division "
    "log-softmax gelu-formula batch-halves add-order jit"
)
_IN_HALF = "permuted split-4 norm-fused scale-first batch-halves"


def benign_pairs() -> list[Case]:
    """All of them."""
    pairs = [
        Case(_MODELS[name], pair, None, why)
        for pair, (names, why) in _PAIRS.items()
        for name in names.split()
    ]
    edits = [_reassociated(change) for change in _REASSOCIATIONS.split()]
    half = [_reassociated(change, half=True) for change in _IN_HALF.split()]
    jit = Model("cnn-jit", "networks:cnn", "images", (("change", "jit"),))
    return [*pairs, *edits, *half, Case(jit, Pair(OLD, EDITED), None, "compiled by XLA")]


def rearranged_pairs() -> list[Case]:
    """The same models in every environment and every order that moves nothing but rounding."""
    names = f"{_SHARED} {_OWN} mlp-bf16".split()
    same_packages = (ONEDNN_OFF, ONE_THREAD, *ORDERS)
    pairs = [(name, Pair(OLD, other)) for name in names for other in (NEWEST, *same_packages)]
    pairs += [(name, Pair(LEGACY, other)) for name in _SHARED.split() for other in (OLD, NEWEST)]
    return [Case(_MODELS[name], pair, None, "the same in another order") for name, pair in pairs]


def power_pairs() -> list[Case]:
    """Models of float32 whose candidate adds in another order; changes are planted on top."""
    many = Model("many", "networks:many", "few")
    models = [*(_MODELS[name] for name in f"{_SHARED} transformer".split()), many]
    return [Case(model, Pair(OLD, f"{OLD}-split"), None, "partial sums") for model in models]


def _reassociated(change: str, half: bool = False) -> Case:
    name = f"transformer-{change}" + ("-bf16" if half else "")
    arguments = (("change", change),)
    precision: Precision = "bfloat16" if half else "as-saved"
    model = Model(name, "transformer:build", "hidden", arguments, precision=precision)
    return Case(model, Pair(OLD, EDITED), None, "the same sums in another order")
