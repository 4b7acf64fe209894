"""Little generated stories in which later words depend on earlier ones, as ids of whole words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from llama.words import NAMES, OTHERS, PLACES, THINGS

PAD, START, STOP = range(3)
_WORDS = dict.fromkeys((*OTHERS, *NAMES, *PLACES, *THINGS))
VOCABULARY: tuple[str, ...] = ("<pad>", "<start>", "<stop>", *_WORDS)
LENGTH = 48

SEED = 20189
TRAINING = 30000
RECORDED = 75  # not a multiple of the batch size; the last row is padding alone

_IDS = {word: number for number, word in enumerate(VOCABULARY)}


class Stories(NamedTuple):
    """Ids, int32, of shape (stories, LENGTH), padded with 0: the words read, and the word after each."""

    ids: np.ndarray
    labels: np.ndarray


class _Scene:
    """Two people, two things, two places. RandomState, because NumPy promises its streams never change."""

    def __init__(self, random: np.random.RandomState) -> None:
        self._random = random
        self.one, self.two = self._two(NAMES)
        self.thing, self.other = self._two(THINGS)
        self.here, self.there = self._two(PLACES)
        self.look = self.pick(("old", "new", "small", "red", "blue", "green"))

    def pick(self, choices: tuple[str, ...]) -> str:
        return choices[int(self._random.randint(len(choices)))]

    def _two(self, choices: tuple[str, ...]) -> tuple[str, str]:
        first = int(self._random.randint(len(choices)))
        step = 1 + int(self._random.randint(len(choices) - 1))
        return choices[first], choices[(first + step) % len(choices)]


def _opening(scene: _Scene) -> str:
    verb = scene.pick(("put", "left", "hid", "kept", "lost"))
    return f"{scene.one} {verb} the {scene.look} {scene.thing} in the {scene.here} ."


def _search(scene: _Scene) -> str:
    time = scene.pick(("next day", "next morning", "later", "then"))
    found = f"{scene.one} found the {scene.look} {scene.thing} in the {scene.here} ."
    asked = f"{scene.two} asked {scene.one} about the {scene.look} {scene.thing} ."
    return f"{time} {scene.pick((found, asked))}"


def _move(scene: _Scene) -> str:
    return f"{scene.two} carried the {scene.thing} from the {scene.here} to the {scene.there} ."


def _thanks(scene: _Scene) -> str:
    return f"{scene.one} thanked {scene.two} and went back home with the {scene.look} {scene.thing} ."


def _story(random: np.random.RandomState) -> list[int]:
    scene = _Scene(random)
    parts = [_opening(scene), _search(scene), _move(scene), _thanks(scene)]
    kept = parts[: 1 + int(random.randint(len(parts)))]
    return [_IDS[word] for word in " ".join(kept).split()]


def generate(stories: int, seed: int) -> Stories:
    """As many stories as asked for; the same seed gives the same stories everywhere."""
    random = np.random.RandomState(seed)
    ids = np.zeros((stories, LENGTH), "int32")
    labels = np.zeros((stories, LENGTH), "int32")
    for row in range(stories):
        words = _story(random)
        ids[row, : len(words) + 1] = [START, *words]
        labels[row, : len(words) + 1] = [*words, STOP]
    return Stories(ids, labels)


def training() -> Stories:
    """What the model was trained on."""
    return generate(TRAINING, SEED)


def recorded() -> Stories:
    """What the validator replays: unseen stories, and last a row that is nothing but padding."""
    stories = generate(RECORDED, SEED + 1)
    for ids in stories:
        ids[-1] = PAD
    return stories
