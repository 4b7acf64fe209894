"""The base of every part of validator.yml."""

from __future__ import annotations

from typing import get_args

from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from validator.base import Frozen


class Setting(Frozen):
    """A part of validator.yml. `true` is no number there, though it is one in Python."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_by_yes_or_no(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and info.field_name is not None:
            annotation = cls.model_fields[info.field_name].annotation
            parts = get_args(annotation)
            kinds = {annotation, *parts, *(type(part) for part in parts if not isinstance(part, type))}
            if bool not in kinds and kinds & {int, float}:
                raise PydanticCustomError("number_type", "input should be a number")
        return value
