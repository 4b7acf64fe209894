"""Words and numbers for one cell, so that terminal, Markdown, HTML and JUnit say the same.

A sentence is a tuple of pieces, because a name looks different in each place (`code` in Markdown, bold in a
terminal) and must be escaped differently. Whoever shows a piece escapes it; nothing here does.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from validator.results import CellResult, Failure, MetricResult, OutputResult, ReportedMetric, Stage
from validator.text import first_line, plain

Kind = Literal["text", "name", "strong", "link"]
NONE = "–"
_BARS, _UNKNOWN = "▁▂▃▄▅▆▇█", "·"


@dataclass(frozen=True)
class Piece:
    """A stretch of a sentence. `url` is set for links only, and is one that we trust (see `LINK`)."""

    text: str
    kind: Kind = "text"
    url: str = ""


Words = tuple[Piece, ...]

STAGES: dict[Stage, str] = {
    "resolve": "failed to resolve",
    "install": "failed to install",
    "import": "failed to import Keras",
    "load": "failed to load",
    "structure": "has another structure",
    "predict": "failed to predict",
    "train": "failed to train",
    "decode": "failed to decode",
    "timeout": "ran out of time",
    "crash": "crashed",
}
VERDICTS: dict[str, str] = {
    "identical": "identical",
    "rounding": "rounding",
    "suspicious": "suspicious",
    "changed": "changed",
    "metric-only": "metric only",
    "failed": "failed",
    "not-compared": "not compared",
}
MESSAGE_LIMIT = 600

#: Links that a finding may carry. They go through GitHub's redirector, as Dependabot's do, so that a comment
#: in every user's repository is not listed in the thread it points to.
LINK = re.compile(
    r"https://(?:redirect\.)?github\.com/(keras-team|tensorflow|jax-ml|pytorch|numpy)/([\w.-]{1,60})"
    r"/(issues|pull)/(\d{1,7})\b"
)
_MARKED = re.compile(rf"`([^`\n]{{1,300}})`|({LINK.pattern})")


def text(value: str) -> Piece:
    """A piece of running text."""
    return Piece(value)


def name(value: str) -> Piece:
    """A piece that names something: a model, an output, a package."""
    return Piece(value, "name")


def strong(value: str) -> Piece:
    """A piece that the eye should find."""
    return Piece(value, "strong")


def prose(message: str) -> Words:
    """A message as it stands in the report: what is in backticks is a name, known links are links."""
    pieces: list[Piece] = []
    message = plain(message, MESSAGE_LIMIT)
    end = 0
    for match in _MARKED.finditer(message):
        if match.start() > end:
            pieces.append(text(message[end : match.start()]))
        if match[1] is not None:
            pieces.append(name(match[1]))
        else:
            owner, repository, kind, number = match[3], match[4], match[5], match[6]
            short = repository if owner == "keras-team" else f"{owner}/{repository}"
            url = f"https://redirect.github.com/{owner}/{repository}/{kind}/{number}"
            pieces.append(Piece(f"{short}#{number}", "link", url))
        end = match.end()
    if end < len(message):
        pieces.append(text(message[end:]))
    return tuple(pieces)


def unmarked(words: Iterable[Piece]) -> str:
    """The words alone."""
    return "".join(piece.text for piece in words)


def listed(items: Sequence[Piece], most: int = 4) -> Words:
    """`a, b and c`, or `a, b, c and 12 more`."""
    shown = list(items if len(items) <= most else items[: most - 1])
    if len(items) > most:
        shown.append(text(f"{len(items) - len(shown)} more"))
    pieces: list[Piece] = []
    for at, item in enumerate(shown):
        if at:
            pieces.append(text(" and " if at == len(shown) - 1 else ", "))
        pieces.append(item)
    return tuple(pieces)


def plural(count: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `1,024 cells`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


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
    left, right = ("not finite" if one is None else f"{one:.{digits}g}" for one in (before, after))
    return f"{left} → {right}"


def ratio(times: float | None) -> str:
    """How many times the noise: `0.6×`, `412×`, `1.3e6×`."""
    if times is None or not math.isfinite(times):
        return NONE
    if times == 0:
        return "0×"
    if times < 0.05:
        return "<0.1×"
    if times < 9.95:
        return f"{times:.1f}×"
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
    left, right = (_score(before, 3), _score(after, 3))
    for digits in range(4, 9):
        if left != right or before == after:
            break
        left, right = (_score(before, digits), _score(after, digits))
    return f"{left} {'=' if before == after else '→'} {right}"


def _score(score: float | None, digits: int) -> str:
    if score is None:
        return "none"
    return f"{score:.{digits}f}" if abs(score) < 1e4 else f"{score:,.{digits}g}"


def sparkline(values: Sequence[float | None], most: int | None = None) -> str:
    """A character for each value, `▁▁▃█`, from zero to the largest; `·` where a value is not known.

    Of more than `most` values, neighbours share a character that shows the largest of them.
    """
    each = math.ceil(len(values) / most) if most else 1
    groups = [values[at : at + each] for at in range(0, len(values), max(each, 1))]
    tops = [max((one for one in group if one is not None), default=None) for group in groups]
    highest = max((top for top in tops if top is not None), default=0.0)
    return "".join(_UNKNOWN if top is None else _bar(top, highest) for top in tops)


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


def largest(cell: CellResult) -> float | None:
    """The largest absolute difference of all outputs."""
    return max((output.max_abs for output in cell.outputs if output.max_abs is not None), default=None)


def noise_ratio(cell: CellResult) -> float | None:
    """The largest drift ÷ noise of all outputs."""
    known = [output.noise_ratio for output in cell.outputs if output.noise_ratio is not None]
    return max(known, default=None)


def flips(cell: CellResult) -> tuple[int, int | None] | None:
    """Moved arg maxes and rows of the output where most of them moved."""
    known = [(output.flips, output.rows) for output in cell.outputs if output.flips is not None]
    return max(known, key=lambda pair: pair[0] / (pair[1] or 1), default=None)


def measured(cell: CellResult) -> str:
    """The numbers beside the verdict: `0.53 at most, 412× the noise, 87 of 256 predictions flip`."""
    if all(output.verdict == "identical" for output in cell.outputs):
        return ""
    parts = []
    if cell.verdict != "rounding" and largest(cell) is not None:
        parts.append(f"{number(largest(cell))} at most")
    times = noise_ratio(cell)
    if times is not None:
        parts.append(f"{ratio(times)} the noise")
    flipped = flips(cell)
    if flipped is not None:
        parts.append(f"{share(*flipped)} predictions flip" if flipped[0] else "no prediction flips")
    return ", ".join(parts)


def metric(cell: CellResult) -> MetricResult | None:
    """The metric to show where there is room for one: a worse one, else the one that moved most."""
    metrics = cell.accuracy.metrics if cell.accuracy else ()
    return max(metrics, key=lambda one: (one.worse, abs(one.delta or 0)), default=None)


def certainty(one: MetricResult) -> str:
    """How sure it is that a metric that moved is worse: `p < .001`, `cannot tell, 40 more would`."""
    if not one.delta:
        return ""
    if one.decision == "worse":
        return probability(one.p)
    if one.decision != "cannot-tell" or one.worse:
        return ""
    more = (one.needed or 0) - one.units
    return f"cannot tell, {more:,} more would" if more > 0 else "cannot tell"


def judged(one: MetricResult) -> Words:
    """What stands behind a metric: its own sentence, and the interval of the difference if that lacks it."""
    said = prose(one.message)
    if one.low is None or one.high is None or "interval" in one.message:
        return said
    interval = f"interval of the difference {one.low:+.3g} … {one.high:+.3g}"
    return (*said, text(f"; {interval}" if said else interval))


def said_by(failure: Failure) -> str:
    """The error in one line: its first, and the next where the first only introduces it."""
    line = first_line(failure.message)
    if line.endswith(":"):
        _, _, rest = plain(failure.message, MESSAGE_LIMIT).partition(line)
        line += " " + re.sub(r"^[\W_]+", "", rest)
    return line if line.startswith(failure.error) else f"{failure.error}: {line}".removesuffix(": ")


def failed(failure: Failure) -> Words:
    """`failed to load: ValueError: Unknown layer 'Attention'.`"""
    said = said_by(failure)
    return (
        (strong(STAGES[failure.stage]), text(": "), *prose(said))
        if said
        else (strong(STAGES[failure.stage]),)
    )


def happened(cell: CellResult) -> Words:
    """What happened to a cell, in one line that starts with its verdict."""
    fell = tuple(one for one in (cell.accuracy.metrics if cell.accuracy else ()) if one.worse)
    falls: Words = (text("; "), strong(f"{fell[0].metric} got worse")) if fell else ()
    return (*_verdict_words(cell), *falls)


def _verdict_words(cell: CellResult) -> Words:
    word = strong(VERDICTS[cell.verdict])
    if cell.failure is not None:
        return failed(cell.failure)
    if cell.verdict == "identical":
        return (text("identical"),)
    if cell.verdict == "rounding":
        return (text(f"rounding, {number(largest(cell))} at most"),)
    if cell.verdict == "changed" and cell.first_difference is not None:
        first = cell.first_difference
        why = (text(": "), *prose(first.message)) if first.message else ()
        kind = f" ({cell.change})" if cell.change in {"semantic", "precision"} else ""
        return (word, text(f"{kind} at "), name(first.layer), *why)
    message = _message(cell)
    return (word, text(": "), *message) if message else (word,)


def _message(cell: CellResult) -> Words:
    """The cell's own sentence, without a verdict in front of it; composed where there is none."""
    said = cell.message.strip()
    for start in (cell.cell, cell.verdict, VERDICTS[cell.verdict]):
        if said.lower().startswith(start.lower()):
            said = said[len(start) :].lstrip(" :;,–-")
    if said:
        return prose(said)
    if cell.verdict == "metric-only":
        return _reported(cell)
    worst = next((output for output in cell.outputs if output.verdict == cell.verdict), None)
    return moved(worst) if worst else ()


def _reported(cell: CellResult) -> Words:
    differing = [one for one in (cell.accuracy.reported if cell.accuracy else ()) if one.differs]
    if not differing:
        return (text("same predictions, another reported metric"),)
    return (text("same predictions, the framework reports "), *reported(differing[0]))


def reported(one: ReportedMetric) -> Words:
    """`accuracy` 0.610 → 0.099."""
    return (name(one.name), text(f" {change(one.baseline, one.candidate)}"))


def moved(output: OutputResult) -> Words:
    """What differs in one output: the output, the element and the numbers."""
    if output.message:
        return prose(output.message)
    if output.verdict == "identical":
        return (text("identical"),)
    parts: list[str] = []
    if output.nan_candidate != output.nan_baseline:
        parts.append(f"{output.nan_candidate:,} NaN where the baseline has {output.nan_baseline:,}")
    if output.inf_candidate != output.inf_baseline:
        parts.append(f"{output.inf_candidate:,} infinite where the baseline has {output.inf_baseline:,}")
    if output.max_abs is not None:
        parts.append(f"differs by {number(output.max_abs)} at most{_place(output)}")
    if output.mismatched:
        parts.append(f"{share(output.mismatched, output.size)} elements outside tolerance")
    return (name(output.name), text(" " + "; ".join(parts))) if parts else ()


def _place(output: OutputResult) -> str:
    if output.worst is None:
        return ""
    place = ", ".join(str(at) for at in output.worst.index)
    return f", at [{place}]: {moved_value(output.worst.baseline, output.worst.candidate)}"
