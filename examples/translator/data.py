"""Dates as people write them, and the same dates in ISO 8601. Everything is generated, from a seed.

The texts come off worn paper: some words and digits cannot be read, and "03/04/2021" has two readings, so
no model reaches 100 %.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

PAD, START, STOP, UNKNOWN = range(4)
SOURCE_LENGTH = 36
TARGET_LENGTH = 34


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


MONTHS = _words("january february march april may june july august september october november december")
_ORDINALS = _words("""
first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
fifteenth sixteenth seventeenth eighteenth nineteenth twentieth
""")
_NUMBERS = _words("""
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
""")
_TENS = _words("zero ten twenty thirty forty fifty sixty seventy eighty ninety")
_OTHERS = (*_words("the of in and then oh hundred st nd rd th"), *"0123456789/.,'-")
_WORDS = dict.fromkeys((*MONTHS, *(m[:3] for m in MONTHS), *_ORDINALS, *_NUMBERS, *_TENS, *_OTHERS))
SOURCE_TOKENS: tuple[str, ...] = ("<pad>", "<start>", "<stop>", "<unknown>", *_WORDS)
TARGET_TOKENS: tuple[str, ...] = ("<pad>", "<start>", "<stop>", "<unknown>", *"0123456789-,")
_SOURCE_IDS = {token: number for number, token in enumerate(SOURCE_TOKENS)}
_TARGET_IDS = {token: number for number, token in enumerate(TARGET_TOKENS)}
_TOKEN = re.compile(r"[a-z]+|\d|[/.,'-]")

SEED = 20320
TRAINING = 12000
UNREADABLE = 0.2  # share of the source tokens
RECORDED = 203  # not a multiple of the batch size; the last row is padding alone


class Pairs(NamedTuple):
    """Ids, int32: `source` (n, SOURCE_LENGTH); `target` and `labels` (n, TARGET_LENGTH), padded with 0.

    `target` is what the decoder is given (teacher forcing): the labels, one step later.
    """

    source: np.ndarray
    target: np.ndarray
    labels: np.ndarray


class _Dice:
    """A RandomState, because NumPy promises that its streams never change."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.RandomState(seed)

    def below(self, limit: int) -> int:
        return int(self._random.randint(limit))

    def chance(self, probability: float) -> bool:
        return bool(self._random.random_sample() < probability)


def _spoken(number: int) -> str:
    if number < 20:
        return _NUMBERS[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens] + (f"-{_NUMBERS[ones]}" if ones else "")


def _ordinal(number: int) -> str:
    return _ORDINALS[number - 1] if number <= 20 else f"twenty-{_ORDINALS[number - 21]}"


def _year(dice: _Dice, year: int) -> str:
    century, rest = divmod(year, 100)
    form = dice.below(4)
    if form == 0 and rest >= 10:
        return f"{_spoken(century)} {_spoken(rest)}"
    if form == 0:
        return f"{_spoken(century)} oh {_spoken(rest)}" if rest else f"{_spoken(century)} hundred"
    if form == 1:
        return f"'{rest:02d}"
    return str(year)


def _month(dice: _Dice, month: int) -> str:
    name = MONTHS[month - 1]
    return name if dice.chance(0.6) else name[:3]


def _day(dice: _Dice, day: int) -> str:
    form = dice.below(3)
    if form == 0:
        return _ordinal(day)
    if form == 1:
        return str(day)
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def _full(dice: _Dice, year: int, month: int, day: int) -> str:
    form = dice.below(5)
    if form == 0:
        return f"{day:02d}/{month:02d}/{year}"
    if form == 1:
        return f"{month:02d}/{day:02d}/{year}"
    if form == 2:
        return f"{day}.{month}.{year}"
    if form == 3:
        return f"{_month(dice, month)} {_day(dice, day)}, {_year(dice, year)}"
    return f"the {_day(dice, day)} of {_month(dice, month)} {_year(dice, year)}"


def _date(dice: _Dice) -> tuple[str, str]:
    year, month, day = 1950 + dice.below(100), 1 + dice.below(12), 1 + dice.below(28)
    form = dice.below(10)
    if form < 3:
        return f"in {_year(dice, year)}", f"{year}"
    if form < 6:
        return f"{_month(dice, month)} {_year(dice, year)}", f"{year}-{month:02d}"
    return _full(dice, year, month, day), f"{year}-{month:02d}-{day:02d}"


def _sentence(dice: _Dice) -> tuple[str, str]:
    dates = 1 + int(dice.chance(0.18)) + int(dice.chance(0.06))
    texts, isos = zip(*(_date(dice) for _ in range(dates)), strict=True)
    return (" and " if dice.chance(0.5) else ", then ").join(texts), ",".join(isos)


def encode(text: str) -> list[int]:
    """Ids of a written date's tokens: words, single digits and marks."""
    return [_SOURCE_IDS.get(token, UNKNOWN) for token in _TOKEN.findall(text.lower())]


def generate(samples: int, seed: int) -> Pairs:
    """As many pairs as asked for; the same seed gives the same pairs everywhere."""
    dice = _Dice(seed)
    source = np.zeros((samples, SOURCE_LENGTH), "int32")
    target = np.zeros((samples, TARGET_LENGTH), "int32")
    labels = np.zeros((samples, TARGET_LENGTH), "int32")
    for row in range(samples):
        text, iso = _sentence(dice)
        words = [UNKNOWN if dice.chance(UNREADABLE) else word for word in encode(text)]
        letters = [_TARGET_IDS[letter] for letter in iso]
        source[row, : len(words)] = words
        target[row, : len(letters) + 1] = [START, *letters]
        labels[row, : len(letters) + 1] = [*letters, STOP]
    return Pairs(source, target, labels)


def training() -> Pairs:
    """What the model was trained on."""
    return generate(TRAINING, SEED)


def recorded() -> Pairs:
    """What the validator replays: unseen pairs, and last a row that is nothing but padding."""
    pairs = generate(RECORDED, SEED + 1)
    for ids in pairs:
        ids[-1] = PAD
    return pairs
