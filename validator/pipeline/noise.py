"""The noise that a baseline's worker measured, held against each output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from validator.compare import TensorComparison
from validator.compare.drift import Drift, NoiseFloor, measure_drift
from validator.compare.structure import OutputPair
from validator.runner import Capture
from validator.runner.noise import NoiseAnswer, parse_noise, read_rows
from validator.verdict.bands import with_split
from validator.verdict.outputs import SelfNoise


@dataclass(frozen=True)
class Floors:
    """The noise floors of one baseline cell. `folder` is where the answer's files lie."""

    answer: NoiseAnswer | None
    folder: Path
    steady: bool = True

    @classmethod
    def of(cls, capture: Capture, folder: Path) -> Floors:
        """What the capture of a baseline cell says."""
        return cls(parse_noise(capture.tasks.get("noise")), folder, capture.deterministic is not False)

    def largest(self) -> dict[str, float]:
        """Output → the furthest that an element of it moved in the ensemble, where that was measured."""
        if self.answer is None:
            return {}
        return {found.name: found.max_abs for found in self.answer.outputs if found.max_abs is not None}

    def drift(self, pair: OutputPair, found: TensorComparison) -> tuple[Drift | None, str]:
        """Drift over noise, or None and why there is no noise."""
        name = pair.baseline.name
        if self.answer is None:
            return None, "it was not measured"
        if not self.steady:
            return None, "the baseline differs from one run to the next"
        missing = self.answer.missing(name)
        noise = self.answer.of(name)
        if missing or noise is None or not noise.rms:
            return None, missing
        if not found.compared or found.baseline_dtype != found.candidate_dtype:
            return None, "the outputs cannot be paired"
        floor = with_split(NoiseFloor(noise.rms, read_rows(noise, self.folder)), noise.split_rms)
        drift = measure_drift(pair.baseline, pair.candidate, found, floor)
        return drift, "" if drift else "nothing of it is finite on both sides"


def self_noise(output: str, here: Capture, there: Capture) -> tuple[SelfNoise, ...]:
    """How far either side disagrees with itself in one output."""
    sides = (("here", here), ("in the baseline", there))
    return tuple(
        SelfNoise(words, found.elements, found.max_abs)
        for words, capture in sides
        for found in capture.self_difference
        if found.output == output
    )
