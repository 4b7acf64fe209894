"""One output's verdict. The rules stand in the order in which they speak."""

from __future__ import annotations

import math
from dataclasses import dataclass

from validator.compare.drift import Drift
from validator.compare.tensors import TensorComparison, Worst
from validator.compare.tolerances import TOLERANCES
from validator.config.settings import Tolerance
from validator.results import CellVerdict, Element, OutputResult
from validator.verdict.bands import OVERALL, Banded, by_noise


@dataclass(frozen=True)
class SelfNoise:
    """How far an output differs between two runs of one environment; `side` says in words which."""

    side: str
    elements: int
    max_abs: float | None


@dataclass(frozen=True)
class OutputEvidence:
    """What is known of one output.

    Attributes:
        comparison: the numbers; None where there are none, and `problem` says why (`is missing` …).
        configured: the user's tolerance.
        drift: drift over noise; None where there is no noise, and `noiseless` says why.
        unstable: how far either side disagrees with itself.
    """

    name: str
    comparison: TensorComparison | None
    problem: str = ""
    configured: Tolerance | None = None
    drift: Drift | None = None
    noiseless: str = "it was not measured"
    unstable: tuple[SelfNoise, ...] = ()


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
    drift = evidence.drift
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
        noise_rms=_finite(drift.noise_rms) if drift else None,
        noise_ratio=_finite(drift.ratio) if drift else None,
        worst_sample=drift.sample if drift else None,
        worst_sample_ratio=_finite(drift.sample_ratio) if drift else None,
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
    """Verdict, rule and message: the first rule that applies."""
    name = f"output `{evidence.name}`"
    certain = _certain(name, found)
    if certain is not None:
        return certain
    unsteady = _unsteady(evidence, found)
    if unsteady is not None:
        return unsteady.verdict, unsteady.rule, f"{name}: {unsteady.rule}"
    banded = _banded(evidence, found)
    if banded.verdict == "rounding":
        return banded.verdict, banded.rule, f"{name}: {found.max_abs:.2g} at most"
    return banded.verdict, banded.rule, _moved(name, found, evidence.drift)


def _certain(name: str, found: TensorComparison) -> tuple[CellVerdict, str, str] | None:
    """What needs no noise and no tolerance."""
    problems = "; ".join(problem.message for problem in found.problems)
    if any(problem.kind == "empty" for problem in found.problems):
        return "not-compared", "an empty tensor proves nothing", f"{name}: {problems}"
    if problems:
        return "changed", "dtype, shape and structure must be the same", f"{name}: {problems}"
    if found.identical:
        return "identical", "every byte is equal", ""
    if found.nonfinite_mismatched:
        return "changed", "NaN and infinity must stand at the same places", _nonfinite(name, found)
    return None


def _unsteady(evidence: OutputEvidence, found: TensorComparison) -> Banded | None:
    """Both sides are apart by no more than one of them is from itself: neither equal nor changed."""
    for own in evidence.unstable:
        if not _within(found, own):
            continue
        if found.max_abs is None or own.max_abs is None:
            apart = f"in {own.elements:,} values, both sides in {found.mismatched:,}"
        else:
            apart = f"by {own.max_abs:.2g} at most, both sides by {found.max_abs:.2g}"
        rule = f"nondeterministic: two runs {own.side} differ {apart}; nothing can be said below that"
        return Banded("suspicious", rule)
    return None


def _within(found: TensorComparison, own: SelfNoise) -> bool:
    """Whether the difference is no larger than twice what one side differs from itself.

    The root mean square of a self-difference is at most max_abs · sqrt(elements / size).
    """
    twice = OVERALL.rounding
    if found.max_abs is None or found.rms is None:
        return found.mismatched <= twice * own.elements
    if own.max_abs is None:
        return False
    most = own.max_abs * math.sqrt(min(1.0, own.elements / found.size))
    return found.max_abs <= twice * own.max_abs and found.rms <= twice * most


def _banded(evidence: OutputEvidence, found: TensorComparison) -> Banded:
    """Exactness, the configured tolerance, noise, or the tolerance of the dtype: the first that applies."""
    used = found.tolerance
    within: CellVerdict = "changed" if found.mismatched else "rounding"
    if evidence.configured:
        rule = f"configured tolerance: rtol {used.rtol:g}, atol {used.atol:g}"
        return Banded(within, rule + _against_noise(within, evidence.drift))
    if found.baseline_dtype not in TOLERANCES:
        return Banded(within, "integers, booleans and strings must be equal")
    if evidence.drift is not None:
        return by_noise(evidence.drift)
    rule = f"{found.baseline_dtype} tolerance: rtol {used.rtol:g}, atol {used.atol:g}"
    why = f"with less confidence, since there is no noise floor: {evidence.noiseless}"
    return Banded(within, f"{rule}; {why}")


def _against_noise(within: CellVerdict, drift: Drift | None) -> str:
    """How a configured tolerance compares with the measured noise."""
    if drift is None:
        return ""
    noise = by_noise(drift)
    if noise.verdict == within:
        return f"; {noise.rule} agrees"
    looser = "looser" if within == "rounding" else "stricter"
    return f", which is {looser} than {noise.rule}: by noise alone this would be {noise.verdict}"


def _moved(name: str, found: TensorComparison, drift: Drift | None = None) -> str:
    if drift is None:
        parts = [f"{name}: {found.mismatched:,} of {found.size:,} values outside the tolerance"]
    else:
        parts = [f"{name}: {drift.ratio:.3g} times the noise"]
        if drift.sample_ratio is not None and OVERALL.verdict(drift.ratio) == "rounding":
            parts.append(f"sample {drift.sample} {drift.sample_ratio:.3g} times its own")
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
