"""The one table of tolerances: how far an element may move before it counts as mismatched.

An element is within when |candidate - baseline| <= atol + rtol * |baseline|. float16, bfloat16, float32,
float64 and complex are those of `torch.testing.assert_close`
(https://pytorch.org/docs/stable/testing.html#torch.testing.assert_close).
float8 has one step of its mantissa as rtol. Integers, booleans and strings are exact.
"""

from __future__ import annotations

from validator.config.settings import Tolerance

EXACT = Tolerance(rtol=0.0, atol=0.0)

TOLERANCES: dict[str, Tolerance] = {
    "float64": Tolerance(rtol=1e-7, atol=1e-7),
    "float32": Tolerance(rtol=1.3e-6, atol=1e-5),
    "float16": Tolerance(rtol=1e-3, atol=1e-5),
    "bfloat16": Tolerance(rtol=1.6e-2, atol=1e-5),
    "complex128": Tolerance(rtol=1e-7, atol=1e-7),
    "complex64": Tolerance(rtol=1.3e-6, atol=1e-5),
    "float8_e4m3fn": Tolerance(rtol=2**-3, atol=1e-5),
    "float8_e4m3fnuz": Tolerance(rtol=2**-3, atol=1e-5),
    "float8_e4m3b11fnuz": Tolerance(rtol=2**-3, atol=1e-5),
    "float8_e5m2": Tolerance(rtol=2**-2, atol=1e-5),
    "float8_e5m2fnuz": Tolerance(rtol=2**-2, atol=1e-5),
}

#: dtype → unit roundoff u = 2^-p for p bits of significand (IEEE 754; bfloat16 has 8), half of the ULP of 1:
#: the largest relative rounding error.
UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}


#: dtype → the smallest step between its numbers that counts as noise near zero: the smallest normal number,
#: where kernels flush to zero; of float16, whose subnormals they keep, the smallest of all.
SMALLEST = {"float64": 2.0**-1022, "float32": 2.0**-126, "bfloat16": 2.0**-126, "float16": 2.0**-24}


def unit_of(dtype: str) -> tuple[float, float]:
    """Unit roundoff of a floating dtype, and its smallest step; of a complex dtype those of its parts."""
    part = {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype)
    unit = UNIT_ROUNDOFF.get(part, TOLERANCES[dtype].rtol / 2 if dtype in TOLERANCES else 0.0)
    return unit, SMALLEST.get(part, 2.0**-9)  # 2**-9: a step of float8_e4m3fn near zero


def tolerance_of(baseline: str, candidate: str) -> Tolerance:
    """The tolerance of a pair of dtypes: the wider one where they differ, exact where neither is a float."""
    sides = TOLERANCES.get(baseline, EXACT), TOLERANCES.get(candidate, EXACT)
    return max(sides, key=lambda side: (side.rtol, side.atol))


def relative_floor(baseline: str, candidate: str) -> float:
    """What the baseline's magnitude counts as at least in `max_rel`.

    It is the dtype's own atol (1 for integers), whatever tolerance is configured: nearer to zero a relative
    difference says nothing, and 1e-7 against 0 would be infinite.
    """
    return tolerance_of(baseline, candidate).atol or 1.0
