"""A report as an outline: headline, summary, main table, and sections in reading order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from validator.failure import Failure
from validator.matrix import Effect
from validator.report.causes import alike
from validator.report.content import Content, Parts, Row, unique
from validator.report.document import Block, Bullets, Code, Paragraph, shortened
from validator.report.figures import seconds
from validator.report.lines import Line, lines, table
from validator.report.packages import EnvironmentDifference, differences
from validator.report.phrases import Piece, Words, joined, listed, name, plural, sentence, strong, words
from validator.report.reproduce import COMMIT, CodeSource, commands_of, whole_way
from validator.report.words import acceptances, run, sections
from validator.report.words.effects import changed_models
from validator.report.words.failures import failed
from validator.report.words.models import changed_model
from validator.report.words.remedies import advice, without_artifact
from validator.report.words.upgrade import changed_package, moved_package
from validator.text import tail

SectionKind = Literal[
    "why",
    "do",
    "unchanged",
    "details",
    "failures",
    "notes",
    "upgrade",
    "packages",
    "reproduce",
    "models",
    "accept",
]
_MOST_CAUSES, _MOST_COMMANDS = 6, 12


@dataclass(frozen=True)
class Detail:
    """How full an outline is."""

    wide: bool = False  # whether the main table has all numbers in columns
    together: bool = False  # whether the main table has the unchanged cells too
    apart: bool = False  # whether each model has its own line there, whatever several have in common
    passing: bool = True  # whether the unchanged cells are listed in a table
    lines: int = 100_000  # of the main table
    from_clone: bool = True  # whether the commands begin in a clone without the tool
    cells: int = 12  # that are unfolded
    green_cells: bool = False  # whether unchanged cells are unfolded too
    rows: int = 24  # of every table of details
    log: int = 4000  # characters of a failure's log
    items: int = 40  # of every list


@dataclass(frozen=True)
class Section:
    """Blocks under a title."""

    kind: SectionKind
    title: Words
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True)
class Outline:
    """The whole report, in reading order. The summary has paragraphs."""

    content: Content
    icon: str
    headline: Words
    summary: tuple[Words, ...]
    table: Block | None
    legend: Words
    sections: tuple[Section, ...]
    footer: tuple[Words, ...]


def outline(content: Content, detail: Detail, source: CodeSource | None = None) -> Outline:
    """Lay a report out. `source`: where its code is, for the commands that run it again."""
    worth = lines(
        (row for row in content.rows if detail.together or not (content.quiet or row.green)),
        condensed=not detail.apart,
    )
    compared = run.compared(content)
    return Outline(
        content=content,
        icon=run.ICONS[content.report.verdict],
        headline=words(run.headline(content), ": " if compared else "", *compared),
        summary=tuple(joined(part, " ") for part in _paragraphs(content) if part),
        table=_table(worth, detail) if worth else None,
        legend=run.legend(content.rows),
        sections=tuple(_sections(content, detail, source)),
        footer=tuple(_footer(content)),
    )


def _paragraphs(content: Content) -> tuple[tuple[Words, ...], ...]:
    return run.summary(content), run.context(content), acceptances.summary(content)


def _table(kept: Sequence[Line], detail: Detail) -> Block:
    names = detail.items if detail.wide else min(detail.items, 4)
    return shortened(table(kept, wide=detail.wide, names=names), detail.lines, detail.items)


def _sections(content: Content, detail: Detail, source: CodeSource | None) -> Iterator[Section]:
    yield from _explanations(content, detail)
    yield from _models(content, detail)
    green = [row for row in content.rows if row.green]
    if green:
        yield Section(
            "unchanged", sections.unchanged(green, 6), (_table(lines(green), detail),) * detail.passing
        )
    yield from _details(content, detail)
    failures = content.failures()
    if failures:
        blocks = [part for each in failures[: detail.items] for part in _failure(*each, detail.log)]
        yield Section("failures", words(f"Failures ({len(failures):,})"), tuple(blocks))
    if not detail.items:
        return
    notes = [words(note, *_in_brackets(cells)) for note, cells in content.notes().items()]
    if notes:
        bullets = shortened(Bullets(tuple(notes)), 0, detail.items)
        yield Section("notes", words(f"Notes ({len(notes):,})"), (bullets,))
    yield from _environments(content, detail.items)
    cells = [row.cell for row in _telling(content)]
    most = min(detail.items, _MOST_COMMANDS)
    whole = whole_way(content.report, cells, source, most)
    commands = whole if detail.from_clone else commands_of(cells)[:most]
    if commands:
        yield Section("reproduce", words("Reproduce"), (Code("\n".join(commands), "console"),))
    how = acceptances.how_to(content, 4 * detail.log, min(detail.items, _MOST_COMMANDS))
    if how:
        yield Section("accept", words(acceptances.TITLE), how)


def _telling(content: Content) -> list[Row]:
    """The rows to look at, worst first; of models with a reason in common, only the worst."""
    merged = lines((row for row in content.rows if not row.green), condensed=True)
    hidden = {model for line in merged if line.worst_of for model in line.models if model != line.row.model}
    kept = {line.row.cell.cell for line in merged}
    return [
        row for row in content.rows if not row.green and (row.model not in hidden or row.cell.cell in kept)
    ]


def _models(content: Content, detail: Detail) -> Iterator[Section]:
    """Every model by itself, where the main table has several in a line."""
    rows = [row for row in content.rows if not row.green]
    most = max((line.worst_of for line in lines(rows, condensed=True)), default=0)
    if most and detail.passing:
        title = words(f"Each of the {most:,} models by itself")
        yield Section("models", title, (_table(lines(rows), detail),))


def _in_brackets(cells: Sequence[str]) -> Words:
    return words(" (", *listed([name(cell) for cell in cells]), ")")


def _explanations(content: Content, detail: Detail) -> Iterator[Section]:
    """By reason and effect, worst first: why cells differ, what to do; the same about several models once.

    What the main table says about a cell is not said again.
    """
    effects: dict[Effect | None, list[Row]] = {}
    for row in content.rows:
        effects.setdefault(row.cell.effect, []).append(row)
    groups = [each for rows in effects.values() for each in alike(rows)]
    places = {id(row): at for at, row in enumerate(content.rows)}
    groups = sorted(groups, key=lambda each: places[id(each.worst)])[: detail.items]
    ways = [_ways(each.rows) for each in groups]
    same: dict[tuple[Words, ...], list[str]] = {}
    for each, way in zip(groups, ways, strict=True):
        same.setdefault(way, []).extend(each.models)
    for each, way in zip(groups, ways, strict=True):
        rows = each.models[each.worst.model]
        in_table = {row.lead for row in rows}
        causes = unique(text for row in rows for text in (*row.origin, *row.causes) if text not in in_table)
        further = unique(text for row in rows for text in row.further)
        yield from _sentences("why", sections.why_title(rows[0], tuple(each.models)), causes)
        yield from _sentences("why", sections.further_title(rows[0]), further)
        models = same.pop(way, [])
        about = listed([name(model) for model in unique(models)])
        yield from _sentences("do", words("What to do about ", about), way if models else ())


def _ways(rows: Sequence[Row]) -> tuple[Words, ...]:
    remarks = [each for row in rows for each in row.placed("do")]
    ways = unique(each.words for each in sorted(remarks, key=lambda each: not each.ends))
    if ways and rows[0].lacks_artifact:
        ways = (without_artifact(rows[0]), *ways)
    if rows[0].cell.gated and any(each.ends for each in remarks):
        ways += (
            words("the gate passes once this change is accepted (", name("keras-validator accept"), ")"),
        )
    return ways if ways or rows[0].green else (advice(rows[0]),)


def _sentences(kind: SectionKind, title: Words, sentences: Sequence[Words]) -> Iterator[Section]:
    if sentences:
        yield Section(kind, title, (Bullets(tuple(sentence(each) for each in sentences[:_MOST_CAUSES])),))


def _details(content: Content, detail: Detail) -> Iterator[Section]:
    """What the checks have to unfold, worst first; what is the same in several places of a model once."""
    alike: dict[tuple[str, Parts], list[Row]] = {}
    rows = content.rows if detail.green_cells else _telling(content)
    for row in sorted(rows, key=lambda row: row.green):
        if row.details:
            alike.setdefault((row.model, row.details), []).append(row)
    cells = {model.name: len(model.cells) for model in content.report.models}
    for (model, parts), rows in list(alike.items())[: detail.cells]:
        blocks: list[Block] = []
        for check, unfolded in parts:
            blocks.append(Paragraph(words(strong(check.capitalize()))))
            blocks += [shortened(block, detail.rows, max(detail.items, 1)) for block in unfolded]
        places = [] if cells[model] == 1 else [row.where for row in rows]
        yield Section(
            "details", sections.details_title(model, places, [check for check, _ in parts]), tuple(blocks)
        )


def _failure(failure: Failure, places: Sequence[str], log: int) -> Iterator[Block]:
    where = listed([name(place) for place in places], most=8)
    yield Paragraph(words(where, " ", *failed(failure)))
    has_log = bool(failure.log.strip())
    end = tail(failure.log if has_log else failure.message, log) if log else ""
    if "\n" in end.strip() or (has_log and end.strip()):
        yield Code(end)


def _environments(content: Content, items: int) -> Iterator[Section]:
    """What the upgrade changes, and package by package what differs between the environments."""
    models = changed_models(content)
    if models:
        bullets = shortened(Bullets(tuple(sentence(changed_model(each)) for each in models)), 0, items)
        yield Section(
            "upgrade", words(f"The pull request changes {plural(len(models), 'model')}"), (bullets,)
        )
    changes = content.report.upgrade.changes if content.report.upgrade else ()
    if len(changes) > 1:
        bullets = shortened(Bullets(tuple(changed_package(each) for each in changes)), 0, items)
        yield Section("upgrade", words(f"The upgrade changes {plural(len(changes), 'package')}"), (bullets,))
    environments = differences(content.report)
    if environments:
        moved = {package.name for each in environments for package in each.packages}
        total = max(each.total for each in environments)
        title = words(f"Package differences: {len(moved):,} of {total:,}")
        yield Section(
            "packages",
            title,
            tuple(Paragraph(environment_words(each, items)) for each in environments[:items]),
        )


def environment_words(each: EnvironmentDifference, most: int) -> Words:
    """Which packages an environment has otherwise, and which the same."""
    parts = [words(name(moved_package(package))) for package in each.packages[:most]]
    if len(each.packages) > most:
        parts.append(words(f"{len(each.packages) - most:,} more"))
    parts += [words(moved_package(fact)) for fact in each.facts]
    differs = words(strong(each.name), ": ", joined(parts, ", ") or "nothing differs", ".")
    same = [Piece(kept) for kept in each.same]
    same += [Piece(plural(each.same_more, "other package"))] if each.same_more else []
    return words(differs, " Same: ", listed(same, most=12), ".") if same else differs


def _footer(content: Content) -> Iterator[Words]:
    report = content.report
    if report.baseline:
        yield words("baseline ", name(report.baseline))
    if report.models:
        sizes = f"{plural(len(report.models), 'model')}, {plural(len(report.environments), 'environment')}"
        yield words(sizes, f" in {seconds(report.seconds)}" if report.seconds is not None else "")
    if COMMIT.fullmatch(report.commit or ""):
        yield words("commit ", name((report.commit or "")[:7]))
    if report.models:
        lost = listed([name(row.cell.cell) for row in content.rows if not row.compared])
        yield words("not compared: ", lost) if lost else words("predictions of every cell compared")
    if report.sandbox in run.UNCONFINED:
        yield words(run.UNCONFINED[report.sandbox])
    gaps = [sections.not_checked(*gap) for gap in content.unchecked().items()]
    if gaps:
        yield words("not checked: ", joined(gaps, ", "))
    yield words(f"keras-validator {report.tool}")
