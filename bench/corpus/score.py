"""Holds what was said against what is known, and counts. Nothing here runs a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.corpus.case import Case, Change, Split
from validator.checks.layers.types import Cause, FirstDifference
from validator.checks.outputs import change_of
from validator.checks.protocol import Finding
from validator.checks.structure.types import StructureFinding
from validator.checks.training.types import TrainingCause
from validator.verdict.bands import BREAKS, GREEN
from validator.verdict.results import CellResult

OURS = "this validator"


@dataclass(frozen=True)
class Outcome:
    """One case as it came out.

    Attributes:
        alarms: whoever judged → whether it says that something changed.
        layer: whether the right layer is named; None where no layer is to blame.
        kind: whether the right kind is named; None for a benign pair.
        said: our verdict in words, for the list of misses.
    """

    identity: str
    split: Split
    changed: bool
    alarms: Mapping[str, bool]
    layer: bool | None
    kind: bool | None
    said: str
    suspicious: bool = False
    structure: bool = False

    @property
    def wrong(self) -> list[str]:
        """What is not right about what was said."""
        wrong = ["not seen"] if self.changed and not self.alarms[OURS] else []
        wrong += ["false alarm"] if not self.changed and self.alarms[OURS] else []
        wrong += ["layer"] if self.layer is False else []
        return [*wrong, "kind"] if self.kind is False else wrong


def outcome(case: Case, result: CellResult, alarms: Mapping[str, bool]) -> Outcome:
    """Score one case; `alarms` are those of the fixed rules."""
    change = case.change
    return Outcome(
        identity=case.id,
        split=case.split,
        changed=change is not None,
        alarms={OURS: _alarm(change, result), **alarms},
        layer=_layer(change, result) if change is not None and change.layer else None,
        kind=_kind(change, result) if change is not None else None,
        said=_said(result),
        suspicious=result.verdict == "suspicious",
        structure=bool(_structure(result)),
    )


def _alarm(change: Change | None, result: CellResult) -> bool:
    """Whatever is not green; where nothing but the structure differs, a finding that says so."""
    if change is not None and change.shows == "structure":
        return bool(_structure(result))
    return result.verdict not in GREEN or bool(_broken_training(result))


def _broken_training(result: CellResult) -> list[Finding]:
    return [one for one in result.findings if one.check == "training" and one.verdict in BREAKS]


def _layer(change: Change, result: CellResult) -> bool:
    if change.shows == "structure":
        return any(finding.difference.layer == change.layer for finding in _structure(result))
    # what is inside of the layer is named even better; a further call of it is the same layer
    return any(f"{layer}/".startswith(f"{change.layer}/") for layer in _layers(change, result))


def _layers(change: Change, result: CellResult) -> list[str]:
    """The layers that are named for a change."""
    if change.shows == "training":
        causes = [one for one in result.findings if isinstance(one, TrainingCause)]
        return [one.layer.name for one in causes if one.layer is not None]
    first = _first(result)
    return [] if first is None else [first.layer]


def _first(result: CellResult) -> Cause | None:
    return next((finding.cause for finding in result.findings if isinstance(finding, FirstDifference)), None)


def _structure(result: CellResult) -> list[StructureFinding]:
    return [finding for finding in result.findings if isinstance(finding, StructureFinding)]


def _kind(change: Change, result: CellResult) -> bool:
    if change.shows == "predictions":
        return _first_kind(change, result)
    failed = result.failure is not None and result.failure.stage in {"build", "load", "predict"}
    right = {
        "metric": result.verdict == "metric-only",
        "failure": result.verdict == "failed" and failed,
        "nondeterminism": any(finding.kind == "nondeterministic" for finding in result.findings),
        "feeding": any(finding.kind == "inputs-fed" for finding in result.findings),
        "training": bool(_broken_training(result)),
        "structure": result.verdict in GREEN and _alarm(change, result),
    }
    return right[change.shows]


def _first_kind(change: Change, result: CellResult) -> bool:
    """The kind of the first difference, and whether digits were lost or something else is computed."""
    first = _first(result)
    if first is None or first.differs not in change.kinds:
        return False
    if change.precision is None:
        return True
    return change_of(result.findings) == ("precision" if change.precision else "semantic")


def _said(result: CellResult) -> str:
    first, change = _first(result), change_of(result.findings)
    place = f" at `{first.layer}` ({first.class_name}, {first.differs})" if first else ""
    failure = f": {result.failure.error}: {result.failure.message}" if result.failure else ""
    return f"{result.verdict}{f', {change}' if change else ''}{place}{failure}"


@dataclass(frozen=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    def __str__(self) -> str:
        if not self.whole:
            return "–"
        return f"{self.part}/{self.whole} ({100 * self.part / self.whole:.0f} %)"


@dataclass(frozen=True)
class Row:
    """One line of the table: whoever judged, over the cases of one split."""

    who: str
    recall: Share
    false_alarms: Share
    layer: Share
    kind: Share


def table(outcomes: Sequence[Outcome]) -> list[Row]:
    """A row for us and for each fixed rule. Layers and kinds are named by nobody else."""
    names = list(outcomes[0].alarms) if outcomes else []
    changed = [one for one in outcomes if one.changed]
    benign = [one for one in outcomes if not one.changed]
    return [
        Row(
            who=name,
            recall=_count(one.alarms[name] for one in changed),
            false_alarms=_count(one.alarms[name] for one in benign),
            layer=_count(one.layer for one in changed if one.layer is not None and name == OURS),
            kind=_count(one.kind for one in changed if one.kind is not None and name == OURS),
        )
        for name in names
    ]


def _count(answers: Iterable[bool | None]) -> Share:
    known = [answer is True for answer in answers]
    return Share(sum(known), len(known))


def misses(outcomes: Sequence[Outcome]) -> list[str]:
    """Every case of ours that is not wholly right, with what was said instead."""
    return [f"{one.identity} – {', '.join(one.wrong)}: {one.said}" for one in outcomes if one.wrong]
