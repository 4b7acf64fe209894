"""What is said about outputs that were compared without a run, and about the noise they were held against."""

from __future__ import annotations

from collections.abc import Sequence

from validator.checks.bands import CellVerdict
from validator.checks.outputs.types import NoiseSource, OutputFinding
from validator.report.phrases import Words, name, plural, sentence, unmarked, words
from validator.report.words.cell import VERDICTS
from validator.report.words.outputs import WORDS, noise_reason

_MOST = 20


def headline(verdict: CellVerdict, outputs: Sequence[OutputFinding]) -> Words:
    """The worst verdict, and how many outputs have it."""
    count = sum(output.verdict == verdict for output in outputs)
    return words(VERDICTS[verdict], f": {count:,} of {plural(len(outputs), 'output')}")


def lines(outputs: Sequence[OutputFinding]) -> list[Words]:
    """A sentence for each output, and how many were left out."""
    kept = [sentence(WORDS.sentence(output)) for output in outputs[:_MOST]]
    left = len(outputs) - len(kept)
    return [*kept, words(f"{plural(left, 'more output')}, none of them worse.")] if left else kept


def basis(outputs: Sequence[OutputFinding], noise: NoiseSource | None) -> Words:
    """What the differences were held against."""
    if all(output.verdict == "identical" for output in outputs):
        return words("Every byte is the same.")
    if noise is None:
        return words("No noise was measured: pass model and inputs to compare with it.")
    model = words("the model in this process (", name(noise.keras), f", backend {noise.backend})")
    if noise.method == "none":
        return words("No noise could be measured of ", *model, f": {noise_reason(noise.reason)}.")
    moved = "rounding errors in other directions"
    if noise.method == "weights":
        moved = f"weights moved by one unit in the last place, since {noise_reason(noise.reason)}"
    made = f"{plural(noise.members, 'prediction')} of {plural(noise.samples, 'sample')}"
    return words(f"Noise: {made} by ", *model, f" with {moved}.")


def text(verdict: CellVerdict, outputs: Sequence[OutputFinding], noise: NoiseSource | None) -> str:
    """All of it in plain text."""
    every = [headline(verdict, outputs), *lines(outputs), basis(outputs, noise)]
    return "\n".join(unmarked(each) for each in every)
