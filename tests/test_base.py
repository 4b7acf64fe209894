"""Values that cross a border."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from validator.base import Finite, Frozen


class Measured(Frozen):
    ratio: Finite
    largest: Finite | None = None


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_not_finite_is_written_as_null_and_comes_back_as_unknown(value: float) -> None:
    written = Measured(ratio=value, largest=value).model_dump_json()
    assert written == '{"ratio":null,"largest":null}'
    read = Measured.model_validate_json(written)
    assert math.isnan(read.ratio)
    assert read.largest is None


def test_a_finite_number_comes_back_as_it_was() -> None:
    value = Measured(ratio=0.1, largest=-3e300)
    assert Measured.model_validate_json(value.model_dump_json()) == value


@pytest.mark.parametrize("field", ["ratio", "largest"])
@pytest.mark.parametrize("text", ["1e999", "-1e999", "Infinity", "NaN", '"Infinity"', '"-inf"', '"nan"'])
def test_a_document_that_spells_out_infinity_is_refused(field: str, text: str) -> None:
    values = {"ratio": "1", "largest": "1"} | {field: text}
    document = ", ".join(f'"{key}": {value}' for key, value in values.items())
    with pytest.raises(ValidationError, match="finite number or null"):
        Measured.model_validate_json(f"{{{document}}}")
