"""What a comparison of decoding means: its verdict, and the sentence that says it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from validator.compare.decode import PERCENTILES, Estimate, Growth, Split, Summary
from validator.results import (
    CellVerdict,
    DecodeAgreement,
    DecodeDivergence,
    DecodeResult,
    DecodeStatistics,
    DecodeStep,
    Failure,
)
from validator.text import first_line
from validator.verdict.bands import OVERALL

_SHOWN = 60  # characters of a text in a sentence


@dataclass(frozen=True)
class Divergence:
    """A sample that went on otherwise, with the baseline's preference at that step, in nats."""

    split: Split
    margin: float | None


@dataclass(frozen=True)
class Step:
    """One step along the baseline's tokens, and what noise does there."""

    summary: Summary
    samples: int
    noise: Estimate | None


@dataclass(frozen=True)
class Noise:
    """What weights moved by one unit in the last place do: mean divergence, and the largest change of a
    margin between the two best tokens."""

    kl: float
    margin: float


@dataclass(frozen=True)
class Texts:
    """One sample in tokens and words; words are empty without a detokeniser."""

    baseline_tokens: tuple[int, ...]
    candidate_tokens: tuple[int, ...]
    prompt: str = ""
    baseline: str = ""
    candidate: str = ""


@dataclass(frozen=True)
class DecodeEvidence:
    """What is known of the decode of one cell and its baseline.

    Attributes:
        identical: every logit of prefill and steps has the same bits.
        broken: samples that met NaN here and not in the baseline.
        forced: None where steps along the baseline's tokens could not be had; `problem` says why.
        agreements: prefill against decode in the baseline and here.
    """

    mode: str
    samples: tuple[int, ...]
    identical: bool
    prefill: Summary
    forced: Summary | None
    steps: tuple[Step, ...]
    noise: Noise | None
    divergences: tuple[Divergence, ...]
    texts: tuple[Texts, ...]
    agreements: tuple[Summary, Summary]
    growth: Growth | None = None
    broken: int = 0
    problem: str = ""
    notes: tuple[str, ...] = ()


def failed_decode(failure: Failure) -> DecodeResult:
    """The result where the candidate did not decode and the baseline did."""
    message = f"decode failed: {failure.error}: {first_line(failure.message)}"
    return DecodeResult(verdict="failed", message=message, failure=failure)


def uncompared_decode(reason: str) -> DecodeResult:
    """The result where there is nothing to compare with."""
    return DecodeResult(verdict="not-compared", message=f"decode: not compared: {reason}")


def judge_decode(evidence: DecodeEvidence) -> DecodeResult:
    """The verdict, its numbers and its sentence."""
    first, ties = _first(evidence)
    ratio = _ratio(evidence)
    mine, own = (_agreement(summary, evidence.noise) for summary in evidence.agreements)
    verdict = _verdict(evidence, ratio, first)
    return DecodeResult(
        verdict=verdict,
        message=_sentence(evidence, verdict, first),
        mode=evidence.mode,
        samples=len(evidence.samples),
        prefill=_statistics(evidence.prefill),
        forced=_statistics(evidence.forced) if evidence.forced else None,
        steps=tuple(_step(number, step) for number, step in enumerate(evidence.steps)),
        growth=evidence.growth.difference.mean if evidence.growth else None,
        growth_error=evidence.growth.difference.error if evidence.growth else None,
        noise_kl=evidence.noise.kl if evidence.noise else None,
        noise_ratio=ratio,
        diverged=len(evidence.divergences),
        ties=ties,
        first=first,
        baseline_agreement=mine,
        candidate_agreement=own,
        notes=evidence.notes,
    )


def _verdict(evidence: DecodeEvidence, ratio: float | None, first: DecodeDivergence | None) -> CellVerdict:
    if evidence.identical and not evidence.divergences:
        return "identical"
    if evidence.broken or (first is not None and first.tie is False):
        return "changed"
    if evidence.prefill.infinite or (evidence.forced and evidence.forced.infinite):
        return "suspicious"
    if ratio is None:
        return "suspicious"
    found = OVERALL.verdict(ratio)
    return "suspicious" if found == "rounding" and evidence.forced is None else found


def _ratio(evidence: DecodeEvidence) -> float | None:
    """Drift over noise. A divergence grows with the square of a drift."""
    means = [one.kl.mean for one in (evidence.prefill, evidence.forced) if one is not None and one.kl]
    if evidence.noise is None or not means:
        return None
    return math.sqrt(max(means) / evidence.noise.kl)


def _first(evidence: DecodeEvidence) -> tuple[DecodeDivergence | None, int]:
    """The first divergence that is no tie, or else the first, and how many are ties."""
    found = [_divergence(evidence, one) for one in evidence.divergences]
    ties = sum(one.tie is True for one in found)
    real = [one for one in found if one.tie is not True]
    return next(iter(real or found), None), ties


def _divergence(evidence: DecodeEvidence, one: Divergence) -> DecodeDivergence:
    noise = evidence.noise.margin if evidence.noise else None
    known = noise is not None and one.margin is not None
    texts = evidence.texts[one.split.sample]
    return DecodeDivergence(
        sample=evidence.samples[one.split.sample],
        step=one.split.step,
        baseline_token=one.split.baseline,
        candidate_token=one.split.candidate,
        margin=one.margin,
        noise_margin=noise,
        tie=one.margin <= noise if known and one.margin is not None and noise is not None else None,
        baseline_tokens=texts.baseline_tokens,
        candidate_tokens=texts.candidate_tokens,
        prompt_text=texts.prompt,
        baseline_text=texts.baseline,
        candidate_text=texts.candidate,
    )


def _agreement(summary: Summary, noise: Noise | None) -> DecodeAgreement:
    agree: bool | None = None
    if summary.infinite:
        agree = False
    elif summary.kl is not None and summary.kl.mean == 0:
        agree = True
    elif summary.kl is not None and noise is not None:
        agree = math.sqrt(summary.kl.mean / noise.kl) <= OVERALL.changed
    return DecodeAgreement(
        kl=summary.kl.mean if summary.kl else None,
        kl_max=summary.kl_max,
        same_top=summary.same_top.mean if summary.same_top else None,
        agree=agree,
    )


def _statistics(summary: Summary) -> DecodeStatistics:
    ranks = [f"{rank:g}" for rank in PERCENTILES]
    return DecodeStatistics(
        positions=summary.positions,
        infinite=summary.infinite,
        kl=_mean(summary.kl),
        kl_error=_error(summary.kl),
        kl_max=summary.kl_max,
        kl_percentiles=dict(zip(ranks, summary.kl_percentiles, strict=False)),
        delta_p=_mean(summary.delta_p),
        delta_p_error=_error(summary.delta_p),
        delta_p_rms=summary.delta_p_rms,
        delta_p_percentiles=dict(zip(ranks, summary.delta_p_percentiles, strict=False)),
        same_top=_mean(summary.same_top),
        same_top_error=_error(summary.same_top),
        ln_ppl_ratio=_mean(summary.ln_ppl_ratio),
        ln_ppl_ratio_error=_error(summary.ln_ppl_ratio),
    )


def _step(number: int, step: Step) -> DecodeStep:
    summary = step.summary
    return DecodeStep(
        step=number,
        samples=step.samples,
        kl=_mean(summary.kl),
        kl_error=_error(summary.kl),
        noise_kl=_mean(step.noise),
        delta_p=_mean(summary.delta_p),
        delta_p_rms=summary.delta_p_rms,
        same_top=_mean(summary.same_top),
    )


def _mean(estimate: Estimate | None) -> float | None:
    return estimate.mean if estimate else None


def _error(estimate: Estimate | None) -> float | None:
    return estimate.error if estimate else None


def _sentence(evidence: DecodeEvidence, verdict: CellVerdict, first: DecodeDivergence | None) -> str:
    samples, steps = len(evidence.samples), len(evidence.steps)
    if verdict == "identical":
        return f"decode: identical, bit for bit, over {_many(samples, 'sample')} and {_many(steps, 'step')}"
    prefill = f"decode: prefill KL {_number(_mean(evidence.prefill.kl))}"
    said = [prefill, _along(evidence), _choice(evidence, first)]
    if evidence.broken:
        said.append(f"NaN ends {_many(evidence.broken, 'sample')} here and not in the baseline")
    return "; ".join(said)


def _along(evidence: DecodeEvidence) -> str:
    """The steps along the baseline's tokens: first, worst, whether it grows, and what noise gives."""
    if evidence.forced is None:
        return f"steps along the baseline's tokens were not compared ({evidence.problem})"
    known = [(step.summary.kl.mean, number) for number, step in enumerate(evidence.steps) if step.summary.kl]
    if not known:
        return f"nothing finite in {_many(len(evidence.steps), 'step')}"
    largest, where = max(known)
    said = f"steps KL {known[0][0]:.2g} → {known[-1][0]:.2g} over {_many(len(evidence.steps), 'step')}"
    if where not in {known[0][1], known[-1][1]}:
        said += f", {largest:.2g} at step {where}"
    if evidence.growth is not None and _grows(evidence.growth):
        said += f", growing from {evidence.growth.first:.2g} to {evidence.growth.second:.2g} by halves"
    return said + (f" (rounding alone gives {evidence.noise.kl:.2g})" if evidence.noise else "")


def _grows(growth: Growth) -> bool:
    error = growth.difference.error
    return error is not None and growth.difference.mean > 2 * error


def _choice(evidence: DecodeEvidence, first: DecodeDivergence | None) -> str:
    if first is None:
        return "greedy decode takes the same tokens"
    kind = {True: "a tie", False: "not a tie", None: "noise unknown"}[first.tie]
    said = f"first other token at step {first.step} of sample {first.sample}"
    said += f" (margin {_number(first.margin)}, {kind})"
    if first.baseline_text or first.candidate_text:
        said += f", “{_short(first.candidate_text)}” for “{_short(first.baseline_text)}”"
    return f"{said}; {len(evidence.divergences)} of {_many(len(evidence.samples), 'sample')} go on otherwise"


def disagreement(result: DecodeResult) -> str:
    """The sentence where this environment's own prefill and decode disagree; empty where they agree."""
    base, own = result.baseline_agreement, result.candidate_agreement
    if own is None or own.agree is not False:
        return ""
    where = "and in the baseline too" if base and base.agree is False else "while in the baseline they agree"
    return (
        f"decode: here one pass over prompt and continuation gives other logits than step by step "
        f"(KL {_number(own.kl)}), {where}: positions see tokens behind them, or a cache holds something else"
    )


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN].rstrip()} …"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"
