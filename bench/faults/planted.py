"""Faults of models: in their numbers, metrics, tokens, training and files. Builders: `material/planted.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.faults.fault import (
    CANNOT_JUDGE,
    CONFIGURATION,
    GATE,
    OK,
    Expected,
    Fault,
    Kind,
    expected,
)

CHANGED = expected(GATE, verdicts="changed")
#: For one output of many: the cell's exit code is that of all of them.
_MOVED = expected(GATE, verdicts="changed")
_QUIET = expected(OK, verdicts="identical rounding")
_UNTOUCHED = expected(GATE, verdicts="identical")

ROWS = """all-off-by-1-percent all-off-by-a-thousandth all-doubled all-negated all-shifted all-zero all-one-value
all-infinite column-shifted column-off-by-2-percent column-zero column-nan columns-swapped
columns-reversed columns-rolled columns-sorted column-copied row-off-by-5-percent row-zero row-negated row-nan
row-infinite row-of-its-neighbour last-row-off first-row-off rows-reversed-in-a-batch rows-rolled-in-a-batch
row-repeated-in-a-batch batch-mean-removed half-of-the-rows element-off element-nan
element-infinite element-negative-infinite element-zero rounded-to-3-digits through-bfloat16 through-float16 clipped
sharpened in-logarithms squared top-1-alone not-normalised rippled tiny-values-lost"""
STEPS = """last-step-off first-step-off last-step-zero last-step-nan steps-rolled steps-reversed last-step-repeated
steps-added-up step-of-one-row-off"""
CLASSES = "one-class-of-1000-half-again one-class-of-1000-zero two-classes-of-1000-swapped one-class-of-1000-in-one-row"
SAME = """sum-reordered sum-in-two-parts product-split mean-as-sum softmax-by-hand distributed sigmoid-by-tanh
divided-by-product in-float64-inside identity-twice"""
VARIANTS = """small-beside-huge epsilon gelu activation dropout-active noise-added bias-dropped layer-dropped batch-statistics float64
float16 integers one-more-column one-column-less one-more-axis squeezed transposed output-missing output-extra
output-renamed outputs-swapped outputs-reordered labels-off-by-one one-label-other one-boolean-other threshold-moved"""
#: Forms in which the candidate gives other samples: that is no comparison, or a change, but never green.
FORMS = "samples-summed samples-doubled sample-dropped one-number list-to-dict labels-int32"


def _fault(kind: Kind, name: str, come_out: Expected, model: Mapping[str, object], **more: Any) -> Fault:
    settings = {"name": f"{kind}-{name}", "inputs": "inputs.npz", **model}
    return Fault(kind, name, come_out, settings, **more)


def _built(builder: str, **arguments: object) -> dict[str, object]:
    return {"builder": f"planted:{builder}", "builder_arguments": arguments}


def numbers() -> Iterator[Fault]:
    """One output for each change, in three models; and models of their own for what changes the form."""
    for table, names in {"rows": ROWS, "steps": STEPS, "classes": CLASSES}.items():
        model = {"name": f"numbers-{table}", "inputs": "inputs.npz", **_built("outputs", table=table)}
        quick = table == "steps"
        for name in names.split():
            yield Fault("numbers", name, _MOVED, model, output=name, quick=quick)
        yield Fault("numbers", f"untouched-{table}", _UNTOUCHED, model, output="untouched", quick=quick)
    nan = {"name": "numbers-rows", "inputs": "inputs.npz", **_built("outputs", table="rows")}
    yield Fault("numbers", "all-nan", expected(GATE, verdicts="changed"), nan, output="all-nan")
    little = expected(GATE, verdicts="changed suspicious")
    yield Fault("numbers", "element-off-a-little", little, nan, output="element-off-a-little")
    for name in SAME.split():
        yield _fault("numbers", name, _QUIET, _built("same", name=name), quick=name == "sum-reordered")
    for name in VARIANTS.split():
        yield _fault("numbers", name, CHANGED, _built("variant", change=name))
    named = expected(OK, verdicts="identical rounding", findings="own-predict")
    yield _fault("numbers", "own-predict", named, _built("variant", change="own-predict"))
    for name in FORMS.split():
        not_green = expected(GATE, CANNOT_JUDGE, verdicts="changed failed not-compared")
        yield _fault("numbers", name, not_green, _built("variant", change=name))


METRICS = """loss-nan loss-infinite loss-doubled loss-off-by-1-percent loss-negated loss-zero loss-constant loss-other
tiny-loss-doubled tiny-loss-gone metric-nan metric-infinite metric-doubled metric-off-by-1-percent tiny-metric-doubled
metric-zero metric-negated metric-gone metric-renamed metric-weighted two-metrics-swapped"""
OWN = "raises exits recurses nan infinite text nothing two_numbers no_numbers a_matrix objects"


def metrics() -> Iterator[Fault]:
    """What `evaluate` reports in the candidate, with the same predictions; and metrics of a user's own."""
    labels = {"labels": "labels.npz"}
    reported = expected(OK, GATE, verdicts="metric-only")
    for name in METRICS.split():
        yield _fault("metrics", name, reported, _built("compiled", change=name) | labels, quick="nan" in name)
    yield _fault(
        "metrics", "compilation-gone", reported, _built("compiled", change="compilation-gone") | labels
    )
    for name in ("loss-raises", "metric-raises"):
        lost = expected(GATE, verdicts="identical metric-only failed not-compared changed")
        yield _fault("metrics", name, lost, _built("compiled", change=name) | labels)
    for name in ("baseline-loss-nan", "baseline-metric-raises"):
        # the upgrade is not to blame
        not_plain = expected(OK, CANNOT_JUDGE, GATE, verdicts="identical metric-only not-compared suspicious")
        yield _fault("metrics", name, not_plain, _built("compiled", change=name) | labels)
    for name in ("unchanged", "unchanged-own"):
        yield _fault("metrics", name, _QUIET, _built("compiled", change=name) | labels)
    for name in OWN.split():
        unscored = expected(OK, GATE, CONFIGURATION, findings="unscored metric-failed")
        own = {**_built("sound"), **labels, "metrics": [f"own_metrics:{name}", "accuracy"]}
        yield _fault("metrics", f"own-{name}", unscored, own)
    for name in ("right", "spoils_its_arguments"):
        own = {**_built("sound"), **labels, "metrics": [f"own_metrics:{name}"]}
        yield _fault("metrics", f"own-{name}", expected(OK, verdicts="identical"), own)


DECODE = """next-token second-best one-token-banned one-token-always negated nan constant one-position-late"""
#: Recorded inputs are shorter: their predictions are the same, and decoding alone shows the change.
BEYOND = "from-the-8th-on last-step-alone nan-from-the-8th-on"
WIDTHS = "twenty-one-tokens nineteen-tokens last-position-alone"


def decode() -> Iterator[Fault]:
    """Tokens that the candidate takes or leaves."""
    block: dict[str, object] = {
        "inputs": "tokens.npz",
        "decode": {"prompt_length": 4, "steps": 8, "samples": 4},
    }
    for name in DECODE.split():
        yield _fault("decode", name, CHANGED, _built("language", change=name) | block, quick=name == "nan")
    for name in BEYOND.split():
        aside = expected(GATE, verdicts="identical", findings="decode-verdict")
        yield _fault("decode", name, aside, _built("language", change=name) | block)
    for name in WIDTHS.split():
        yield _fault(
            "decode",
            name,
            expected(GATE, verdicts="changed not-compared"),
            _built("language", change=name) | block,
        )
    yield _fault("decode", "unchanged", _QUIET, _built("language") | block, quick=True)
    for name, settings in {
        "protocol-missing": {"protocol": "planted:no_such_function"},
        "protocol-no-module": {"protocol": "nowhere:protocol"},
        "detokenise-missing": {"detokenise": "planted:no_such_function"},
        "input-unknown": {"input": "nobody"},
        "prompt-longer-than-inputs": {"prompt_length": 60},
    }.items():
        asked = {"prompt_length": 4, "steps": 8, "samples": 4, **settings}
        not_plain = expected(OK, GATE, CANNOT_JUDGE, findings="decode-verdict")
        yield _fault("decode", name, not_plain, _built("language") | block | {"decode": asked})


TRAINING = """initial-weights batch-normalisation penalty layer-frozen from-logits summed loss-scaled loss-nan
learning-rate optimizer momentum nesterov clipped decay beta epsilon schedule gradient-stopped loss-raises"""
#: What the first steps need not show: it acts later, or in what dropout hides.
LATER = "averaged accumulated dropout-rate"


def training() -> Iterator[Fault]:
    """Changes of `compile` and of layers that predictions do not show."""
    block = {"labels": "labels.npz", "training": {"steps": 5, "members": 1, "seeds": 0}}
    for name in TRAINING.split():
        verdicts = "identical rounding metric-only" + (" changed" if name == "initial-weights" else "")
        moved = expected(GATE, verdicts=verdicts)
        yield _fault(
            "training", name, moved, _built("trained", change=name) | block, quick=name == "optimizer"
        )
    for name in LATER.split():
        noted = expected(OK, GATE, verdicts="identical rounding metric-only", findings="training-verdict")
        yield _fault("training", name, noted, _built("trained", change=name) | block)
    yield _fault("training", "unchanged", _QUIET, _built("trained", change="none") | block, quick=True)
