"""The base of every typed value that crosses a process or file boundary."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)


class Frozen(BaseModel):
    """An immutable value: unknown keys are refused, and NaN and infinity unless a field allows them."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


def unicode(text: str) -> str:
    """The text, with `?` for what is no Unicode: bytes of a file's name, halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


#: A text of others that goes into a report: whatever they wrote, it can be written.
Text = Annotated[str, AfterValidator(unicode)]


def finite(value: float | None) -> float | None:
    """The number itself; None where it is NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def _read(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> float:
    if info.mode != "json":
        return float(read(value))
    if value is None:
        return math.nan
    number = float(read(value))
    if not math.isfinite(number):  # `1e999`, `"Infinity"`: we write null
        raise ValueError("a finite number or null")
    return number


#: A number that may be NaN or infinite in memory (a drift over no noise). In JSON it is null, read as
#: NaN (None where the field may be None); a document that spells out infinity is refused.
Finite = Annotated[
    float,
    Field(allow_inf_nan=True),
    WrapValidator(_read),
    PlainSerializer(finite, return_type=float | None),
]
