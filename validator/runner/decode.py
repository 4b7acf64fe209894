"""The answers of a worker's task `decode` as typed values (docs/decode.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue, ValidationError, model_validator

from validator.base import Frozen
from validator.errors import CannotJudgeError
from validator.runner.captures import WorkerFailure

_T = TypeVar("_T", bound=Frozen)
#: Rows of logits as they lie on disk: (positions, vocabulary), float32 or float64.
Logits = NDArray[Any]


class ForcedAnswer(Frozen):
    """Steps along another environment's tokens. `steps` is a file with a row for each token."""

    failure: WorkerFailure | None = None
    mode: str = ""
    samples: tuple[int, ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    steps: str = ""


class DecodeAnswer(Frozen):
    """What one environment decoded by itself.

    `samples` are numbers of recorded samples; `prompts`, `positions` (of each prompt, whose logits are in
    `prefill`), `tokens` (−1 where NaN chose nothing), `ends` and `texts` (prompt, continuation) have an entry
    for each. `steps`, `whole` (the same positions from one pass) and each of `noise` (the same steps, weights
    moved by one unit in the last place) are files with a row for each token.
    """

    failure: WorkerFailure | None = None
    mode: str = ""
    vocabulary: int = 0
    samples: tuple[int, ...] = ()
    prompts: tuple[tuple[int, ...], ...] = ()
    positions: tuple[tuple[int, ...], ...] = ()
    tokens: tuple[tuple[int, ...], ...] = ()
    ends: tuple[Literal["steps", "eos", "nan"], ...] = ()
    prefill: str = ""
    steps: str = ""
    whole: str = ""
    noise: tuple[str, ...] = ()
    texts: tuple[tuple[str, str], ...] | None = None
    notes: tuple[str, ...] = Field(default=())

    @model_validator(mode="after")
    def _complete(self) -> DecodeAnswer:
        lists = (self.prompts, self.positions, self.tokens, self.ends)
        if any(len(entries) != len(self.samples) for entries in lists):
            raise ValueError("its lists have not one entry for each sample")
        if any(not tokens for tokens in self.tokens):
            raise ValueError("a sample without a token")
        return self

    @property
    def lengths(self) -> tuple[int, ...]:
        """How many steps each sample took."""
        return tuple(len(tokens) for tokens in self.tokens)


def parse_decode(answer: JsonValue | None) -> DecodeAnswer | None:
    """The typed answer; None where the task was not asked for.

    Raises:
        CannotJudgeError: it is something else.
    """
    return None if answer is None else _parse(DecodeAnswer, answer)


def parse_forced(answer: JsonValue | None) -> ForcedAnswer | None:
    """The typed answer of a task with `forced`; None where the task was not asked for.

    Raises:
        CannotJudgeError: it is something else.
    """
    return None if answer is None else _parse(ForcedAnswer, answer)


def read_logits(folder: Path, path: str, rows: int) -> Logits:
    """So many rows of logits; mapped, so that they are read when they are used.

    Raises:
        CannotJudgeError: the file is gone or holds something else.
    """
    found = folder / path
    try:
        logits: Logits = np.load(found, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CannotJudgeError(f"{found}: no logits ({error}); run the cell again") from None
    if logits.ndim != 2 or len(logits) != rows or logits.dtype.kind != "f":
        raise CannotJudgeError(
            f"{found}: holds {logits.dtype} {logits.shape}, not {rows} rows of logits; run the cell again"
        )
    return logits


def _parse(kind: type[_T], answer: JsonValue) -> _T:
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        raise CannotJudgeError(
            f"the answer of the task decode cannot be read ({reason}); run the cell again"
        ) from None
