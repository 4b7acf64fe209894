"""The inside of a cell that moved: layer by layer and, for token models, step by step.

What is said here is chosen, counted and put into words; how it looks is the business of each format.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from validator.report import content, wording
from validator.report.content import Row
from validator.report.wording import Words
from validator.results import CellResult, CellVerdict, DecodeDivergence, DecodeResult, LayerResult, Report
from validator.text import plain

MOVED: tuple[CellVerdict, ...] = ("changed", "suspicious")
#: The kinds of layers that differ by themselves.
OWN = ("value", "dtype", "mask", "structure")
KINDS = {"same": wording.NONE}
_COUNTED = re.compile(r"(\d+ of \d+) layers (differs? by (?:itself|themselves), \d+ inherit)")
_CONTINUATION = 60


@dataclass(frozen=True)
class LayerLine:
    """A line of the table of layers. `message` is empty where the report has said it already."""

    layer: LayerResult
    by_itself: str
    inherited: str
    message: str

    @property
    def own(self) -> bool:
        """Whether something differs here by itself."""
        return self.layer.kind in OWN

    @property
    def kind(self) -> str:
        """What differs here by itself, in a word."""
        return KINDS.get(self.layer.kind, self.layer.kind)

    @property
    def mask(self) -> str:
        """How the drift is spread over what the mask keeps and what it hides, where that says something."""
        kept, hidden = wording.ratio(self.layer.valid), wording.ratio(self.layer.padded)
        if wording.NONE in (kept, hidden) or kept == hidden:
            return ""
        return f"{kept} where the mask keeps, {hidden} where it hides"


@dataclass(frozen=True)
class Inside:
    """One inside, and the environments and variants in which it is the same."""

    model: str
    places: tuple[str, ...]
    counted: str
    layers: tuple[LayerResult, ...]
    decode: Words
    lines: tuple[LayerLine, ...]
    #: Cell and message of the findings that this says in its own way.
    told: frozenset[tuple[str, str]]
    only: bool

    @property
    def title(self) -> Words:
        """Where it starts: `llama` in keras-3.5.0, layer by layer (3 of 22 differ by themselves …)."""
        where: Words = (wording.name(self.model),)
        if not self.only:
            where += (wording.text(" in "), *wording.listed([wording.text(one) for one in self.places]))
        if not self.lines:
            return (wording.text("Decode: "), *where, wording.text(", step by step"))
        return (
            wording.text("Where it starts: "),
            *where,
            wording.text(f", layer by layer ({self.counted})"),
        )

    def shown(self, most: int) -> tuple[LayerLine, ...]:
        """At most so many lines, in the model's order.

        The first layers that differ by themselves and the worst of them, the one before the first, then
        those that inherit most.
        """
        return tuple(self.lines[at] for at in self._chosen(most))

    def _chosen(self, most: int) -> list[int]:
        every = range(len(self.lines))
        if len(every) <= most:
            return list(every)
        own = [at for at in every if self.lines[at].own]
        later = sorted(own[most // 2 :], key=lambda at: -_size(self.layers[at].by_itself))
        own = [*own[: most // 2], *later]
        before = [own[0] - 1] if own and own[0] else []
        heirs = sorted(
            (at for at in every if self.layers[at].kind == "inherited"),
            key=lambda at: -_size(self.layers[at].inherited),
        )
        wanted = dict.fromkeys([*own[: most - 2], *before, *heirs, *own, *every])
        return sorted(list(wanted)[:most])

    def hidden(self, most: int) -> str:
        """What `shown` leaves out: `7 that inherit and 3 that are the same`."""
        shown = set(self._chosen(most))
        left = [line for at, line in enumerate(self.lines) if at not in shown]
        own = sum(line.own for line in left)
        heirs = sum(line.layer.kind == "inherited" for line in left)
        same = len(left) - own - heirs
        parts = [f"{own} that differ by themselves"] if own else []
        parts += [f"{heirs} that inherit"] if heirs else []
        parts += [f"{same} that are the same"] if same else []
        return wording.unmarked(wording.listed([wording.text(part) for part in parts]))


def insides(report: Report) -> tuple[Inside, ...]:
    """The cells that changed or are suspicious and were looked into, worst first, those alike once."""
    cells = {model.name: len(model.cells) for model in report.models}
    found: dict[tuple[object, ...], Inside] = {}
    for row in content.rows(report):
        one = _inside(row, only=cells[row.model] == 1) if row.cell.verdict in MOVED else None
        if one is None:
            continue
        key = (one.model, one.layers, one.decode)
        if key in found:
            first = found[key]
            one = replace(first, places=(*first.places, *one.places), told=first.told | one.told)
        found[key] = one
    return tuple(found.values())


def _inside(row: Row, *, only: bool) -> Inside | None:
    cell = row.cell
    decode = _decode(cell.decode)
    if not cell.layers and not decode:
        return None
    told = {cell.decode.message} if cell.decode and decode else set()
    if cell.layers:
        told |= {one.message for one in cell.findings if _COUNTED.fullmatch(one.message)}
    return Inside(
        model=row.model,
        places=(row.place,),
        counted=_counted(cell),
        layers=cell.layers,
        decode=decode,
        lines=_lines(cell),
        told=frozenset((cell.cell, message) for message in told),
        only=only,
    )


def _counted(cell: CellResult) -> str:
    """`3 of 22 differ by themselves, 16 inherit`: of all layers where a finding counts them."""
    for finding in cell.findings:
        if counted := _COUNTED.fullmatch(finding.message):
            return f"{counted[1]} {counted[2]}"
    own = sum(layer.kind in OWN for layer in cell.layers)
    heirs = sum(layer.kind == "inherited" for layer in cell.layers)
    verb = "differs by itself" if own == 1 else "differ by themselves"
    return f"{own} of {len(cell.layers)} {verb}, {heirs} inherit"


def _lines(cell: CellResult) -> tuple[LayerLine, ...]:
    layers = cell.layers
    bars = wording.sparkline([ratio for one in layers for ratio in (one.by_itself, one.inherited)])
    first = cell.first_difference
    said = {_alike(first.message, first.layer)} if first else set()
    lines = []
    for at, layer in enumerate(layers):
        alike = _alike(layer.message, layer.layer)
        lines.append(
            LayerLine(
                layer,
                _bar(bars[2 * at], layer.by_itself),
                _bar(bars[2 * at + 1], layer.inherited),
                "" if alike in said else layer.message,
            )
        )
        said.add(alike)
    return tuple(lines)


def _alike(message: str, layer: str) -> str:
    """A message without its own layer's name and numbers."""
    return re.sub(r"\d[\d.,e+-]*", "0", message.replace(f"`{layer}`", "``"))


def _bar(bar: str, ratio: float | None) -> str:
    if not ratio:
        return wording.NONE if ratio is None else "0"
    return f"{bar}\u00a0{wording.ratio(ratio)}"


def _size(ratio: float | None) -> float:
    """What no number holds is infinite, or not known: either way to be looked at first."""
    return math.inf if ratio is None else ratio


def _decode(result: DecodeResult | None) -> Words:
    """The steps in a line: KL by step, the first other token, and what rounding alone would give."""
    if result is None or result.verdict not in MOVED:
        return ()
    known = [(step.kl, step.step) for step in result.steps if step.kl is not None]
    if not known:
        return ()
    bars = wording.sparkline([step.kl for step in result.steps], most=32)
    (start, _), (end, last) = known[0], known[-1]
    top, where = max(known)
    said = (
        f" {wording.number(start)} → {wording.number(end)}" if len(known) > 1 else f" {wording.number(start)}"
    )
    if where not in (known[0][1], last):
        said += f", {wording.number(top)} at step {where}"
    parts = [said]
    if result.first is not None:
        parts.append(_first(result.first))
    if result.diverged:
        ties = f" ({wording.plural(result.ties, 'tie')})" if result.ties else ""
        parts.append(f"{wording.share(result.diverged, result.samples)} samples go on otherwise{ties}")
    parts += _aside(result)
    words = [wording.text(part if not at else f"; {part}") for at, part in enumerate(parts)]
    return (wording.name(bars), *words, wording.text("."))


def _aside(result: DecodeResult) -> list[str]:
    statistics = [one for one in (result.prefill, result.forced) if one is not None]
    parts = []
    if result.prefill is not None and result.prefill.kl is not None:
        parts.append(f"prefill KL {wording.number(result.prefill.kl)}")
    if infinite := sum(one.infinite for one in statistics):
        parts.append(f"{wording.plural(infinite, 'position')} not finite on one side")
    if result.noise_kl is not None:
        parts.append(f"rounding alone gives {wording.number(result.noise_kl)}")
    return parts


def _first(one: DecodeDivergence) -> str:
    """The first other token: where, by what margin, and how each side goes on."""
    tie = {True: "a tie", False: "not a tie", None: ""}[one.tie]
    margin = f"margin {wording.number(one.margin)}" if one.margin is not None else ""
    sure = ", ".join(part for part in (margin, tie) if part)
    said = f"first other token at step {one.step} of sample {one.sample}" + (f" ({sure})" if sure else "")
    here, there = plain(one.candidate_text, _CONTINUATION), plain(one.baseline_text, _CONTINUATION)
    return f"{said}: “{here}” for “{there}”" if here and there else said
