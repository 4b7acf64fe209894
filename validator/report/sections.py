"""The sections of a comment as Markdown, each as full as the rung of the ladder allows.

Whoever wrote a name, message or log, it is escaped (see `blocks`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from validator.report import content, inside, story, wording
from validator.report.blocks import NAME, TEXT, Markdown, markdown, table, title
from validator.report.content import EnvironmentDifference, FailureGroup, Line, PackageDifference, Row
from validator.report.inside import Inside, LayerLine
from validator.results import OutputResult, Report
from validator.text import fence, markdown_code, markdown_text, tail

ICONS: dict[content.State, str] = {"good": "✅", "warn": "⚠️", "bad": "❌", "unknown": "❔"}


@dataclass(frozen=True)
class Links:
    """Where a reader finds more. Empty, or an http(s) address."""

    report: str = ""
    run: str = ""


@dataclass(frozen=True)
class Detail:
    """One rung of the ladder: how much is told."""

    passing: bool = True
    rows: int = 100_000
    outputs: int = 300
    log: int = 4000
    items: int = 40
    insides: int = 8
    layers: int = 12
    counts_only: bool = False


@dataclass(frozen=True)
class View:
    """What the template shows. Everything it hands out is Markdown, an integer, or text that gets escaped."""

    report: Report
    detail: Detail
    links: Links

    @cached_property
    def icon(self) -> Markdown:
        """The verdict as an emoji; the headline beside it says the same."""
        return Markdown(story.ICONS[self.report.verdict])

    @cached_property
    def headline(self) -> str:
        """The verdict in a few words."""
        return story.headline(self.report)

    @cached_property
    def upgrade(self) -> Markdown:
        """What is upgraded."""
        return markdown(story.upgrade(self.report))

    @cached_property
    def sentences(self) -> Markdown:
        """What a reader needs before any table."""
        return Markdown(" ".join(markdown(one) for one in story.sentences(self.report)))

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows this rung shows, worst first."""
        every = content.rows(self.report)
        return tuple(row for row in every if self.detail.passing or not row.green)

    @cached_property
    def quiet(self) -> bool:
        """All is well: the table is folded away too."""
        return self.report.verdict == "pass" and all(row.green for row in content.rows(self.report))

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the table, as many as this rung shows."""
        return content.lines(self.rows)[: self.detail.rows]

    @cached_property
    def table(self) -> Markdown:
        """The table, empty where there is nothing to show."""
        lines = self.lines
        return _cells(lines, self._one_place(lines)) if lines else Markdown()

    def _one_place(self, lines: Sequence[Line]) -> bool:
        """Whether every row is of the one candidate environment, which need not be said each time."""
        candidates = [one for one in self.report.environments if one.name != self.report.baseline]
        return len(candidates) == 1 and len({place for line in lines for place in line.places}) == 1

    @cached_property
    def hidden(self) -> str:
        """What the table leaves out."""
        shown = sum(len(line.models) * len(line.places) for line in self.lines)
        every = content.rows(self.report)
        green = 0 if self.detail.passing else sum(row.green for row in every)
        worse = len(every) - green - shown
        parts = [f"{worse:,} more to look at"] if worse else []
        parts += [f"{wording.plural(green, 'cell')} without a difference to look at"] if green else []
        return f"Not shown: {' and '.join(parts)}." if parts else ""

    @cached_property
    def counted(self) -> str:
        """How many cells have each verdict."""
        return content.counted(self.report)

    @cached_property
    def whys(self) -> tuple[Markdown, ...]:
        """By model: why, and the way out."""
        return tuple(_why(why) for why in content.whys(self.report)[: self.detail.items])

    @cached_property
    def _insides(self) -> tuple[Inside, ...]:
        return inside.insides(self.report)

    @cached_property
    def insides(self) -> tuple[Markdown, ...]:
        """By cell that moved: where it starts, layer by layer, and its decode step by step."""
        shown = self._insides[: self.detail.insides]
        return tuple(_inside(one, self.detail.layers) for one in shown)

    @cached_property
    def insides_hidden(self) -> str:
        """How many insides this rung leaves out, where it shows some."""
        left = len(self._insides) - len(self.insides)
        return f"Layer by layer, {left:,} more are in the full report." if self.insides and left else ""

    @cached_property
    def differences(self) -> tuple[Markdown, ...]:
        """By environment: what it has otherwise than the baseline."""
        items = self.detail.items
        return tuple(_difference(one, items) for one in content.differences(self.report)[:items])

    @cached_property
    def differences_title(self) -> Markdown:
        """The heading of the differences."""
        moved = {package.name for one in content.differences(self.report) for package in one.packages}
        total = max((one.total for one in content.differences(self.report)), default=0)
        count = f"{len(moved):,} of {wording.plural(total, 'package')}"
        return _titled(f"What differs between the environments ({count})")

    @cached_property
    def upgraded(self) -> tuple[Markdown, ...]:
        """Every change of the upgrade, where the headline could not hold them all."""
        changes = self.report.upgrade.changes if self.report.upgrade else ()
        shown = changes[: self.detail.items] if len(changes) > 1 else ()
        return tuple(
            Markdown(
                f"{markdown_code(story.moved_package(one), NAME)}"
                f"{'' if one.direct else ' (transitive)'}"
                + (f" in {markdown_code(one.manifest, NAME)}" if one.manifest else "")
            )
            for one in shown
        )

    @cached_property
    def outputs(self) -> Markdown:
        """Every output with its numbers; empty where all are identical."""
        shown = content.outputs(self.rows)[: self.detail.outputs]
        if all(output.verdict == "identical" for _, output in shown):
            return Markdown()  # the table above has said it
        heads = (("output", "---"), ("difference", "---"))
        return table(heads, [_output(row, output) for row, output in shown])

    @cached_property
    def outputs_title(self) -> Markdown:
        """The heading of the outputs."""
        every = sum(len(row.cell.outputs) for row in content.rows(self.report))
        shown = len(content.outputs(self.rows)[: self.detail.outputs])
        return _titled(
            f"All outputs ({every:,})" if shown == every else f"{shown:,} of {every:,} outputs, worst first"
        )

    @cached_property
    def metrics(self) -> Markdown:
        """Every metric, and beside it what the framework itself reports."""
        found = [line for row in self.rows[: self.detail.rows] for line in _metrics(row)]
        if not any(row.cell.verdict != "identical" for row in self.rows):
            return Markdown()  # nothing that the table above has not said
        heads = (("cell", "---"), ("metric", "---"), ("before → after", "---"), ("samples", "--:"))
        return table(heads, found[: self.detail.outputs]) if found and self.detail.outputs else Markdown()

    @cached_property
    def failures(self) -> tuple[Markdown, ...]:
        """What failed, with the end of the log."""
        groups = content.failures(self.report)[: self.detail.items]
        return tuple(_failure(group, self.detail.log) for group in groups)

    @cached_property
    def failures_title(self) -> Markdown:
        """The heading of the failures."""
        return _titled(f"What failed ({len(content.failures(self.report)):,})")

    @cached_property
    def notes(self) -> tuple[Markdown, ...]:
        """What else a person should know."""
        told = {one for shown in self._insides[: self.detail.insides] for one in shown.told}
        found = content.notes(self.report, told)[: self.detail.items]
        return tuple(_note(note, where) for note, where in found)

    @cached_property
    def commands(self) -> Markdown:
        """The commands that run cells again."""
        found = content.commands(self.report, min(self.detail.items, 12))
        return Markdown(fence("\n".join(found), 4000, "console")) if found else Markdown()

    @cached_property
    def footer(self) -> Markdown:
        """What was compared, with what, and by whom."""
        return Markdown(" · ".join(_footer(self.report, self.links)))


def _titled(said: str) -> Markdown:
    return title((wording.text(said),))


def _cells(lines: Sequence[Line], one_place: bool) -> Markdown:
    """Three columns and no more: on a telephone a comment is 340 pixels wide."""
    metric = next(
        (one for one in content.number_columns([line.row for line in lines]) if one.heading == "accuracy"),
        None,
    )
    heads = [("model", "---"), ("what happened", "---")] + ([(metric.heading, "--:")] if metric else [])
    return table(heads, [_cell(line, metric, one_place) for line in lines])


def _cell(line: Line, metric: content.Column | None, one_place: bool) -> list[str]:
    row = line.row
    who = markdown(wording.listed([wording.name(model) for model in line.models]))
    places = wording.listed([wording.text(place) for place in line.places])
    where = "" if one_place else f"<br>{markdown(places)}"
    numbers = wording.measured(row.cell)
    happened = markdown(row.happened) + (f"<br><sub>{markdown_text(numbers, TEXT)}</sub>" if numbers else "")
    shown = markdown_text(metric.show(row), NAME) if metric else ""
    score = f"**{shown}**" if row.metric_fell else shown
    below = metric.below(row) if metric else ""
    score += f"<br><sub>{markdown_text(below, NAME)}</sub>" if below else ""
    return [f"{ICONS[row.state]} {who}{where}", happened] + ([score] if metric else [])


def _output(row: Row, output: OutputResult) -> list[str]:
    told = markdown(wording.moved(output)) or markdown_text(wording.VERDICTS[output.verdict], NAME)
    numbers = []
    if output.verdict != "identical" and output.noise_ratio is not None:
        numbers.append(f"{wording.ratio(output.noise_ratio)} the noise")
    if output.flips:
        numbers.append(f"{wording.share(output.flips, output.rows)} flips")
    rule = f"<br><sub>{markdown(wording.prose(output.rule))}</sub>" if output.rule else ""
    kind = f"{wording.shape(output.shape)} {output.dtype}".rstrip()
    return [
        f"{_where(row)}<br>{markdown_code(output.name, NAME)} <sub>{markdown_text(kind, NAME)}</sub>",
        "; ".join([told, *(markdown_text(one, NAME) for one in numbers)]) + rule,
    ]


def _where(row: Row) -> str:
    return f"{markdown_code(row.model, NAME)} {markdown_text(row.place, NAME)}"


def _metrics(row: Row) -> list[list[str]]:
    """What the one number of the main table does not say."""
    accuracy = row.cell.accuracy
    if accuracy is None:
        return []
    cell = _where(row)
    ours = [
        [
            cell,
            f"{markdown_text(one.metric, NAME)} of {markdown_code(one.output, NAME)}",
            markdown_text(wording.change(one.baseline, one.candidate), NAME)
            + (f"<br><sub>{markdown(said)}</sub>" if said else ""),
            f"{one.samples:,}",
        ]
        for one in accuracy.metrics
        if (said := wording.judged(one)) or len(accuracy.metrics) > 1
    ]
    theirs = [
        [
            cell,
            f"{markdown_text(one.name, NAME)} as the framework reports it",
            markdown_text(wording.change(one.baseline, one.candidate), NAME),
            "",
        ]
        for one in accuracy.reported
        if one.differs
    ]
    return ours + theirs


def _note(note: str, where: Sequence[str]) -> Markdown:
    cells = markdown(wording.listed([wording.name(cell) for cell in where]))
    return Markdown(f"{markdown(wording.prose(note))} ({cells})")


def _why(why: content.Why) -> Markdown:
    said = []
    if why.causes:
        causes = " ".join(markdown(wording.prose(cause)) for cause in why.causes[:4])
        said.append(f"**Why** {markdown_code(why.model, NAME)}: {causes}")
    if why.ways_out:
        ways = " · ".join(markdown(wording.prose(way)) for way in why.ways_out[:4])
        said.append(f"**Way out**{'' if why.causes else ' for ' + markdown_code(why.model, NAME)}: {ways}")
    return Markdown("\n".join(said))


def _inside(one: Inside, most: int) -> Markdown:
    """A fold with the table of layers and the line of the decode."""
    heads = (("layer", "---"), ("by itself", "--:"), ("inherited", "--:"))
    parts = [f"<details><summary>{title(one.title)}</summary>"]
    if one.lines:
        parts.append(table(heads, [_layer(line) for line in one.shown(most)]))
    if hidden := one.hidden(most):
        parts.append(f"Not shown: {hidden}.")
    if one.decode:
        parts.append(f"**Decode**, KL by step: {markdown(one.decode)}")
    return Markdown("\n\n".join([*parts, "</details>"]))


def _layer(line: LayerLine) -> list[str]:
    """Three columns again: the kind stands beside the number of what a layer does by itself."""
    layer = line.layer
    mask = f"<br><sub>{markdown_text(line.mask, NAME)}</sub>" if line.mask else ""
    message = f"<br><sub>{markdown(wording.prose(line.message))}</sub>" if line.message else ""
    kind = f"<br><sub>{markdown_text(layer.class_name, NAME)}</sub>"
    return [
        f"{markdown_code(layer.layer, NAME)}{kind}{mask}{message}",
        f"**{line.kind}**{f' {line.by_itself}' if layer.by_itself else ''}" if line.own else line.by_itself,
        line.inherited,
    ]


def _difference(one: EnvironmentDifference, most: int) -> Markdown:
    moved = [_moved(package) for package in one.packages[:most]]
    if len(one.packages) > most:
        moved.append(f"{len(one.packages) - most:,} more")
    for fact in one.facts:
        moved.append(
            f"{fact.name} {markdown_text(fact.new, NAME)} instead of {markdown_text(fact.old, NAME)}"
        )
    same = ", ".join(markdown_text(kept, NAME) for kept in one.same)
    more = (
        f"{' and ' if same else ''}{wording.plural(one.same_more, 'other package')}" if one.same_more else ""
    )
    said = f"**{markdown_text(one.name, NAME)}**: {', '.join(moved) or 'nothing'}."
    return Markdown(f"{said} Same: {same}{more}." if same or more else said)


def _moved(package: PackageDifference) -> str:
    name = markdown_code(package.name, NAME)
    if package.old and package.new:
        return f"{name} {markdown_text(package.old, NAME)} → {markdown_text(package.new, NAME)}"
    version = markdown_text(package.old or package.new, NAME)
    return f"{name} {version} only {'in the baseline' if package.old else 'here'}"


def _failure(group: FailureGroup, log: int) -> Markdown:
    where = markdown(wording.listed([wording.name(place) for place in group.places]))
    said = f"{where} {markdown(wording.failed(group.failure))}"
    text = group.failure.log if group.failure.log.strip() else group.failure.message
    end = tail(text, log) if log else ""
    only_the_line = "\n" not in end.strip() and not group.failure.log.strip()
    return Markdown(said if not end or only_the_line else f"{said}\n\n{fence(end, log + 8)}")


def _footer(report: Report, links: Links) -> list[str]:
    models, environments = len(report.models), len(report.environments)
    took = f" in {wording.seconds(report.seconds)}" if report.seconds is not None else ""
    parts = [f"baseline {markdown_text(report.baseline, NAME)}"] if report.baseline else []
    if models:
        plural = wording.plural
        parts.append(f"{plural(models, 'model')} × {plural(environments, 'environment')}{took}")
    if report.commit and re.fullmatch(r"[0-9a-f]{7,64}", report.commit):
        parts.append(f"commit {report.commit[:7]}")
    parts += [f"[full report]({links.report})"] if links.report else []
    parts += [f"[log]({links.run})"] if links.run else []
    if models:
        missing = [wording.name(cell) for cell in report.not_compared]
        parts.append(f"not compared: {markdown(wording.listed(missing)) if missing else 'nothing'}")
    return [*parts, f"keras-validator {markdown_text(report.tool, 40)}"]
