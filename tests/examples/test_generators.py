"""The generators of the example data: the same seed, the same data; and nothing is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import ModuleType

SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_same_seed_gives_the_same_pairs(translator: ModuleType, seed: int) -> None:
    for one, other in zip(translator.generate(20, seed), translator.generate(20, seed), strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_same_seed_gives_the_same_stories(llama: ModuleType, seed: int) -> None:
    for one, other in zip(llama.generate(20, seed), llama.generate(20, seed), strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_every_translation_ends_and_is_made_of_iso_dates(translator: ModuleType, seed: int) -> None:
    pairs = translator.generate(50, seed)
    for row in pairs.labels:
        real = row[row != translator.PAD]
        assert real[-1] == translator.STOP
        for iso in "".join(translator.TARGET_TOKENS[token] for token in real[:-1]).split(","):
            np.datetime64(iso)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_every_story_ends_and_uses_known_words(llama: ModuleType, seed: int) -> None:
    stories = llama.generate(50, seed)
    for row in stories.labels:
        real = row[row != llama.PAD]
        assert real[-1] == llama.STOP
        assert llama.VOCABULARY[real[-2]] == "."
    assert stories.ids.max() < len(llama.VOCABULARY)


def test_training_and_recorded_stories_differ(llama: ModuleType) -> None:
    training = set(map(bytes, llama.training().ids))
    recorded = llama.recorded().ids[:-1]
    assert sum(bytes(row) in training for row in recorded) <= len(recorded) // 10


def test_a_date_is_read_word_by_word_and_digit_by_digit(translator: ModuleType) -> None:
    tokens = [translator.SOURCE_TOKENS[number] for number in translator.encode("the 21st of Sept 2021")]
    assert tokens == ["the", "2", "1", "st", "of", "<unknown>", "2", "0", "2", "1"]


def test_words_have_one_id_each(translator: ModuleType, llama: ModuleType) -> None:
    for tokens in (translator.SOURCE_TOKENS, translator.TARGET_TOKENS, llama.VOCABULARY):
        assert len(set(tokens)) == len(tokens)
