"""What a comparison of decoding means: its verdict, and the sentence that says it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from validator.compare.decode import PERCENTILES, Estimate, Split, Summary
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
    broken: int = 0
    problem: str = ""


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
        message=_sentence(evidence, verdict, first, (mine, own)),
        mode=evidence.mode,
        samples=len(evidence.samples),
        prefill=_statistics(evidence.prefill),
        forced=_statistics(evidence.forced) if evidence.forced else None,
        steps=tuple(_step(number, step) for number, step in enumerate(evidence.steps)),
        noise_kl=evidence.noise.kl if evidence.noise else None,
        noise_ratio=ratio,
        diverged=len(evidence.divergences),
        ties=ties,
        first=first,
        baseline_agreement=mine,
        candidate_agreement=own,
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


def _sentence(
    evidence: DecodeEvidence,
    verdict: CellVerdict,
    first: DecodeDivergence | None,
    agreements: tuple[DecodeAgreement, DecodeAgreement],
) -> str:
    if verdict == "identical":
        said = [f"decode: identical, bit for bit, {_counted(evidence)}"]
    else:
        prefill = f"prefill KL {_number(_mean(evidence.prefill.kl))}"
        parts = [f"decode: {prefill}, {_growth(evidence)}", _choice(evidence, first)]
        if evidence.noise is not None:
            parts.append(f"rounding alone gives KL {evidence.noise.kl:.2g}")
        said = [part for part in parts if part]
    if evidence.broken:
        said.append(f"{evidence.broken} samples meet NaN that do not in the baseline")
    return "; ".join([*said, *_disagreements(agreements)])


def _counted(evidence: DecodeEvidence) -> str:
    steps = len(evidence.steps)
    return f"{len(evidence.samples)} samples, {steps} step{'s' * (steps != 1)}"


def _growth(evidence: DecodeEvidence) -> str:
    if evidence.forced is None:
        return f"steps along the baseline's tokens could not be compared ({evidence.problem})"
    known = [step.summary.kl for step in evidence.steps if step.summary.kl is not None]
    steps = len(evidence.steps)
    if not known:
        return f"nothing finite in {steps} steps"
    largest = max(estimate.mean for estimate in known)
    shown = f"steps KL {known[0].mean:.2g} → {known[-1].mean:.2g} over {steps} steps"
    return (
        shown if largest <= 1.5 * max(known[0].mean, known[-1].mean) else f"{shown} ({largest:.2g} at most)"
    )


def _choice(evidence: DecodeEvidence, first: DecodeDivergence | None) -> str:
    if first is None:
        return "greedy decode takes the same tokens"
    size = f"margin {_number(first.margin)}"
    kind = {True: "a tie", False: "not a tie", None: "noise unknown"}[first.tie]
    said = f"first other token at step {first.step} of sample {first.sample} ({size}, {kind})"
    return f"{said}, {len(evidence.divergences)} of {len(evidence.samples)} samples go on otherwise"


def _disagreements(agreements: tuple[DecodeAgreement, DecodeAgreement]) -> list[str]:
    base, own = agreements
    if own.agree is not False:
        return []
    also = " and in the baseline too" if base.agree is False else ", in the baseline they agree"
    return [
        f"here prefill and decode disagree (KL {_number(own.kl)} between one pass and step by step){also}: "
        "positions see tokens behind them, or a cache is not what the whole prefix gives"
    ]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2g}"
