"""What a report says about decoding: how far logits drift along one text, and where the texts diverge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from validator.checks.decode.types import (
    Continuations,
    DecodeComparison,
    DecodeNotes,
    DecodeObstacle,
    DecodeStep,
    DecodeVerdict,
    Divergence,
    FullPassDisagreement,
    StepsGap,
)
from validator.checks.protocol import Finding
from validator.failure import UNJUDGED, Failure
from validator.report import figures
from validator.report.document import Block, Bullets, Entry, Heading, Paragraph, Table
from validator.report.phrases import Words, name, plural, words
from validator.report.words import CheckWords, Place
from validator.report.words.failures import error_line
from validator.text import plain
from validator.verdict.bands import GREEN

_STEPS = 32  # characters of a sparkline
_ROWS = 16  # steps of a table
_CONTINUATION = 160  # characters of one text
_TIE = {True: "; a tie: both tokens are right", False: "", None: "; noise unknown"}
_GAPS: dict[StepsGap, str] = {
    "not-run": "no job ran along the baseline's tokens",
    "other-tokens": "the job did not follow the baseline's tokens",
}
_OBSTACLES: dict[DecodeObstacle, str] = {
    "prompts": "the prompts differ from the baseline's",
    "vocabulary": "the number of logits per position changed from {} to {}",
}
_HEADINGS = tuple(
    Heading(text, numeric=True) for text in ("step", "samples", "KL", "noise KL", "Δp, rms", "same top-1")
)


def _sentence(finding: Finding) -> Words:
    if isinstance(finding, FullPassDisagreement):
        return words(_disagreement(finding))
    if isinstance(finding, DecodeNotes):
        return words("; ".join(_notes(finding)))
    assert isinstance(finding, DecodeVerdict)  # noqa: S101  # the last kind
    return words(_verdict(finding))


def _disagreement(finding: FullPassDisagreement) -> str:
    agreed = {True: "; in the baseline both agree", False: "; in the baseline as well", None: ""}
    if finding.kl is None:  # no distance, so no cause either
        return (
            "one forward pass over prompt and continuation disagrees with step-by-step decoding: "
            f"logits are not finite in one of the two{agreed[finding.baseline_agrees]}"
        )
    return (
        "one forward pass over prompt and continuation disagrees with step-by-step decoding "
        f"(KL {figures.number(finding.kl)}){agreed[finding.baseline_agrees]}. "
        "Either attention is not causal, or a cache is stale"
    )


def _notes(finding: DecodeNotes) -> Iterator[str]:
    if finding.modes is not None:
        yield "decode took its steps in mode {} in the baseline, {} in the candidate".format(*finding.modes)
    yield from (f"decode: {note}" for note in finding.notes)


def _verdict(finding: DecodeVerdict) -> str:
    if finding.verdict == "identical":
        size = f"{plural(finding.samples, 'sample')}, {plural(finding.steps, 'step')}"
        return f"decode is identical, bit for bit ({size})"
    if finding.failure is not None:
        whose = "" if finding.failure.stage in UNJUDGED else "the baseline fails: "
        start = "decode fails: " if finding.verdict == "failed" else f"decode was not compared: {whose}"
        return f"{start}{error_line(finding.failure)}"
    if finding.obstacle is not None:
        reason = _OBSTACLES[finding.obstacle].format(*finding.vocabularies or ())
        return f"decode was not compared: {reason}"
    return ". ".join(_differences(finding))


def _differences(finding: DecodeVerdict) -> Iterator[str]:
    yield f"decode, prefill: KL {figures.number(finding.prefill_kl)}"
    yield f"Teacher-forced: {_forced(finding)}"
    yield f"Free-running: {_free(finding)}"
    if finding.broken:
        yield f"NaN ends {plural(finding.broken, 'sample')} in the candidate only"
    if finding.infinite:
        yield f"{plural(finding.infinite, 'position')} not finite on one side"


def _forced(finding: DecodeVerdict) -> str:
    if finding.gap is not None:
        if isinstance(finding.gap, Failure):
            return f"not compared, the job along the baseline's tokens failed: {error_line(finding.gap)}"
        return f"not compared, {_GAPS[finding.gap]}"
    if not finding.step_kl:
        return f"no position is finite on both sides in {plural(finding.steps, 'step')}"
    steps = "KL " + ", ".join(f"{figures.number(part.kl)} at step {part.step}" for part in finding.step_kl)
    growth, noise = finding.growth, finding.noise_kl
    if growth is not None:
        first, second = (figures.number(half) for half in (growth.first, growth.second))
        steps += f"; in samples that reach the second half, on average {first} before it and {second} in it"
    return steps + ("; noise unknown" if noise is None else f"; noise {figures.number(noise)}")


def _free(finding: DecodeVerdict) -> str:
    if finding.first is None:
        return "the same tokens"
    ties = f" ({plural(finding.ties, 'tie')})" if finding.ties else ""
    share = figures.share(finding.diverged, finding.samples)
    return f"{_divergence(finding.first)}; the text diverges in {share} samples{ties}"


def _divergence(first: Divergence) -> str:
    margin = "unknown" if first.margin is None else f"{figures.number(first.margin)} nats"
    which = "first divergent token that is no tie" if first.tie is False else "first divergent token"
    return f"{which}: step {first.step} of sample {first.sample} (margin {margin}{_TIE[first.tie]})"


def _place(finding: Finding) -> Place:
    """A decode that holds needs no word; what it changes explains a cell that predicts the same."""
    if isinstance(finding, FullPassDisagreement) or finding.verdict not in (None, *GREEN):
        return "why"
    return "note" if finding.verdict is None else "hidden"


def _details(comparison: DecodeComparison, findings: Sequence[Finding]) -> tuple[Block, ...]:
    """KL by step as a line and as a table, and the first divergence with both texts."""
    if comparison.prefill is None or comparison.identical:
        return ()
    blocks: list[Block] = []
    if comparison.steps:
        line = figures.sparkline([step.statistics.mean_kl for step in comparison.steps], most=_STEPS)
        prefill = f"; prefill KL {figures.number(comparison.prefill.mean_kl)}"
        noise = f"; noise KL {figures.number(comparison.noise.kl)}" if comparison.noise else "; noise unknown"
        every = -(-len(comparison.steps) // _ROWS)
        kept = [*comparison.steps[:-1:every], comparison.steps[-1]]
        blocks.append(Paragraph(words("decode, KL by step: ", name(line), prefill, noise)))
        blocks.append(Table(_HEADINGS, tuple(_row(step) for step in kept)))
    if comparison.first is not None and comparison.continuations is not None:
        blocks.append(Paragraph(words(_divergence(comparison.first))))
        blocks.append(_texts(comparison.continuations))
    return tuple(blocks)


def _row(step: DecodeStep) -> tuple[Entry, ...]:
    statistics = step.statistics
    texts = (
        str(step.step),
        str(step.samples),
        figures.number(statistics.mean_kl),
        figures.number(step.noise_kl.mean if step.noise_kl else None),
        figures.number(statistics.delta_p_rms),
        f"{statistics.same_top.mean:.0%}" if statistics.same_top else figures.NONE,
    )
    return tuple(Entry(words(text)) for text in texts)


def _texts(both: Continuations) -> Bullets:
    """The prompt and both continuations: as text, or else as ids."""
    texts = {
        "prompt": both.prompt_text,
        "baseline": both.baseline_text or " ".join(map(str, both.baseline_tokens)),
        "candidate": both.candidate_text or " ".join(map(str, both.candidate_tokens)),
    }
    known = ((side, plain(text, _CONTINUATION)) for side, text in texts.items() if text)
    return Bullets(tuple(words(f"{side}: ", name(text)) for side, text in known))


WORDS = CheckWords[DecodeComparison](_sentence, _place, details=_details)
