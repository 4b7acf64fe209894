"""Two decodes → the numbers of the check.

As long as a candidate takes the baseline's tokens, its own steps are the steps along them. Where it takes
others, the steps along the baseline's come from a job of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from validator.checks.decode import numbers, types
from validator.checks.decode.answers import DecodeAnswer, Decoded, Logits
from validator.checks.decode.numbers import Owners, RowNumbers
from validator.checks.decode.types import DecodeComparison
from validator.failure import Failure


def compare_decodes(baseline: Decoded | Failure, candidate: Decoded | Failure) -> DecodeComparison:
    """Every number of a cell's decode against its baseline's."""
    if isinstance(baseline, Failure):
        return DecodeComparison(failure=baseline, failed_side="baseline")
    if isinstance(candidate, Failure):
        return DecodeComparison(failure=candidate, failed_side="candidate")
    old, new = baseline.answer, candidate.answer
    vocabularies = (old.vocabulary, new.vocabulary)
    if (old.samples, old.prompts, old.positions) != (new.samples, new.prompts, new.positions):
        return DecodeComparison(obstacle="prompts", vocabularies=vocabularies)
    if old.vocabulary != new.vocabulary:
        return DecodeComparison(obstacle="vocabulary", vocabularies=vocabularies)
    return _compared(baseline, candidate)


def _compared(baseline: Decoded, candidate: Decoded) -> DecodeComparison:
    old, new = baseline.answer, candidate.answer
    along = _along(baseline, candidate)
    rows = numbers.compare_rows(baseline.steps, along, old.flat) if isinstance(along, np.ndarray) else None
    members = [numbers.compare_rows(baseline.steps, member, old.flat) for member in baseline.noise]
    prefill = _prefill(baseline, candidate)
    prefill_statistics = numbers.summarise(prefill, _owners(old.positions))
    forced = numbers.summarise(rows, _owners(old.tokens)) if rows else None
    noise = _noise(members)
    divergences = _divergences(baseline, new, noise)
    first = next((part for part in divergences if part.tie is not True), next(iter(divergences), None))
    return DecodeComparison(
        vocabularies=(old.vocabulary, new.vocabulary),
        modes=(old.mode, new.mode),
        samples=len(old.samples),
        identical=bool(prefill.same_bits.all()) and rows is not None and bool(rows.same_bits.all()),
        prefill=prefill_statistics,
        forced=forced,
        gap=None if isinstance(along, np.ndarray) else along,
        steps=tuple(_steps(old, rows, members)) if rows else (),
        growth=numbers.growth(rows.kl, [len(tokens) for tokens in old.tokens]) if rows else None,
        noise=noise,
        noise_ratio=_ratio((prefill_statistics, forced), noise),
        divergences=tuple(divergences),
        first=first,
        continuations=_continuations(old, new, old.samples.index(first.sample)) if first else None,
        broken=sum(b == "nan" and a != "nan" for a, b in zip(old.ends, new.ends, strict=True)),
        baseline_agreement=_agreement(baseline),
        candidate_agreement=_agreement(candidate),
        notes=tuple(dict.fromkeys((*old.notes, *new.notes))),
        along=old,
    )


def _along(baseline: Decoded, candidate: Decoded) -> Logits | types.StepsGap | Failure:
    """The candidate's logits along the baseline's tokens, or why there are none."""
    if baseline.answer.tokens == candidate.answer.tokens:
        return candidate.steps
    if candidate.forced is None:
        return "not-run"
    if isinstance(candidate.forced, Failure):
        return candidate.forced
    answer, logits = candidate.forced
    same = (answer.samples, answer.tokens) == (baseline.answer.samples, baseline.answer.tokens)
    return logits if same else "other-tokens"


def _owners(lists: Sequence[Sequence[int]]) -> Owners:
    """Which sample each row belongs to, where rows lie sample after sample."""
    return np.repeat(np.arange(len(lists)), [len(entries) for entries in lists])


def _prefill(baseline: Decoded, candidate: Decoded) -> RowNumbers:
    """Every kept position of the prompts, with the token that stands behind it."""
    answer = baseline.answer
    tokens = [
        (*prompt, numbers.NO_TOKEN)[position + 1]
        for prompt, positions in zip(answer.prompts, answer.positions, strict=True)
        for position in positions
    ]
    return numbers.compare_rows(baseline.prefill, candidate.prefill, tokens)


def _noise(members: Sequence[RowNumbers]) -> types.DecodeNoise | None:
    """Over all members and steps; None where nothing moved."""
    if not members:
        return None
    kl = np.concatenate([rows.kl for rows in members])
    change = np.abs(np.concatenate([rows.margin_change for rows in members]))
    kl, change = kl[np.isfinite(kl)], change[np.isfinite(change)]
    if not kl.any():
        return None
    return types.DecodeNoise(kl=float(kl.mean()), margin=float(change.max(initial=0.0)))


def _ratio(parts: Sequence[types.DecodeStatistics | None], noise: types.DecodeNoise | None) -> float | None:
    """Drift ÷ noise: a divergence grows with the square of a drift."""
    means = [part.kl.mean for part in parts if part is not None and part.kl is not None]
    return math.sqrt(max(means) / noise.kl) if noise is not None and means else None


def _steps(
    answer: DecodeAnswer, rows: RowNumbers, members: Sequence[RowNumbers]
) -> Iterator[types.DecodeStep]:
    owners = _owners(answer.tokens)
    numbered = np.concatenate([np.arange(len(tokens)) for tokens in answer.tokens])
    for step in range(numbered.max() + 1):
        places = np.flatnonzero(numbered == step)
        noise = np.concatenate([np.zeros(0), *(member.kl[places] for member in members)])
        yield types.DecodeStep(
            step=step,
            samples=places.size,
            statistics=numbers.summarise(rows.of(places), owners[places], ranks=()),
            noise_kl=numbers.sample_mean(noise, np.tile(owners[places], len(members))),
        )


def _divergences(
    baseline: Decoded, candidate: DecodeAnswer, noise: types.DecodeNoise | None
) -> list[types.Divergence]:
    """The first other token of each sample that has one, earliest step first."""
    answer, row, parted = baseline.answer, 0, []
    for sample, old, new in zip(answer.samples, answer.tokens, candidate.tokens, strict=True):
        pairs = enumerate(zip(old, new, strict=False))  # a side may end early
        step = next((step for step, (token, other) in pairs if token != other), None)
        if step is not None:
            margin = numbers.margin(baseline.steps[row + step], old[step], new[step])
            parted.append(
                types.Divergence(
                    sample=sample,
                    step=step,
                    baseline_token=old[step],
                    candidate_token=new[step],
                    margin=margin,
                    tie=margin <= noise.margin if noise is not None and margin is not None else None,
                )
            )
        row += len(old)
    return sorted(parted, key=lambda part: part.step)


def _continuations(old: DecodeAnswer, new: DecodeAnswer, number: int) -> types.Continuations:
    prompt, before = old.texts[number] if old.texts else ("", "")
    return types.Continuations(
        baseline_tokens=old.tokens[number],
        candidate_tokens=new.tokens[number],
        prompt_text=prompt,
        baseline_text=before,
        candidate_text=new.texts[number][1] if new.texts else "",
    )


def _agreement(side: Decoded) -> types.DecodeStatistics:
    """Step by step against one pass, in one environment."""
    rows = numbers.compare_rows(side.whole, side.steps, side.answer.flat)
    return numbers.summarise(rows, _owners(side.answer.tokens))
