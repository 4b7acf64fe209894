"""When a run counts as one of the two ends, though its bytes are others.

Versions between two ends move bytes by rounding, as other releases of TensorFlow always do. Where a cell is
`changed`, a run is like an end if a verdict between the two would not be: by the noise of that end, and the
rules of every verdict. Losses and reported metrics count as an end's within a tenth of what lies between the
ends, and of what was decoded only the tokens count where these differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from pydantic import JsonValue

from validator.checks.bands import Bands, CellVerdict
from validator.checks.outputs.compare import compare_outputs
from validator.checks.outputs.find import find_outputs
from validator.checks.outputs.recording import NoiseAnswer, OutputsRecording, read_outputs
from validator.checks.protocol import Evidence
from validator.config.settings import ModelSettings
from validator.failure import Failure
from validator.matrix import Cell, Variant
from validator.origin.types import Behaviour
from validator.runner import Capture

#: What both ends record beside their predictions: they are judged on one batch, and often.
NOISE: Mapping[str, Mapping[str, JsonValue]] = {
    "outputs": {"noise": {"members": 8, "seconds": 20.0, "batches": None}, "reference": None}
}
_NEAR = 0.1
_LIKE_AN_END: frozenset[CellVerdict] = frozenset({"identical", "rounding", "suspicious"})


@dataclass(frozen=True)
class Rules:
    """How the predictions of a model are judged."""

    model: ModelSettings
    bands: Bands


@dataclass
class Standard:
    """Both ends, by which all other runs are judged.

    Attributes:
        rules: of predictions; None where their bytes decide.
        captures: gives both ends with their noise; None where one does not run. Called once, when a run is
            to be judged that is not known yet.
    """

    baseline: Behaviour
    candidate: Behaviour
    rules: Rules | None = None
    captures: Callable[[], tuple[Capture, Capture] | None] = lambda: None
    _ends: tuple[OutputsRecording, OutputsRecording] | None = None
    _measured: bool = False

    @property
    def identity(self) -> tuple[str, ...]:
        """What decides how a run is classed, beside what it recorded."""
        rules = self.rules.model.model_dump_json() if self.rules else "values"
        return (self.baseline.digest, self.candidate.digest, rules)

    def classed(self, seen: Behaviour, result: Capture | Failure) -> Behaviour:
        """The behaviour with the digest of the end that it is like; its own where it is like neither."""
        ends = (self.baseline, self.candidate)
        if not seen.ran or any(not end.ran for end in ends) or seen.digest in {end.digest for end in ends}:
            return seen
        if self.rules is not None and isinstance(result, Capture):
            like = self._by_verdict(result, self.rules)
        elif seen.tokens:
            like = _by_tokens(seen, *ends)
        else:
            like = _by_values(seen, *ends)
        return seen if like is None else seen.model_copy(update={"digest": like.digest})

    def _by_verdict(self, result: Capture, rules: Rules) -> Behaviour | None:
        ends = self._recordings(rules)
        if ends is None:
            return None
        own = read_outputs(_evidence(result))
        order = rules.bands.severity
        verdicts = [_verdict(end, own, rules) for end in ends]
        nearest = min(range(2), key=lambda place: order.index(verdicts[place]))
        if verdicts[nearest] not in _LIKE_AN_END or verdicts[0] == verdicts[1]:
            return None
        return (self.baseline, self.candidate)[nearest]

    def _recordings(self, rules: Rules) -> tuple[OutputsRecording, OutputsRecording] | None:
        """Both ends; None unless they differ beyond their noise in these predictions."""
        if not self._measured:
            self._measured = True
            captures = self.captures()
            if captures is not None:
                left, right = (_with_noise(read_outputs(_evidence(capture))) for capture in captures)
                if {_verdict(left, right, rules), _verdict(right, left, rules)} == {"changed"}:
                    self._ends = left, right
        return self._ends


def _evidence(capture: Capture) -> Evidence:
    return Evidence(Cell("origin", "", Variant("as-saved")), capture)


def _verdict(end: OutputsRecording, other: OutputsRecording, rules: Rules) -> CellVerdict:
    comparison = compare_outputs(end, other, rules.model, rules.bands.outputs)
    findings = find_outputs(comparison, rules.bands)
    return rules.bands.worst(finding.verdict for finding in findings)


def _with_noise(recording: OutputsRecording) -> OutputsRecording:
    """The same with its noise at the rows that were recorded: the worker counts those of all batches."""
    noise = recording.noise
    if not isinstance(noise, NoiseAnswer):
        return replace(recording, measured=True)
    samples, start = [], 0
    for first, last in noise.samples:
        samples.append((start, start + last - first))
        start += last - first
    update = {"samples": tuple(samples), "batches": tuple(range(len(samples)))}
    return replace(recording, measured=True, reference=None, noise=noise.model_copy(update=update))


def _by_values(seen: Behaviour, baseline: Behaviour, candidate: Behaviour) -> Behaviour | None:
    """The end whose numbers are all within a tenth of the distance between the ends."""
    if not seen.values or not seen.values.keys() == baseline.values.keys() == candidate.values.keys():
        return None
    for end, other in ((baseline, candidate), (candidate, baseline)):
        if all(_is_near(value, end.values[name], other.values[name]) for name, value in seen.values.items()):
            return end
    return None


def _is_near(value: float | None, end: float | None, other: float | None) -> bool:
    if value is None or end is None or other is None:
        return value is end
    return abs(value - end) <= _NEAR * abs(other - end)


def _by_tokens(seen: Behaviour, baseline: Behaviour, candidate: Behaviour) -> Behaviour | None:
    if baseline.tokens == candidate.tokens:
        return None
    return next((end for end in (baseline, candidate) if end.tokens == seen.tokens), None)
