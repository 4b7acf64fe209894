"""The numbers of a decode → its findings."""

from __future__ import annotations

import math
from collections.abc import Iterator

from validator.checks.bands import Band, Bands, CellVerdict
from validator.checks.decode import types
from validator.checks.decode.types import DecodeComparison, DecodeVerdict
from validator.checks.protocol import Finding
from validator.failure import UNJUDGED


def decode_findings(comparison: DecodeComparison, bands: Bands) -> Iterator[Finding]:
    """The verdict, a disagreement of one pass with step-by-step decoding, and what limits the comparison."""
    yield _verdict_of(comparison, bands)
    candidate, baseline = (
        _agrees(side, comparison.noise, bands.decode)
        for side in (comparison.candidate_agreement, comparison.baseline_agreement)
    )
    if candidate is False and comparison.candidate_agreement is not None:
        yield types.FullPassDisagreement(kl=comparison.candidate_agreement.mean_kl, baseline_agrees=baseline)
    modes = comparison.modes
    other_modes = modes is not None and modes[0] != modes[1]
    if other_modes or comparison.notes:
        yield types.DecodeNotes(modes=modes if other_modes else None, notes=comparison.notes)


def _verdict_of(comparison: DecodeComparison, bands: Bands) -> DecodeVerdict:
    growth, noise, prefill = comparison.growth, comparison.noise, comparison.prefill
    error = growth.difference.error if growth else None
    grows = growth is not None and error is not None and growth.difference.mean > bands.growth_errors * error
    infinite = sum(part.infinite for part in (prefill, comparison.forced) if part is not None)
    return DecodeVerdict(
        **{name: getattr(comparison, name) for name in types.DecodeFacts.model_fields},
        verdict=_judged(comparison, infinite, bands.decode),
        steps=len(comparison.steps),
        prefill_kl=prefill.mean_kl if prefill else None,
        step_kl=_notable(comparison),
        growth=growth if grows else None,
        noise_kl=noise.kl if noise else None,
        diverged=len(comparison.divergences),
        ties=sum(part.tie is True for part in comparison.divergences),
        infinite=infinite,
    )


def _judged(comparison: DecodeComparison, infinite: int, band: Band) -> CellVerdict:
    """Not green without noise or where a step or position was not compared, unless every bit is the same."""
    failure = comparison.failure
    if failure is not None and comparison.failed_side == "candidate" and failure.stage not in UNJUDGED:
        return "failed"
    if failure is not None or comparison.obstacle:
        return "not-compared"
    if comparison.identical and not comparison.divergences:
        return "identical"
    if comparison.broken or (comparison.first is not None and comparison.first.tie is False):
        return "changed"
    if infinite or comparison.noise_ratio is None:
        return "suspicious"
    verdict = band.verdict(comparison.noise_ratio)
    return "suspicious" if verdict == "rounding" and comparison.forced is None else verdict


def _notable(comparison: DecodeComparison) -> tuple[types.StepKl, ...]:
    """The first step, the worst, and the last, each once."""
    kl = [(step.step, step.statistics.mean_kl) for step in comparison.steps]
    known = [types.StepKl(step=step, kl=value) for step, value in kl if value is not None]
    if not known:
        return ()
    worst = max(known, key=lambda part: (part.kl, part.step))  # the later of equals
    return tuple(dict.fromkeys((known[0], worst, known[-1])))


def _agrees(
    statistics: types.DecodeStatistics | None, noise: types.DecodeNoise | None, band: Band
) -> bool | None:
    """Whether one pass and steps agree within noise; None where there is no noise to compare with."""
    if statistics is None or statistics.infinite:
        return None if statistics is None else False
    kl = statistics.mean_kl
    if kl == 0:
        return True
    return None if noise is None or kl is None else math.sqrt(kl / noise.kl) <= band.changed
