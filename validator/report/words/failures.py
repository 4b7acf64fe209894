"""What is said about a failure: its stage in our words, the error in its own."""

from __future__ import annotations

import re

from validator.failure import Failure, Stage
from validator.report.phrases import Words, strong, words
from validator.text import first_line, plain

STAGES: dict[Stage, str] = {
    "resolve": "failed to resolve",
    "install": "failed to install",
    "import": "failed to import Keras",
    "load": "failed to load",
    "structure": "has another structure",
    "predict": "failed to predict",
    "train": "failed to train",
    "decode": "failed to decode",
    "timeout": "ran out of time",
    "crash": "crashed",
}
_LIMIT = 600


def error_line(failure: Failure) -> str:
    """The error in one line: its first, and the next where the first only introduces it."""
    line = first_line(failure.message)
    if line.endswith(":"):
        _, _, rest = plain(failure.message, _LIMIT).partition(line)
        line += " " + re.sub(r"^[\W_]+", "", rest)
    return line if line.startswith(failure.error) else f"{failure.error}: {line}".removesuffix(": ")


def failed(failure: Failure) -> Words:
    """`failed to load: ValueError: Unknown layer 'Attention'.`, the stage where the eye meets it first."""
    error = error_line(failure)
    return words(strong(STAGES[failure.stage]), f": {error}" if error else "")
