"""Numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

NONE = "–"
_BARS, _UNKNOWN = "▁▂▃▄▅▆▇█", "·"


def number(value: float | None) -> str:
    """Two significant digits of a difference: `1.5e-7`, `0.53`, `4,096`; an en dash where it is unknown."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    size = abs(value)
    if size < 1e-3 or size >= 1e6:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}"


def moved_value(before: float | None, after: float | None) -> str:
    """One element on both sides, with as many digits as it takes to see the difference."""
    digits = next((at for at in range(4, 18) if f"{before or 0:.{at}g}" != f"{after or 0:.{at}g}"), 6)
    left, right = (_element(side, digits) for side in (before, after))
    return f"{left} → {right}"


def _element(value: float | None, digits: int) -> str:
    """A number, `NaN`, `inf` or `-inf`; None stands for one of those three."""
    if value is None:
        return "not finite"
    return "NaN" if math.isnan(value) else f"{value:.{digits}g}"


#: Beyond it, a ratio says no more than that the noise is next to nothing.
_MOST_TIMES = 1e12


def ratio(times: float | None) -> str:
    """How many times the noise: `0.6×`, `412×`, `1.3e6×`, and no figure where there is next to no noise."""
    if times is None or not math.isfinite(times):
        return NONE
    if times == 0:
        return "0×"
    if times < 0.05:
        return "<0.1×"
    if times < 9.95:
        return f"{times:.1f}×"
    if times > _MOST_TIMES:
        return f">{number(_MOST_TIMES)}×"
    return f"{times:,.0f}×" if times < 1e5 else f"{number(times)}×"


def share(part: int | None, whole: int | None) -> str:
    """`87 of 4,096`."""
    if part is None:
        return NONE
    return f"{part:,}" if whole is None else f"{part:,} of {whole:,}"


def change(before: float | None, after: float | None) -> str:
    """`0.613 → 0.341`, or `0.983 = 0.983`; as many digits as it takes to see the difference."""
    if before is None and after is None:
        return NONE
    left, right = scores(before, after)
    return f"{left} {'=' if before == after else '→'} {right}"


def scores(before: float | None, after: float | None) -> tuple[str, str]:
    """A metric on both sides, with as many digits as it takes to see the difference."""
    digits = range(3, 9)
    enough = (each for each in digits if before == after or _score(before, each) != _score(after, each))
    most = next(enough, digits[-1])
    return _score(before, most), _score(after, most)


def _score(score: float | None, digits: int) -> str:
    if score is None or not math.isfinite(score):
        return "none"
    tiny = 0 < abs(score) < 1e-3
    return f"{score:,.{digits}g}" if tiny or abs(score) >= 1e4 else f"{score:.{digits}f}"


def sparkline(values: Sequence[float | None], most: int | None = None) -> str:
    """A character for each value, `▁▁▃█`, from zero to the largest; `·` where a value is not known.

    Of more than `most` values, neighbours share a character that shows the largest of them.
    """
    each = math.ceil(len(values) / most) if most else 1
    groups = [values[at : at + each] for at in range(0, len(values), max(each, 1))]
    tops = [max((value for value in group if value is not None), default=None) for group in groups]
    highest = max((top for top in tops if top is not None), default=0.0)
    return "".join(_UNKNOWN if top is None else _bar(top, highest) for top in tops)


def trendline(values: Sequence[float], most: int) -> str:
    """A character for each of the last values, `▇▇▇▁▁`, from the smallest to the largest of them."""
    latest = values[-most:]
    low = min(latest, default=0.0)
    width = max(latest, default=0.0) - low
    return "".join(
        _BARS[round((value - low) / width * (len(_BARS) - 1))] if width else _BARS[3] for value in latest
    )


def _bar(value: float, highest: float) -> str:
    if value <= 0:
        return _BARS[0]
    return _BARS[min(len(_BARS) - 1, int(value / highest * len(_BARS)))]


def probability(p: float | None) -> str:
    """`p = .003`, `p < .001`; empty where it is unknown."""
    if p is None:
        return ""
    return "p < .001" if p < 0.001 else f"p = {f'{p:.3f}'.removeprefix('0')}"


def seconds(duration: float | None) -> str:
    """`0.4 s`, `41 s`, `3 min 5 s`."""
    if duration is None:
        return ""
    if duration < 9.95:
        return f"{duration:.1f} s"
    whole = round(duration)
    return f"{whole} s" if whole < 100 else f"{whole // 60:,} min {whole % 60} s"


def shape(axes: Sequence[int]) -> str:
    """`256 × 10`."""
    return " × ".join(f"{axis}" for axis in axes) or "scalar"
