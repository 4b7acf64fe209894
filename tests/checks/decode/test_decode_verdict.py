"""What a comparison of decoding means, from small arrays; and what is asked of workers, and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from decode_cases import LOGITS, PROMPTS, SHIFT, TOKENS, answer, capture, decoded, subject, with_forced, write

from validator.checks.decode import CHECK
from validator.checks.decode.answers import Decoded, ForcedAnswer
from validator.checks.decode.compare import compare_decodes
from validator.checks.decode.types import DecodeComparison, DecodeNotes, DecodeVerdict, FullPassDisagreement
from validator.checks.outputs.types import Obstacle, OutputsComparison
from validator.checks.protocol import Earlier, Evidence, Examined, Finding
from validator.failure import Failure
from validator.verdict.bands import BANDS

#: The second sample takes another token at step 1.
OTHER = ((1, 2, 3), (4, 3, 1))
FAILURE = Failure(stage="decode", error="RuntimeError", message="the cache is full\nmore")


def findings(comparison: DecodeComparison) -> tuple[Finding, ...]:
    return CHECK.find(comparison, BANDS, Earlier())


def verdict(baseline: Decoded | Failure, candidate: Decoded | Failure) -> DecodeVerdict:
    first = findings(compare_decodes(baseline, candidate))[0]
    assert isinstance(first, DecodeVerdict)
    return first


def parted(margin: float = 0.5, *, forced: bool = True, **fields: Any) -> Decoded:
    """A candidate 1e-4 away from `preferring(margin)` that takes another token, with its forced steps."""
    side = preferring(margin, size=1e-4, tokens=OTHER, **fields)
    along = ForcedAnswer(mode="prefix", samples=(0, 7), tokens=TOKENS, steps="decode/steps.npy")
    return with_forced(side, (along, side.steps)) if forced else side


def preferring(margin: float, *, tie_before: bool = False, **fields: Any) -> Decoded:
    """A baseline that prefers its own token by a margin, in its logits, where OTHER parts from it."""
    base = LOGITS.copy()
    base[4, 0], base[4, 3] = 2.0 + margin, 2.0
    if tie_before:
        base[0, 1], base[0, 4] = 2.0 + 1e-6, 2.0
    return decoded(base=base, **fields)


def test_identical() -> None:
    comparison = compare_decodes(decoded(), decoded())
    assert [finding.verdict for finding in findings(comparison)] == ["identical"]
    assert comparison.identical


@pytest.mark.parametrize(
    ("size", "expected"), [(1e-4, "rounding"), (1.5e-3, "rounding"), (3e-3, "suspicious"), (1e-2, "changed")]
)
def test_drift_is_read_in_noise(size: float, expected: str) -> None:
    comparison = compare_decodes(decoded(), decoded(size))
    assert verdict(decoded(), decoded(size)).verdict == expected
    assert comparison.noise_ratio == pytest.approx(size / 1e-3, rel=0.1)
    assert comparison.first is None
    assert [step.samples for step in comparison.steps] == [2, 2, 2]
    assert all(step.noise_kl is not None for step in comparison.steps)


def test_another_token_is_a_change_unless_it_is_a_tie() -> None:
    real = verdict(preferring(0.5), parted())
    assert real.first is not None
    assert (real.first.sample, real.first.step, real.first.tie) == (7, 1, False)
    assert real.first.margin == pytest.approx(0.5)
    assert (real.verdict, real.diverged, real.ties) == ("changed", 1, 0)
    tied = verdict(preferring(1e-5), parted(1e-5))
    assert tied.first is not None
    assert (tied.verdict, tied.first.tie, tied.diverged, tied.ties) == ("rounding", True, 1, 1)


def test_the_first_that_is_no_tie_is_named() -> None:
    baseline = preferring(0.5, tie_before=True)
    candidate = decoded(tokens=((4, 2, 3), (4, 3, 1)))
    comparison = compare_decodes(baseline, candidate)
    assert [part.tie for part in comparison.divergences] == [True, False]
    assert comparison.first is not None
    assert comparison.first.sample == 7


def test_the_earliest_divergence_comes_first() -> None:
    parted = decoded(tokens=((1, 2, 0), (4, 3, 1)))
    divergences = compare_decodes(decoded(), parted).divergences
    taken = [(part.sample, part.step, part.baseline_token, part.candidate_token) for part in divergences]
    assert taken == [(7, 1, 0, 3), (0, 2, 3, 0)]


def test_texts_are_those_of_the_first_divergence() -> None:
    texts = {"texts": (("once", "a"), ("twice", "upon a time"))}
    other = {"texts": (("once", "a"), ("twice", "upon a mattress"))}
    both = compare_decodes(preferring(0.5, **texts), parted(**other)).continuations
    assert both is not None
    assert (both.baseline_text, both.candidate_text) == ("upon a time", "upon a mattress")
    assert (both.baseline_tokens, both.candidate_tokens) == (TOKENS[1], OTHER[1])


def test_without_noise_nothing_is_called_rounding() -> None:
    found = verdict(preferring(9.0, noise=0), parted(9.0))
    assert found.verdict == "suspicious"
    assert found.first is not None
    assert found.first.tie is None
    assert found.noise_kl is None


@pytest.mark.parametrize(
    ("forced", "gap"),
    [
        (None, "not-run"),
        (FAILURE, FAILURE),
        ((ForcedAnswer(mode="prefix", samples=(0, 7), tokens=OTHER, steps="x"), LOGITS), "other-tokens"),
    ],
)
def test_unknown_steps_are_never_green(forced: Any, gap: Any) -> None:
    comparison = compare_decodes(preferring(1e-5), with_forced(parted(1e-5), forced))
    found = findings(comparison)[0]
    assert isinstance(found, DecodeVerdict)
    assert (found.gap, comparison.forced, found.step_kl) == (gap, None, ())
    assert found.verdict == "suspicious"


def test_new_nan_is_a_change() -> None:
    found = verdict(decoded(), decoded(1e-4, ends=("steps", "nan")))
    assert (found.verdict, found.broken) == ("changed", 1)
    assert verdict(decoded(ends=("steps", "nan")), decoded(1e-4, ends=("steps", "nan"))).broken == 0


def test_positions_that_are_not_finite_are_never_green() -> None:
    candidate = decoded(1e-4)
    candidate.steps[0, 0] = np.nan
    found = verdict(decoded(), candidate)
    assert (found.verdict, found.infinite) == ("suspicious", 1 + 1)  # prefill shares the row


def test_a_full_pass_that_disagrees() -> None:
    def disagreement(baseline: float, candidate: float) -> FullPassDisagreement | None:
        sides = []
        for size in (baseline, candidate):
            side = decoded()
            side.whole[:] = side.whole + size * SHIFT
            sides.append(Decoded(side.answer, side.prefill, LOGITS.copy(), side.whole, side.noise))
        return next(
            (f for f in findings(compare_decodes(*sides)) if isinstance(f, FullPassDisagreement)), None
        )

    only = disagreement(0, 0.5)
    assert only is not None
    assert only.baseline_agrees is True
    both = disagreement(0.5, 0.5)
    assert both is not None
    assert both.baseline_agrees is False
    assert disagreement(0.5, 0) is None
    assert disagreement(0, 1e-3) is None


def test_notes_of_both_sides_and_other_modes() -> None:
    found = findings(compare_decodes(decoded(notes=("a",)), decoded(mode="padded", notes=("a", "b"))))
    assert found[1] == DecodeNotes(modes=("prefix", "padded"), notes=("a", "b"))


def test_failed_and_uncompared() -> None:
    failed = verdict(decoded(), FAILURE)
    assert (failed.verdict, failed.failure) == ("failed", FAILURE)
    assert verdict(FAILURE, decoded()).verdict == "not-compared"
    assert verdict(FAILURE, FAILURE).verdict == "not-compared"
    prompts = verdict(decoded(), decoded(prompts=((1, 2), (3, 1))))
    assert (prompts.verdict, prompts.obstacle) == ("not-compared", "prompts")
    vocabulary = verdict(decoded(), decoded(vocabulary=4))
    assert (vocabulary.verdict, vocabulary.obstacle, vocabulary.vocabularies) == (
        "not-compared",
        "vocabulary",
        (5, 4),
    )


def test_numbers_survive_the_report_and_tokens_stay_out_of_it() -> None:
    comparison = compare_decodes(preferring(0.5), parted())
    again = DecodeComparison.model_validate_json(comparison.model_dump_json())
    assert again == comparison.model_copy(update={"along": None})
    for finding in findings(comparison):
        assert type(finding).model_validate_json(finding.model_dump_json()) == finding


def test_the_task_is_asked_of_models_with_a_decode_block() -> None:
    task = CHECK.ask(subject())
    assert task is not None
    assert task.recordings == {"prompts": "prompts.npz"}
    assert (task.options["steps"], task.options["eos"], task.options["noise"]) == (3, 2, 0)
    assert task.own is None
    base = CHECK.ask(subject(baseline=True))
    assert base is not None
    assert base.options["noise"] == 2
    assert CHECK.ask(subject("plain")) is None


def test_only_a_candidate_that_parts_is_followed_up() -> None:
    def follow_up(comparison: DecodeComparison) -> Any:
        return CHECK.follow_up(subject(), comparison, (), Earlier())

    asked = follow_up(compare_decodes(decoded(), parted(forced=False)))
    assert asked.baseline is None
    assert asked.candidate.own is not None
    assert not asked.candidate.own.predict
    assert asked.candidate.options["forced"] == {
        "samples": [0, 7],
        "prompts": [list(ids) for ids in PROMPTS],
        "tokens": [list(tokens) for tokens in TOKENS],
    }
    assert follow_up(compare_decodes(decoded(), decoded(1e-2))) is None
    assert follow_up(compare_decodes(decoded(), parted())) is None
    assert follow_up(compare_decodes(decoded(), FAILURE)) is None


def test_other_inputs_are_no_question_for_decode() -> None:
    obstacle = Examined("outputs", OutputsComparison(obstacles=(Obstacle(kind="inputs"),)))
    assert CHECK.compare(subject(), decoded(), decoded(1.0), Earlier((obstacle,))) is None
    assert CHECK.compare(subject("plain"), FAILURE, FAILURE, Earlier()) is None
    assert CHECK.compare(subject(), decoded(), decoded(1.0), Earlier()) is not None


def test_captures_are_read_with_the_forced_job(tmp_path: Path) -> None:
    first = capture(tmp_path / "m", {"decode": write(tmp_path / "m", parted())})
    own = {"failure": None, "mode": "prefix", "samples": [0, 7], "steps": "decode/steps.npy"}
    own |= {"tokens": [list(tokens) for tokens in TOKENS]}
    write(tmp_path / "own", decoded(1e-4))
    evidence = Evidence(subject().cell, first, {"decode": capture(tmp_path / "own", {"decode": own})})
    side = CHECK.read(evidence)
    assert isinstance(side, Decoded)
    assert compare_decodes(preferring(0.5), side).forced is not None
    lost = CHECK.read(Evidence(subject().cell, first, {"decode": FAILURE}))
    assert isinstance(lost, Decoded)
    assert lost.forced == FAILURE


def test_what_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    cell = subject().cell

    def read(tasks: dict[str, Any]) -> Decoded | Failure:
        return CHECK.read(Evidence(cell, capture(tmp_path, tasks)))

    written = write(tmp_path, decoded())
    assert isinstance(read({"decode": written}), Decoded)
    assert isinstance(read({}), Failure)
    assert isinstance(read({"decode": {**written, "tokens": [[], [1]]}}), Failure)
    assert isinstance(read({"decode": {**written, "vocabulary": 4}}), Failure)
    stated = {"stage": "decode", "error": "E", "message": "m"}
    failure = read({"decode": {"failure": stated}})
    assert isinstance(failure, Failure)
    assert failure.stage == "decode"
    np.save(tmp_path / "decode" / "steps.npy", LOGITS[:5])
    assert isinstance(read({"decode": written}), Failure)
    (tmp_path / "decode" / "steps.npy").unlink()
    assert isinstance(read({"decode": written}), Failure)


def test_an_answer_has_an_entry_for_each_sample() -> None:
    with pytest.raises(ValueError, match="one entry for each sample"):
        answer(samples=(0,))
