"""Every threshold of drift over noise, in one place. docs/verdicts.md says where each one comes from."""

from __future__ import annotations

from dataclasses import dataclass

from validator.compare.drift import Drift, NoiseFloor
from validator.results import CellVerdict


@dataclass(frozen=True)
class Band:
    """Below `rounding`: rounding. Above `changed`: changed. Between them: suspicious."""

    rounding: float
    changed: float

    def verdict(self, ratio: float) -> CellVerdict:
        """What a ratio of drift to noise says."""
        if ratio < self.rounding:
            return "rounding"
        return "changed" if ratio > self.changed else "suspicious"


#: Root mean square of the whole output. Benign pairs stay below 1.4, semantic changes above 4.8.
OVERALL = Band(2.0, 4.0)

#: The worst of all samples: the largest of many ratios, each over a floor that is known less well.
SAMPLE = Band(8.0, 16.0)

#: A split into other batches counts as rounding up to this many times the ensemble; above it the outputs
#: depend on their batch, which is no noise.
SPLIT = 4.0


@dataclass(frozen=True)
class Banded:
    """A verdict and the rule that spoke, with its numbers."""

    verdict: CellVerdict
    rule: str


def with_split(floor: NoiseFloor, split_rms: float | None) -> NoiseFloor:
    """The floor raised to what another batch size does, where that is plausible as rounding."""
    if split_rms is None or split_rms <= floor.rms or split_rms > SPLIT * floor.rms:
        return floor
    share = split_rms / floor.rms
    return NoiseFloor(split_rms, None if floor.rows is None else floor.rows * share)


def by_noise(drift: Drift) -> Banded:
    """The worse of what everything together and the worst sample say."""
    whole = OVERALL.verdict(drift.ratio)
    rule = f"noise: drift is {_times(drift.ratio)} the floor of {drift.noise_rms:.2g} ({_bounds(OVERALL)})"
    if drift.sample_ratio is None or drift.sample_noise is None:
        return Banded(whole, rule)
    single = SAMPLE.verdict(drift.sample_ratio)
    if _RANK[single] <= _RANK[whole]:
        return Banded(whole, rule)
    rule = (
        f"noise of a sample: sample {drift.sample} drifts {_times(drift.sample_ratio)} its floor of "
        f"{drift.sample_noise:.2g} ({_bounds(SAMPLE)}), all together {_times(drift.ratio)}"
    )
    return Banded(single, rule)


_RANK: dict[CellVerdict, int] = {"rounding": 0, "suspicious": 1, "changed": 2}


def _bounds(band: Band) -> str:
    return f"rounding below {band.rounding:g}, changed above {band.changed:g}"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio < 10 else f"{ratio:.3g}×"
