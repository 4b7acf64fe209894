"""What a comparison of decoding means, from small arrays."""

from __future__ import annotations

import numpy as np
import pytest

from validator.compare.decode import RowNumbers, Split, compare_rows, growth, summarise
from validator.config.settings import Gate
from validator.results import CellResult, DecodeResult, Failure
from validator.verdict.decode import (
    DecodeEvidence,
    Divergence,
    Noise,
    Step,
    Texts,
    disagreement,
    failed_decode,
    judge_decode,
    uncompared_decode,
)
from validator.verdict.gate import apply_gate

RANDOM = np.random.default_rng(2)
LOGITS = RANDOM.normal(size=(6, 5))
SHIFT = RANDOM.normal(size=LOGITS.shape)
LENGTHS, OWNERS, TOKENS = (3, 3), (0, 0, 0, 1, 1, 1), [0] * 6
SPLIT = Split(1, 1, 4, 0, 3)


def rows(size: float) -> RowNumbers:
    return compare_rows(LOGITS, LOGITS + size * SHIFT, TOKENS)


def judged(size: float = 0.0, **fields: object) -> DecodeResult:
    found = rows(size)
    summary = summarise(found, OWNERS)
    facts: dict[str, object] = {
        "mode": "prefix",
        "samples": (0, 7),
        "identical": size == 0,
        "prefill": summary,
        "forced": summary,
        "steps": tuple(Step(summarise(found.of([n, n + 3]), [0, 1]), 2, None) for n in range(3)),
        "noise": Noise(float(rows(1e-3).kl.mean()), 0.01),
        "divergences": (),
        "texts": (Texts((1,), (1,)), Texts((1, 0, 2), (1, 3, 2), "once", "upon a time", "upon a mattress")),
        "agreements": (summarise(rows(0), OWNERS), summarise(rows(0), OWNERS)),
        "growth": growth(found.kl, LENGTHS),
    }
    return judge_decode(DecodeEvidence(**(facts | fields)))  # type: ignore[arg-type]


def test_identical() -> None:
    found = judged()
    assert found.verdict == "identical"
    assert found.message == "decode: identical, bit for bit, over 2 samples and 3 steps"
    assert disagreement(found) == ""


@pytest.mark.parametrize(
    ("size", "verdict"), [(1e-4, "rounding"), (1.5e-3, "rounding"), (3e-3, "suspicious"), (1e-2, "changed")]
)
def test_drift_is_read_in_noise(size: float, verdict: str) -> None:
    found = judged(size)
    assert found.verdict == verdict
    assert found.noise_ratio == pytest.approx(size / 1e-3, rel=0.05)
    assert "greedy decode takes the same tokens" in found.message


def test_another_token_is_a_change_unless_it_is_a_tie() -> None:
    real = judged(1e-4, divergences=(Divergence(SPLIT, 0.5),))
    assert real.verdict == "changed"
    assert real.first is not None
    assert (real.first.sample, real.first.step, real.first.tie) == (7, 1, False)
    assert "first other token at step 1 of sample 7 (margin 0.5, not a tie)" in real.message
    assert "“upon a mattress” for “upon a time”" in real.message
    tied = judged(1e-4, divergences=(Divergence(SPLIT, 0.009),))
    assert (tied.verdict, tied.diverged, tied.ties) == ("rounding", 1, 1)
    assert "a tie" in tied.message


def test_the_first_that_is_no_tie_is_named() -> None:
    found = judged(1e-4, divergences=(Divergence(Split(0, 0, 0, 0, 1), 0.001), Divergence(SPLIT, 0.5)))
    assert found.first is not None
    assert (found.first.sample, found.diverged, found.ties) == (7, 2, 1)


def test_without_noise_nothing_is_called_rounding() -> None:
    found = judged(1e-4, noise=None, divergences=(Divergence(SPLIT, 0.5),))
    assert found.verdict == "suspicious"
    assert found.first is not None
    assert found.first.tie is None
    assert "noise unknown" in found.message


def test_unknown_steps_are_said_and_never_green() -> None:
    found = judged(1e-4, forced=None, steps=(), problem="no worker ran along them")
    assert found.verdict == "suspicious"
    assert "not compared (no worker ran along them)" in found.message


def test_new_nan_is_a_change() -> None:
    found = judged(1e-4, broken=1)
    assert found.verdict == "changed"
    assert "NaN ends 1 sample here and not in the baseline" in found.message


def test_prefill_and_decode_that_disagree() -> None:
    apart, same = summarise(rows(0.5), OWNERS), summarise(rows(0), OWNERS)
    assert "while in the baseline they agree" in disagreement(judged(agreements=(same, apart)))
    assert "and in the baseline too" in disagreement(judged(agreements=(apart, apart)))
    assert disagreement(judged(agreements=(apart, same))) == ""
    assert disagreement(judged(agreements=(same, summarise(rows(1e-3), OWNERS)))) == ""


def test_failed_and_uncompared() -> None:
    failed = failed_decode(Failure(stage="decode", error="RuntimeError", message="the cache is full\nmore"))
    assert (failed.verdict, failed.message) == ("failed", "decode failed: RuntimeError: the cache is full")
    assert uncompared_decode("why").message == "decode: not compared: why"


@pytest.mark.parametrize(
    ("decode", "gated"),
    [(judged(1e-2), True), (judged(1e-4), False), (judged(3e-3), False), (uncompared_decode("why"), False)],
)
def test_gate(decode: DecodeResult, gated: bool) -> None:
    cell = CellResult(cell="m@new", environment="new", variant="", verdict="identical", message="")
    cell = cell.model_copy(update={"decode": decode})
    assert bool(apply_gate(cell, Gate(fail_on=("decode",))).gated) is gated
    assert not apply_gate(cell, Gate()).gated
