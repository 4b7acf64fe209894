"""The numbers and findings of the check `decode`: do generated tokens drift?"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from validator.base import Frozen
from validator.checks.bands import CellVerdict
from validator.checks.decode.answers import DecodeAnswer
from validator.checks.protocol import Comparison, Finding
from validator.failure import Failure

Side = Literal["baseline", "candidate"]
#: Why two decodes must not be compared.
DecodeObstacle = Literal["prompts", "vocabulary"]
#: Why there are no steps along the baseline's tokens, unless their job failed.
StepsGap = Literal["not-run", "other-tokens"]


class SampleMean(Frozen):
    """A mean over samples and its standard error, which a single sample has not."""

    mean: float
    error: float | None = None


class DecodeStatistics(Frozen):
    """Logits of both sides at many positions. Percentiles are by their rank, from `99.9` to `0.1`.

    Probabilities are of the token that followed in the baseline.
    """

    positions: int = Field(description="Positions that are finite on both sides.")
    infinite: int = Field(default=0, description="Positions left out: NaN, or a token ruled out on one side.")
    kl: SampleMean | None = Field(default=None, description="Kullback-Leibler divergence, in nats.")
    kl_max: float | None = None
    kl_percentiles: dict[str, float] = {}
    delta_p: SampleMean | None = Field(default=None, description="Change of the next token's probability.")
    delta_p_rms: float | None = None
    delta_p_percentiles: dict[str, float] = {}
    same_top: SampleMean | None = Field(
        default=None, description="Share of positions with the same top-1 token."
    )
    ln_ppl_ratio: SampleMean | None = Field(default=None, description="ln(PPL candidate / PPL baseline).")

    @property
    def mean_kl(self) -> float | None:
        """The mean divergence; None where no position is finite."""
        return self.kl.mean if self.kl else None


class DecodeStep(Frozen):
    """One step along the baseline's tokens, over the samples that reach it. Percentiles are left out."""

    step: int = Field(description="0 is the token that follows the prompt.")
    samples: int
    statistics: DecodeStatistics
    noise_kl: SampleMean | None = Field(default=None, description="KL of weights moved by one ULP.")


class DecodeNoise(Frozen):
    """Moving every weight by one ULP, in nats: mean KL, and the largest change of a top-2 margin."""

    kl: float
    margin: float


class DecodeGrowth(Frozen):
    """Mean KL in the first and in the second half of the steps, of samples that reach the second."""

    first: float
    second: float
    difference: SampleMean


class Continuations(Frozen):
    """One sample in tokens and text; texts are empty without a detokeniser."""

    baseline_tokens: tuple[int, ...]
    candidate_tokens: tuple[int, ...]
    prompt_text: str = ""
    baseline_text: str = ""
    candidate_text: str = ""


class Divergence(Frozen):
    """Where a greedy continuation first takes another token."""

    sample: int
    step: int
    baseline_token: int
    candidate_token: int
    margin: float | None = Field(
        default=None, description="By how many nats the baseline preferred its own token; null if unknown."
    )
    tie: bool | None = Field(default=None, description="The margin is within noise; null without noise.")


class DecodeFacts(Frozen):
    """What both the comparison and its verdict hold. With a `failure` or an `obstacle` there is no more."""

    failure: Failure | None = None
    obstacle: DecodeObstacle | None = None
    vocabularies: tuple[int, int] | None = Field(default=None, description="Logits a position on each side.")
    samples: int = 0
    gap: Failure | StepsGap | None = Field(
        default=None, description="Why nothing is known of steps along the baseline's tokens."
    )
    first: Divergence | None = Field(default=None, description="The first that is no tie, else the first.")
    broken: int = Field(default=0, description="Samples that NaN ends in the candidate alone.")


class DecodeComparison(DecodeFacts, Comparison):
    """Prefill, steps and greedy continuations of both sides.

    An `agreement` compares a side with itself: one forward pass over prompt and continuation against its own
    steps.
    """

    failed_side: Side | None = None
    modes: tuple[str, str] | None = Field(default=None, description="prefix, padded or protocol, a side.")
    identical: bool = Field(default=False, description="Every logit of prefill and steps, bit for bit.")
    prefill: DecodeStatistics | None = Field(default=None, description="All positions of the prompts.")
    forced: DecodeStatistics | None = Field(default=None, description="Steps along the baseline's tokens.")
    steps: tuple[DecodeStep, ...] = ()
    growth: DecodeGrowth | None = None
    noise: DecodeNoise | None = None
    noise_ratio: float | None = Field(
        default=None, description="Drift ÷ noise: √(KL / noise KL), the larger of prefill and steps."
    )
    divergences: tuple[Divergence, ...] = Field(default=(), description="A sample each, earliest step first.")
    continuations: Continuations | None = Field(default=None, description="Those of `first`.")
    baseline_agreement: DecodeStatistics | None = None
    candidate_agreement: DecodeStatistics | None = None
    notes: tuple[str, ...] = Field(
        default=(), description="What limits a side's decode, as its worker put it."
    )
    #: The baseline's: a follow-up forces its tokens. Of no interest to a reader of report.json.
    along: Annotated[DecodeAnswer | None, SkipJsonSchema()] = Field(default=None, exclude=True)


class StepKl(Frozen):
    """The KL of one step."""

    step: int
    kl: float


class DecodeVerdict(DecodeFacts, Finding):
    """What the decode comes to. The gate has a rule of its own for it: the cell's verdict is another."""

    check: Literal["decode"] = "decode"
    kind: Literal["decode-verdict"] = "decode-verdict"
    verdict: CellVerdict
    steps: int = 0
    prefill_kl: float | None = None
    step_kl: tuple[StepKl, ...] = Field(default=(), description="The first step, the worst, and the last.")
    growth: DecodeGrowth | None = Field(default=None, description="Set where the divergence grows.")
    noise_kl: float | None = None
    diverged: int = 0
    ties: int = 0
    infinite: int = 0


class FullPassDisagreement(Finding):
    """One forward pass over prompt and continuation gives other logits than step-by-step decoding."""

    check: Literal["decode"] = "decode"
    kind: Literal["decode-full-pass"] = "decode-full-pass"
    kl: float | None
    baseline_agrees: bool | None = Field(description="Null where there is no noise to compare with.")


class DecodeNotes(Finding):
    """What limits the comparison: `modes` where the sides step differently, and the workers' notes."""

    check: Literal["decode"] = "decode"
    kind: Literal["decode-notes"] = "decode-notes"
    modes: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()
