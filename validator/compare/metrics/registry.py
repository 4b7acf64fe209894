"""The metrics there are, by the name a validator.yml uses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from types import MappingProxyType
from typing import Literal

from validator.compare.metrics.pairing import pair
from validator.compare.metrics.request import Task
from validator.compare.metrics.scorers import Accuracy, Determination, Distance, Overlap, Perplexity, Scorer
from validator.compare.metrics.texts import Texts
from validator.errors import ConfigurationError

Build = Callable[[Task], Scorer]

_TOP = re.compile(r"top[-_]([1-9]\d{0,5})(?:[-_]accuracy)?$")
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


@dataclass(frozen=True)
class Metric:
    """A metric. `relative`: the gate's margin is a share of the baseline's value, as its unit is anybody's.

    `build` makes its scorer; None for those of whole arrays (AUC, functions of the user).
    """

    name: str
    title: str
    higher_is_better: bool
    relative: bool
    build: Build | None
    family: Literal["sums", "area", "function"] = "sums"


def _accuracy(task: Task, top: int = 1) -> Scorer:
    if task.labels.storage == "utf8" and top == 1:
        return Texts(task, "text")
    return Accuracy(task, pair(task, elementwise=False), top)


def _overlap(task: Task, *, twice: int, pooled: bool) -> Scorer:
    return Overlap(task, pair(task, elementwise=False), twice=twice, pooled=pooled)


def _distance(task: Task, *, of: Literal["absolute", "square", "root"]) -> Scorer:
    return Distance(task, pair(task, elementwise=True), of=of)


def _sums(name: str, title: str, build: Build, *, up: bool = True, relative: bool = False) -> Metric:
    return Metric(name, title, up, relative, build)


_METRICS = (
    _sums("accuracy", "share of right answers (of tokens that count, of equal texts)", _accuracy),
    _sums("f1", "F1: binary, or the mean over labels or classes", partial(_overlap, twice=2, pooled=False)),
    _sums("f1-micro", "F1 of all labels or classes together", partial(_overlap, twice=2, pooled=True)),
    Metric("auc", "area under the ROC curve", True, False, None, "area"),
    _sums("iou", "intersection over union, the mean over classes", partial(_overlap, twice=1, pooled=False)),
    _sums("mae", "mean absolute error", partial(_distance, of="absolute"), up=False, relative=True),
    _sums("mse", "mean squared error", partial(_distance, of="square"), up=False, relative=True),
    _sums("rmse", "root mean squared error", partial(_distance, of="root"), up=False, relative=True),
    _sums(
        "r2", "coefficient of determination", lambda task: Determination(task, pair(task, elementwise=True))
    ),
    _sums("wer", "word error rate", lambda task: Texts(task, "word"), up=False),
    _sums("cer", "character error rate", lambda task: Texts(task, "character"), up=False),
    _sums(
        "perplexity",
        "exp of the mean negative log-probability of the labels",
        lambda task: Perplexity(task, pair(task, elementwise=False)),
        up=False,
        relative=True,
    ),
)

#: By name. Besides these: `top-K` (also `top_K_accuracy`) for any K, and `module:function` of the user.
KNOWN: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _METRICS})


def find_metric(name: str, *, higher_is_better: bool = True) -> Metric:
    """The metric of a name; ConfigurationError for an unknown one, with the nearest known name.

    `higher_is_better` is what a function of the user means.
    """
    if name in KNOWN:
        return KNOWN[name]
    match = _TOP.match(name)
    if match is not None:
        top = int(match[1])
        return _sums(name, f"share of labels among the {top} best classes", partial(_accuracy, top=top))
    if _FUNCTION.match(name):
        return Metric(name, "metric of the user", higher_is_better, False, None, "function")
    names = (*KNOWN, "top-5")
    near = get_close_matches(name.lower().replace("_", "-"), names, 1, cutoff=0.5)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigurationError(
        f"unknown metric {name!r}: {meant}there are {', '.join(KNOWN)}, top-K (as top-5), and "
        "`module:function` of your own"
    )
