"""What workers decoded, as typed values (docs/decode.md). Logits are mapped: read when they are used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from validator.base import Frozen
from validator.checks.protocol import Evidence
from validator.errors import ConfigurationError
from validator.failure import Failure
from validator.runner.captures import Capture
from validator.storage.tensors import npy_header

#: Rows of logits as they lie on disk: (positions, vocabulary), float32 or float64.
Logits = NDArray[Any]
_T = TypeVar("_T", bound=Frozen)


class ForcedAnswer(Frozen):
    """Steps along another environment's tokens. `steps` is a file with a row for each token."""

    mode: str
    samples: tuple[int, ...]
    tokens: tuple[tuple[int, ...], ...]
    steps: str


class DecodeAnswer(Frozen):
    """What one environment decoded greedily.

    `samples` are numbers of recorded samples; `prompts`, `positions` (of each prompt, whose logits are in
    `prefill`), `tokens` (−1 where NaN chose nothing), `ends` and `texts` (prompt, continuation) have an entry
    for each. `steps`, `whole` (the same positions from one pass) and each of `noise` (the same steps, weights
    moved by one ULP) are files with a row for each token.
    """

    mode: str
    vocabulary: int
    samples: tuple[int, ...]
    prompts: tuple[tuple[int, ...], ...]
    positions: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[int, ...], ...]
    ends: tuple[Literal["steps", "eos", "nan"], ...]
    prefill: str
    steps: str
    whole: str
    noise: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] | None = None
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> DecodeAnswer:
        lists = (self.prompts, self.positions, self.tokens, self.ends, self.texts or self.samples)
        if not self.samples or any(len(entries) != len(self.samples) for entries in lists):
            raise ValueError("its lists have not one entry for each sample")
        if not all(self.tokens):
            raise ValueError("a sample without a token")
        return self

    @property
    def flat(self) -> list[int]:
        """The tokens of all samples, one after the other, as rows of logits lie."""
        return [token for tokens in self.tokens for token in tokens]


@dataclass(frozen=True)
class Decoded:
    """One side's decode.

    Attributes:
        forced: logits along the baseline's tokens, with those tokens; None where none were recorded.
    """

    answer: DecodeAnswer
    prefill: Logits
    steps: Logits
    whole: Logits
    noise: tuple[Logits, ...]
    forced: tuple[ForcedAnswer, Logits] | Failure | None = None


def read_decoded(evidence: Evidence) -> Decoded | Failure:
    """One side's decode, or why there is none."""
    folder, answer = evidence.capture.folder, _answer(evidence.capture, DecodeAnswer)
    if isinstance(answer, Failure):
        return answer
    rows = (len(answer.flat), answer.vocabulary)
    positions = (sum(map(len, answer.positions)), answer.vocabulary)
    try:
        return Decoded(
            answer,
            _open(folder / answer.prefill, positions),
            _open(folder / answer.steps, rows),
            _open(folder / answer.whole, rows),
            tuple(_open(folder / path, rows) for path in answer.noise),
            _forced(evidence.own.get("decode"), answer.vocabulary),
        )
    except ConfigurationError as error:
        return _broken(folder, str(error))


def _forced(
    capture: Capture | Failure | None, vocabulary: int
) -> tuple[ForcedAnswer, Logits] | Failure | None:
    if not isinstance(capture, Capture):
        return capture
    answer = _answer(capture, ForcedAnswer)
    if isinstance(answer, Failure):
        return answer
    try:
        rows = sum(map(len, answer.tokens))
        return answer, _open(capture.folder / answer.steps, (rows, vocabulary))
    except ConfigurationError as error:
        return _broken(capture.folder, str(error))


def _answer(capture: Capture, kind: type[_T]) -> _T | Failure:
    answer = capture.answer("decode", kind)
    return _broken(capture.folder, "no answer of the task decode") if answer is None else answer


def _open(path: Path, shape: tuple[int, int]) -> Logits:
    """Logits of so many (positions, vocabulary), mapped; ConfigurationError for a file of anything else."""
    header = npy_header(path, "logits")
    if header.shape != shape or header.dtype.kind != "f":
        raise ConfigurationError(
            f"{path.name} holds {header.dtype} {header.shape}, not logits of shape {shape}"
        )
    logits: Logits = np.load(path, mmap_mode="r")
    return logits


def _broken(folder: Path, reason: str) -> Failure:
    message = f"{folder}: not a decode ({reason}); run the cell again"
    return Failure(stage="crash", error="capture", message=message)
