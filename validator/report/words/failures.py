"""What is said about a failure: its stage in our words, the error in its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from validator.failure import Failure, Hint, Stage, WeightsAccount
from validator.report.phrases import Words, plural, strong, words
from validator.text import first_line, plain

STAGES: dict[Stage, str] = {
    "resolve": "failed to resolve",
    "install": "failed to install",
    "import": "failed to import Keras",
    "build": "failed to build",
    "load": "failed to load",
    "compile": "failed to compile",
    "inputs": "failed to take its inputs",
    "structure": "failed to record its structure",
    "predict": "failed to predict",
    "train": "failed to train",
    "decode": "failed to decode",
    "timeout": "ran out of time",
    "crash": "crashed",
    "unreached": "was not reached",
    "tampered": "was changed after it was recorded",
}
_SENTENCES = ("UnusableError", "NoRoomError")  # of the worker itself: they say all that there is to say
_LIMIT = 600
_HEAD, _TAIL = 260, 120  # characters of an error in one line
_HINTS: dict[Hint, str] = {
    "python": "the file holds code of another Python: set python to the version that saved it",
    "safe-mode": "set safe_mode: false for this model, if you trust the file",
    "custom-objects": "list the modules with its own classes and functions under custom_objects",
    "ragged": "Keras 3 takes ragged tensors in few layers: record the inputs padded, with a mask",
    "weights-file": "save the weights as .weights.h5 and name them under weights",
    "builder": "this release cannot read the saved configuration: name builder and weights instead",
    "sandbox": "if the model's code writes that file, list its folder under sandbox.write",
    "requirements": "change one of the requirements that the error names, so that versions satisfy them all. "
    "Then run the check again",
    "compilation": "set compile: false for this model if nothing needs them, or load it with compile=False, "
    "compile it again and save it as .keras",
}

_BY_STAGE: dict[Stage, str] = {
    "unreached": "raise limits.total_seconds, or run fewer cells at a time with --only",
    "tampered": "find out what in this run writes to the results of others, and do not merge before that",
}
#: By the runner's own names of what ended a job.
_BY_ERROR = {
    "MemoryLimit": "raise limits.memory_gib, or run this model on a machine with more memory",
    "SIGKILL": "if the system ran out of memory, run this model on a machine with more, or with --jobs 1",
    "TimeLimit": "raise the limit that the error names, or record fewer samples",
    "DiskLimit": "free space on the disk where the run lies, or choose another folder with --output",
}


def error_line(failure: Failure) -> str:
    """The error in one line: its first, and the next where the first only introduces it."""
    if failure.weights is not None:
        return left_over(failure.weights)
    line = _both_ends(first_line(failure.message))
    if line.endswith(":"):
        _, _, rest = plain(failure.message, _LIMIT).partition(line)
        line += " " + re.sub(r"^[\W_]+", "", rest)
    is_whole = line.startswith(failure.error) or failure.error in _SENTENCES
    return line if is_whole else f"{failure.error}: {line}".removesuffix(": ")


def _both_ends(line: str) -> str:
    """The head and the tail of a line: an error begins with what happened and may end with why."""
    return line if len(line) <= _HEAD + _TAIL else f"{line[:_HEAD].rstrip()} … {line[-_TAIL:].lstrip()}"


def known(failure: Failure) -> str:
    """What to do about such an error; empty where nothing is known."""
    if failure.hint is not None:
        return _HINTS[failure.hint]
    ended = _BY_ERROR.get(failure.error, "") if failure.stage in ("crash", "timeout") else ""
    return ended or _BY_STAGE.get(failure.stage, "")


def left_over(weights: WeightsAccount) -> str:
    """What a file did not fill, and what follows from that."""
    remedy = "" if weights.file.endswith((".keras", ".weights.h5")) else "; save the weights as .weights.h5"
    if not weights.unfilled:
        layers = enumerated(weights.stale)
        return f"{weights.file} holds the statistics of {layers}, but Keras computes without them{remedy}"
    count = f"{weights.unfilled_count} of {plural(weights.variables, 'variable')}"
    are = "is" if weights.unfilled_count == 1 else "are"
    values = "they keep their initial values" if weights.constant else "their values are random"
    listed = enumerated(weights.unfilled, weights.unfilled_count)
    return f"{count} {are} not in {weights.file}: {listed}; {values}{remedy}"


def enumerated(names: Sequence[str], count: int | None = None, most: int = 4) -> str:
    """The first names, and how many more there are."""
    more = (len(names) if count is None else count) - most
    return plain(", ".join(names[:most]), _LIMIT) + (f" and {more} more" if more > 0 else "")


def failed(failure: Failure) -> Words:
    """`failed to load: ValueError: Unknown layer 'Attention'.`, the stage where the eye meets it first."""
    error = error_line(failure)
    return words(strong(STAGES[failure.stage]), f": {error}" if error else "")
