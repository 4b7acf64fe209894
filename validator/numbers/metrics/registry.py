"""The metrics there are, by the name a validator.yml uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Literal

from validator.errors import ConfigurationError
from validator.numbers.metrics.functions import score_function
from validator.numbers.metrics.pairing import pair
from validator.numbers.metrics.ranking import score_areas
from validator.numbers.metrics.request import Scored, Scoring
from validator.numbers.metrics.scorers import Determination, Distance, Overlap, Perplexity, RightShare, Scorer
from validator.numbers.metrics.sums import score_sums
from validator.numbers.metrics.texts import TextEdits

_TOP = re.compile(r"top[-_]([1-9]\d{0,5})(?:[-_]accuracy)?$")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


@dataclass(frozen=True)
class Metric:
    """A metric. `relative`: the gate's margin is a share of the baseline, as its unit is anybody's."""

    name: str
    score: Callable[[Scoring], Scored]
    higher_is_better: bool = True
    relative: bool = False


def _sums(
    name: str, build: Callable[[Scoring], Scorer], *, higher: bool = True, relative: bool = False
) -> Metric:
    return Metric(name, partial(score_sums, build=build, higher_is_better=higher), higher, relative)


def _accuracy(task: Scoring, top: int = 1) -> Scorer:
    if task.labels.storage == "utf8" and top == 1:
        return TextEdits(task, "text")
    return RightShare(task, pair(task, elementwise=False), top)


def _overlap(name: str, *, twice: int = 2, pooled: bool = False) -> Metric:
    def build(task: Scoring) -> Scorer:
        return Overlap(task, pair(task, elementwise=False), twice=twice, pooled=pooled)

    return _sums(name, build)


def _error(name: str, of: Literal["absolute", "square", "root"]) -> Metric:
    def build(task: Scoring) -> Scorer:
        return Distance(pair(task, elementwise=True), of)

    return _sums(name, build, higher=False, relative=True)


def _perplexity(task: Scoring) -> Scorer:
    return Perplexity(task, pair(task, elementwise=False))


_METRICS = (
    _sums("accuracy", _accuracy),  # share of right answers (of tokens that count, of equal texts)
    _overlap("f1"),  # binary, or the mean over labels or classes
    _overlap("f1-micro", pooled=True),  # all labels or classes together
    Metric("auc", score_areas),
    _overlap("iou", twice=1),  # the mean over classes
    _error("mae", "absolute"),
    _error("mse", "square"),
    _error("rmse", "root"),
    _sums("r2", lambda task: Determination(pair(task, elementwise=True))),
    _sums("wer", lambda task: TextEdits(task, "word"), higher=False),
    _sums("cer", lambda task: TextEdits(task, "character"), higher=False),
    _sums("perplexity", _perplexity, higher=False, relative=True),
)

#: By name. Besides these: `top-K` (also `top_K_accuracy`) for any K, and `module:function` of the user.
KNOWN: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})


def find_metric(name: str) -> Metric:
    """The metric of a name; ConfigurationError for an unknown one, with the nearest known name."""
    if name in KNOWN:
        return KNOWN[name]
    match = _TOP.match(name)
    if match is not None:
        return _sums(name, partial(_accuracy, top=int(match[1])))
    if _FUNCTION.match(name):
        return Metric(name, score_function)
    near = get_close_matches(name.lower().replace("_", "-"), (*KNOWN, "top-5"), 1, cutoff=0.5)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigurationError(
        f"unknown metric {name!r}: {meant}there are {', '.join(KNOWN)}, top-K (as top-5), and "
        "`module:function` of your own"
    )
