"""The task `decode` in real environments: one worker does every case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from worker.answers import Answers
from worker.conftest import LEGACY, NEWEST, OLDEST
from worker.support import Environment, job, record

pytestmark = pytest.mark.environment

IDS = np.random.default_rng(5).integers(1, 7, (5, 6)).astype(np.int32)
IDS[3, 2:] = 0  # a short sample, padded
IDS[4] = 0  # nothing but padding
PROMPT, STEPS = 3, 4
PREDICTED = ("plain", "encoder decoder")
FORCED = {"samples": [0, 2], "prompts": [[1, 2], [3, 4, 5]], "tokens": [[1, 1, 2], [6]]}


def jobs(folder: Path) -> list[dict[str, Any]]:
    recordings = {
        "ids": {"ids": IDS},
        "floats": {"ids": IDS.astype(np.float32)},
        "halves": {"ids": IDS + np.float32(0.5)},
        "features": {"ids": np.ones((5, 6, 2), np.float32)},
        "pair": {"source": IDS[:, :3], "target": IDS},
        "eight": {"ids": IDS[:, [0, 1, 2, 3, 4, 5, 0, 1]]},
        "counting": {"ids": np.array([[1, 2], [3, 4], [4, 5]], np.int32)},
        "four": {"ids": IDS[:4]},
    }
    paths = {name: record(folder / "recordings" / name, tensors) for name, tensors in recordings.items()}

    def do(identity: str, builder: str = "causal", **options: Any) -> dict[str, Any]:
        fields = {
            name: options.pop(name) for name in ("builder_arguments", "variant", "predict") if name in options
        }
        recorded = paths[options.pop("recorded", "ids")]
        prompts = options.pop("prompts", None)
        asked = {"prompt_length": None if prompts else PROMPT, "prompts": prompts and paths[prompts]}
        asked |= {"steps": STEPS, "samples": 5, **options}
        for name in ("protocol", "detokenise"):
            if name in asked:
                asked[name] = f"decode_models:{asked[name]}"
        fields.setdefault("predict", identity in CANNOT or identity in PREDICTED)
        return job(
            identity,
            folder,
            builder=f"decode_models:{builder}",
            inputs=recorded,
            tasks={"decode": asked},
            **fields,
        )

    return [
        do("plain", noise=2),
        do("fixed length", builder_arguments={"length": 6}),
        do("fixed length longer prompt", builder_arguments={"length": 6}, prompt_length=5),
        do("fixed batch", "fixed_batch", recorded="four"),
        do("ends in softmax", "ends_in_softmax"),
        do("looks ahead", "looks_ahead"),
        do("float ids", recorded="floats", builder_arguments={"dtype": "float32"}),
        do("padding", pad=0),
        do("prompts", prompts="counting"),
        do("encoder decoder", "encoder_decoder", recorded="pair", input="target"),
        do("jit", variant={"precision": "as-saved", "jit": "on"}),
        do("one word", builder_arguments={"words": 1}),
        do("nan", "spoiled", recorded="counting", prompt_length=2),
        do("eos at once", "chosen", eos=2),
        do("cut", samples=5, budget=7 * 4 * STEPS * 2),
        do("detokenised", detokenise="letters"),
        do("speechless", detokenise="speechless"),
        do("cached", protocol="cached"),
        do("forgetful", protocol="forgetful", noise=1),
        do("generating", protocol="generating"),
        do("forced", forced=FORCED),
        do("forced with a cache", forced=FORCED, protocol="cached"),
        do("again"),
        # what cannot be decoded
        do("no such protocol", protocol="absent"),
        do("no step", protocol="no_step"),
        do("no state", protocol="no_state"),
        do("raising step", protocol="broken"),
        do("generates floats", protocol="generates_floats"),
        do("last position", "last_position"),
        do("two outputs", "two_outputs"),
        do("halves", recorded="halves", builder_arguments={"dtype": "float32"}),
        do("features", "same", recorded="features"),
        do("which input", "encoder_decoder", recorded="pair"),
        do("no such input", input="nope"),
        do("long prompt", prompt_length=7),
        do("long prompts", builder_arguments={"length": 6}, prompts="eight"),
        do("all padding", pad=0, samples=5, prompts="ids", builder_arguments={"words": 7}),
    ]


@pytest.fixture(scope="module", params=[OLDEST, LEGACY, NEWEST])
def decoded(
    request: pytest.FixtureRequest,
    keras_python: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Answers:
    environment = Environment(request.param, keras_python(request.param))
    folder = tmp_path_factory.mktemp(f"decode-{request.param}")
    process = environment.work(folder, jobs(folder))
    assert process.returncode == 0, process.stderr[-2000:]
    return Answers(environment, folder)


def answer_of(results: Answers, identity: str) -> Any:
    return results.answer(identity, "decode")


def lengths(answer: Any) -> list[int]:
    return [len(tokens) for tokens in answer.tokens]


def rows(results: Answers, identity: str, path: str, count: int | None = None) -> np.ndarray:
    logits = np.load(results.path(identity) / path)
    assert len(logits) == (sum(lengths(answer_of(results, identity))) if count is None else count)
    return logits.astype(np.float64)


def failure_of(results: Answers, identity: str) -> str:
    failure = results.failure(identity, "decode")
    assert failure.stage == "decode"
    assert results.response(identity).outputs, "the predictions are there whatever becomes of the decode"
    return f"{failure.error}: {failure.message}"


def test_plain_model_takes_the_arg_max_of_every_prefix(decoded: Answers) -> None:
    answer = answer_of(decoded, "plain")
    assert answer.mode == "prefix"
    assert answer.samples == [0, 1, 2, 3, 4]
    assert answer.prompts == IDS[:, :PROMPT].tolist()
    assert answer.ends == ["steps"] * 5
    logits = rows(decoded, "plain", answer.steps)
    assert [token for tokens in answer.tokens for token in tokens] == logits.argmax(-1).tolist()


def test_prefill_is_what_the_model_predicts_for_the_same_positions(decoded: Answers) -> None:
    answer = answer_of(decoded, "plain")
    prefill = rows(decoded, "plain", answer.prefill, 5 * PROMPT).reshape(5, PROMPT, -1)
    np.testing.assert_allclose(prefill, decoded.array("plain")[:, :PROMPT], atol=1e-6)
    assert answer.positions == [[0, 1, 2]] * 5


@pytest.mark.parametrize(
    "identity", ["plain", "fixed length", "float ids", "cached", "jit", "encoder decoder"]
)
def test_one_pass_gives_what_the_steps_gave_in_a_causal_model(decoded: Answers, identity: str) -> None:
    answer = answer_of(decoded, identity)
    steps, whole = rows(decoded, identity, answer.steps), rows(decoded, identity, answer.whole)
    np.testing.assert_allclose(whole, steps, atol=2e-6)


@pytest.mark.parametrize("identity", ["looks ahead", "forgetful"])
def test_positions_that_look_ahead_and_a_wrong_cache_show(decoded: Answers, identity: str) -> None:
    answer = answer_of(decoded, identity)
    steps, whole = rows(decoded, identity, answer.steps), rows(decoded, identity, answer.whole)
    assert np.abs(whole - steps).max() > 1e-3


@pytest.mark.parametrize("identity", ["fixed length", "float ids", "cached", "jit", "prompts", "forgetful"])
def test_ways_to_run_the_same_model_are_named(decoded: Answers, identity: str) -> None:
    modes = {"fixed length": "padded", "jit": "padded", "cached": "protocol", "forgetful": "protocol"}
    assert answer_of(decoded, identity).mode == modes.get(identity, "prefix")


def test_every_way_takes_the_same_tokens(decoded: Answers) -> None:
    plain = answer_of(decoded, "plain").tokens
    for identity in ("fixed length", "float ids", "cached", "jit", "again", "ends in softmax"):
        assert answer_of(decoded, identity).tokens == plain, identity


def test_noise_moves_the_logits_and_leaves_the_model_as_it_was(decoded: Answers) -> None:
    answer = answer_of(decoded, "plain")
    steps = rows(decoded, "plain", answer.steps)
    moved = [np.abs(rows(decoded, "plain", path) - steps).max() for path in answer.noise]
    assert len(moved) == 2
    assert all(0 < size < 1e-5 for size in moved)
    assert np.array_equal(steps, rows(decoded, "again", answer_of(decoded, "again").steps))


def test_fixed_length_ends_the_steps(decoded: Answers) -> None:
    answer = answer_of(decoded, "fixed length longer prompt")
    assert lengths(answer) == [2] * 5
    assert answer.notes == ["2 of 4 steps fit behind a prompt"]


def test_fixed_batch_and_state_are_honoured(decoded: Answers) -> None:
    answer = answer_of(decoded, "fixed batch")
    steps, whole = rows(decoded, "fixed batch", answer.steps), rows(decoded, "fixed batch", answer.whole)
    assert answer.samples == [0, 1, 2, 3]
    np.testing.assert_allclose(whole, steps, atol=2e-6)


def test_padding_is_cut_off_and_empty_prompts_are_left_out(decoded: Answers) -> None:
    answer = answer_of(decoded, "padding")
    assert answer.samples == [0, 1, 2, 3]
    assert [len(prompt) for prompt in answer.prompts] == [3, 3, 3, 2]
    plain = answer_of(decoded, "plain")
    assert answer.tokens[:3] == plain.tokens[:3]
    own = answer_of(decoded, "all padding")
    assert own.samples == [0, 1, 2, 3]


def test_recorded_prompts_replace_the_inputs(decoded: Answers) -> None:
    assert answer_of(decoded, "prompts").prompts == [[1, 2], [3, 4], [4, 5]]


def test_other_inputs_stay_as_recorded(decoded: Answers) -> None:
    answer = answer_of(decoded, "encoder decoder")
    prefill = rows(decoded, "encoder decoder", answer.prefill, 5 * PROMPT).reshape(5, PROMPT, -1)
    np.testing.assert_allclose(prefill, decoded.array("encoder decoder")[:, :PROMPT], atol=1e-6)


def test_vocabulary_of_one(decoded: Answers) -> None:
    answer = answer_of(decoded, "one word")
    assert answer.vocabulary == 1
    assert answer.tokens == [[0] * STEPS] * 5


def test_nan_ends_a_sample_without_a_token(decoded: Answers) -> None:
    answer = answer_of(decoded, "nan")
    assert answer.tokens == [[3, 4, 5, -1], [5, -1], [-1]]
    assert answer.ends == ["nan"] * 3
    assert np.isnan(rows(decoded, "nan", answer.steps)[-1]).all()


def test_eos_at_once(decoded: Answers) -> None:
    answer = answer_of(decoded, "eos at once")
    assert answer.tokens == [[2]] * 5
    assert answer.ends == ["eos"] * 5


def test_logits_are_bounded(decoded: Answers) -> None:
    answer = answer_of(decoded, "cut")
    assert answer.samples == [0, 1]
    assert "2 of 5 samples" in answer.notes[0]


def test_texts(decoded: Answers) -> None:
    answer = answer_of(decoded, "detokenised")
    assert answer.texts is not None
    assert answer.texts[0] == [
        "".join("abcdefg"[n] for n in ids) for ids in (answer.prompts[0], answer.tokens[0])
    ]
    mute = answer_of(decoded, "speechless")
    assert mute.texts is None
    assert mute.notes == ["decode_models:speechless failed: ValueError: no vocabulary"]


def test_generate_chooses_the_tokens(decoded: Answers) -> None:
    answer = answer_of(decoded, "generating")
    assert answer.tokens == [[3] * STEPS] * 5


@pytest.mark.parametrize("identity", ["forced", "forced with a cache"])
def test_steps_go_along_given_tokens(decoded: Answers, identity: str) -> None:
    answer = answer_of(decoded, identity)
    assert answer.tokens == [[1, 1, 2], [6]]
    logits = rows(decoded, identity, answer.steps)
    same = rows(decoded, "forced", answer_of(decoded, "forced").steps)
    np.testing.assert_allclose(logits, same, atol=2e-6)


CANNOT = {
    "no such protocol": "UnusableError: the module 'decode_models' has no function 'absent'",
    "no step": "UnusableError: decode_models:no_step returned object, which has no method prefill",
    "no state": "UnusableError: prefill of decode_models:no_state must return the tuple (logits, state)",
    "raising step": "RuntimeError: the cache is full",
    "generates floats": "the new tokens alone, integers of shape (5, at most 4), not float64 (5, 4)",
    "last position": "logits of shape (batch, time, vocabulary); for ids of shape (5, 3) the model gives",
    "two outputs": "the model gives 2 outputs: 0, 1",
    "halves": "decode needs token ids: whole numbers",
    "features": "decode needs token ids: whole numbers of shape (samples, time); the recording holds float32",
    "no such input": "there is no input 'nope': set decode.input to one of 'ids'",
    "which input": "set decode.input to one of 'source', 'target'",
    "long prompt": "decode.prompt_length is 7, but the recorded samples have 6 tokens",
    "long prompts": "a prompt has 8 tokens, but the model takes sequences of 6",
}


@pytest.mark.parametrize("identity", CANNOT)
def test_what_cannot_be_decoded_says_why_and_costs_nothing_else(decoded: Answers, identity: str) -> None:
    assert CANNOT[identity] in failure_of(decoded, identity)
