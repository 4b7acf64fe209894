"""A fault of the user's environment or model: a value in the report, never an exception of ours."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from validator.base import Frozen

Stage = Literal[
    "resolve", "install", "import", "load", "structure", "predict", "train", "decode", "timeout", "crash"
]


class Failure(Frozen):
    """What failed, at which stage, in the words of whoever raised it."""

    stage: Stage
    error: str = Field(description="Class of the error, for example `ValueError`, `uv` or `SIGSEGV`.")
    message: str = Field(description="The error's own words; the first line is what tables show.")
    log: str = Field(default="", description="The end of the log, where that helps.")
