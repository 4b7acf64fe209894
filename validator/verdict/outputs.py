"""One output's verdict. The rules stand in the order in which they speak."""

from __future__ import annotations

import math
from dataclasses import dataclass

from validator.compare.tensors import TensorComparison, Worst
from validator.config.settings import Tolerance
from validator.results import CellVerdict, Element, OutputResult


@dataclass(frozen=True)
class OutputEvidence:
    """What is known of one output: a comparison, or why there is none (`missing`, `extra`, `renamed` …)."""

    name: str
    comparison: TensorComparison | None
    problem: str = ""
    configured: Tolerance | None = None


def judge_output(evidence: OutputEvidence) -> OutputResult:
    """The verdict of one output, with the rule that spoke and its numbers."""
    comparison = evidence.comparison
    if comparison is None:
        return OutputResult(
            name=evidence.name,
            verdict="changed",
            rule="the outputs of both sides must be the same ones",
            message=f"output `{evidence.name}` {evidence.problem}",
        )
    verdict, rule, message = _decide(evidence, comparison)
    return OutputResult(
        name=evidence.name,
        verdict=verdict,
        rule=rule,
        message=message,
        dtype=comparison.candidate_dtype,
        shape=comparison.candidate_shape,
        max_abs=_finite(comparison.max_abs),
        max_rel=_finite(comparison.max_rel),
        rms=_finite(comparison.rms),
        cosine=_finite(comparison.cosine),
        mismatched=comparison.mismatched,
        size=comparison.size,
        flips=comparison.flips,
        rows=comparison.rows,
        nan_baseline=comparison.nan_baseline,
        nan_candidate=comparison.nan_candidate,
        inf_baseline=comparison.inf_baseline,
        inf_candidate=comparison.inf_candidate,
        worst=_element(comparison.worst or comparison.first_nonfinite),
    )


def _decide(evidence: OutputEvidence, found: TensorComparison) -> tuple[CellVerdict, str, str]:
    name = f"output `{evidence.name}`"
    problems = "; ".join(problem.message for problem in found.problems)
    if any(problem.kind == "empty" for problem in found.problems):
        return "not-compared", "an empty tensor proves nothing", f"{name}: {problems}"
    if problems:
        return "changed", "dtype, shape and structure must be the same", f"{name}: {problems}"
    if found.identical:
        return "identical", "every byte is equal", ""
    if found.nonfinite_mismatched:
        return "changed", "NaN and infinity must stand at the same places", _nonfinite(name, found)
    used = found.tolerance
    source = "configured" if evidence.configured else found.baseline_dtype
    rule = f"{source} tolerance: rtol {used.rtol:g}, atol {used.atol:g}"
    if found.mismatched:
        return "changed", rule, _moved(name, found)
    return "rounding", rule, f"{name}: {found.max_abs:.2g} at most"


def _moved(name: str, found: TensorComparison) -> str:
    parts = [f"{name}: {found.mismatched:,} of {found.size:,} values outside the tolerance"]
    if found.worst is not None:
        place = ", ".join(str(index) for index in found.worst.index)
        parts.append(f"at [{place}] {_value(found.worst.baseline)} became {_value(found.worst.candidate)}")
    if found.flips:
        parts.append(f"{found.flips:,} of {found.rows:,} arg max moved")
    return ", ".join(parts)


def _nonfinite(name: str, found: TensorComparison) -> str:
    counts = f"{found.nan_baseline} NaN and {found.inf_baseline} infinite values became "
    counts += f"{found.nan_candidate} and {found.inf_candidate}"
    place = found.first_nonfinite
    if place is None:
        return f"{name}: {counts}"
    index = ", ".join(str(part) for part in place.index)
    return f"{name}: {counts}, first at [{index}]: {_value(place.baseline)} became {_value(place.candidate)}"


def _value(value: float | int | complex | str) -> str:
    return f"{value:.6g}" if isinstance(value, float | complex) else repr(value)


def _element(worst: Worst | None) -> Element | None:
    if (
        worst is None
        or isinstance(worst.baseline, str | complex)
        or isinstance(worst.candidate, str | complex)
    ):
        return None
    return Element(
        index=worst.index, baseline=_finite(float(worst.baseline)), candidate=_finite(float(worst.candidate))
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
