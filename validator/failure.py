"""A fault of the user's environment or model: a value in the report, never an exception of ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen, Text

Stage = Literal[
    "resolve", "install", "import", "build", "load", "compile", "inputs", "structure", "predict", "train",
    "decode", "timeout", "crash", "unreached", "tampered",
]  # fmt: skip
#: Where nothing is known about the model: its time never came, or its results are not what it left.
UNJUDGED: frozenset[Stage] = frozenset({"unreached", "tampered"})
#: What is known about an error beyond its message.
Hint = Literal[
    "python", "safe-mode", "custom-objects", "ragged", "weights-file", "builder", "sandbox", "compilation",
    "requirements",
]  # fmt: skip


class WeightsAccount(Frozen):
    """What is left over after weights were loaded: variables that the file did not fill, unused tensors."""

    file: str = Field(description="Name of the file.")
    variables: int = Field(description="How many variables the model has.")
    unfilled: tuple[str, ...] = Field(
        default=(), description="Paths of variables left as they were; 20 at most."
    )
    unfilled_count: int = 0
    constant: bool = Field(default=True, description="Whether every unfilled variable holds a single value.")
    stale: tuple[str, ...] = Field(
        default=(), description="Layers that loaded statistics and compute with others; 20 at most."
    )
    unused: tuple[str, ...] = Field(default=(), description="Paths of tensors in the file; 20 at most.")
    unused_count: int = 0
    optimizer_saved: int = Field(default=0, description="Tensors of the optimizer's state in the file.")
    optimizer_restored: int = Field(default=0, description="How many of them the optimizer holds.")


class Failure(Frozen):
    """What failed, at which stage, in the words of whoever raised it."""

    stage: Stage
    error: Text = Field(description="Class of the error, for example `ValueError`, `uv` or `SIGSEGV`.")
    message: Text = Field(description="The error's own words; the first line is what tables show.")
    log: Text = Field(default="", description="The end of the log, where that helps.")
    hint: Hint | None = Field(default=None, description="What is known about such an error; null if nothing.")
    weights: WeightsAccount | None = Field(
        default=None, description="Of a file that does not fill the model: what is left over."
    )
