"""What is said about accepted changes: who accepted what, what did not count, and how to accept one."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from datetime import date

from validator.report.content import Content, Row
from validator.report.document import Block, Code, Paragraph
from validator.report.figures import number, ratio
from validator.report.phrases import Words, joined, listed, name, plural, sentence, strong, words
from validator.report.words.cell import accepted
from validator.text import plain
from validator.verdict.acceptance_file import entry_text
from validator.verdict.acceptances import AcceptanceNote, Accepted, Miss, Proposal
from validator.verdict.accepting import Refusal, propose

TITLE = "Accept a known change"
FILE = "keras-acceptances.yml"
_MOST = 5  # sentences of a kind
_LONGEST_ID = 300
#: Why a cell cannot be accepted, and what to do instead.
REFUSALS: dict[Refusal, str] = {
    "holds": "its predictions hold: there is nothing to accept",
    "failed": "it failed, and what has no result cannot be accepted; mend it, leave it out with "
    "`matrix.exclude`, or take `failed` out of `gate.fail_on`",
    "not-compared": "it was not compared, and what was not measured cannot be accepted; see why the baseline "
    "or the comparison failed",
    "unscored": "no metric could be scored, and what was not measured cannot be accepted; mend the labels or "
    "take the metric out",
    "model": "the pull request changes the model itself, and an acceptance is of an upgrade of packages; "
    "`gate.model_changes: warn` lets such changes pass with a warning",
    "no-upgrade": "no package that can move numbers differs from the baseline, so that there is no upgrade "
    "to accept; leave the cell out with `matrix.exclude`, or set a `tolerance`",
    "no-finding": "no finding says what differs, so that nothing bounds an acceptance",
}
#: The same, as the reason why an acceptance does not cover a result.
_LOST: dict[str, str] = {
    "failed": "it failed",
    "not-compared": "it was not compared",
    "unscored": "no metric was scored",
    "model": "the pull request changes the model itself",
}


def all_accepted(content: Content) -> bool:
    """Whether somebody has accepted everything that does not hold."""
    rows = [row for row in content.rows if not row.green]
    return bool(rows) and all(row.cell.accepted for row in rows)


def summary(content: Content) -> tuple[Words, ...]:
    """What is accepted, with whom and why, and one sentence for each acceptance that did not count."""
    grouped: dict[Accepted, list[Row]] = {}
    for row in content.rows:
        if row.cell.accepted is not None:
            grouped.setdefault(row.cell.accepted, []).append(row)
    stated = [_accepted(each, rows, content) for each, rows in list(grouped.items())[:_MOST]]
    if len(grouped) > _MOST:
        stated.append(words(f"{plural(len(grouped) - _MOST, 'more acceptance')} in the table."))
    return (*stated, *_notes(content.report.acceptances))


def _accepted(each: Accepted, rows: Sequence[Row], content: Content) -> Words:
    verb = "is" if len(rows) == 1 else "are"
    cells = listed([name(row.cell.cell) for row in rows], most=3)
    stated = sentence(words(cells, f" {verb} ", *accepted(each)))
    if each.adds is None:
        return stated
    does = "adds" if each.adds == "added" else "changes"
    itself = f"The pull request itself {does} this acceptance"
    return words(*stated, " ", strong(itself), " in ", name(_file(content)), ": review it there.")


def _notes(notes: Sequence[AcceptanceNote]) -> Iterator[Words]:
    yield from (sentence(note(each)) for each in notes[:_MOST])
    if len(notes) > _MOST:
        yield words(f"{len(notes) - _MOST:,} more acceptances did not count: report.json lists them.")


def note(each: AcceptanceNote) -> Words:
    """Why an acceptance did not count."""
    subject = words("the acceptance of ", name(each.cell), f" by {each.by}")
    match each.kind:
        case "expired":
            ended = f" expired on {each.until.isoformat()}" if each.until else " expired"
            return words(*subject, ended, "; accept it again, or remove it")
        case "exceeded":
            return words(*subject, " does not cover this result: ", *joined(_misses(each.misses), "; "))
        case "other-upgrade":
            return words(*subject, " is of another upgrade: ", *_packages(each.packages))
        case "unused":
            return words(*subject, " is not used: the cell holds without it; remove it")
        case "unknown-model":
            return words(*subject, " is not used: validator.yml has no such model; remove it")


def _packages(packages: dict[str, str]) -> Words:
    moved = [name(f"{package} {move.replace('->', '→')}") for package, move in packages.items()]
    return listed(moved, most=4)


def _misses(misses: Sequence[Miss]) -> list[Words]:
    texts = [_miss(each) for each in misses[:3]]
    return [*texts, words(f"{len(misses) - 3} more")] if len(misses) > 3 else texts


def _miss(each: Miss) -> Words:
    match each.kind:
        case "refused":
            return words(_LOST.get(each.what, "there is no result that could be accepted"))
        case "verdict":
            return words("its verdict is now ", strong(each.what), ", which is worse")
        case "finding":
            return words(name(each.what), " is not part of it")
        case "gone":
            return words("it counts on ", name(each.what), ", which this run did not measure")
        case "metric":
            return words(name(each.what), " is worse by ", number(each.measured), _bound(each, number))
        case "measure":
            return _measured(each)


def _measured(each: Miss) -> Words:
    if each.measure == "drift":
        return words(name(each.what), f" drifts {ratio(each.measured)} the noise", _bound(each, ratio))
    what = "values differ" if each.measure == "elements" else "is the difference"
    return words(name(each.what), f": {number(each.measured)} {what}", _bound(each, number))


def _bound(each: Miss, show: Callable[[float | None], str]) -> str:
    covers = "does not bound that" if each.bound is None else f"covers {show(each.bound)} at most"
    return f", and it {covers}"


def acceptable(content: Content) -> tuple[tuple[Row, Proposal], ...]:
    """The cells that somebody could accept and nobody has, worst first, with what an acceptance holds to."""
    rows = [row for row in content.rows if not row.green and row.cell.accepted is None]
    proposals = ((row, propose(content.report, row.model, row.cell)) for row in rows)
    return tuple((row, each) for row, each in proposals if isinstance(each, Proposal))


def how_to(content: Content, characters: int, commands: int) -> tuple[Block, ...]:
    """How to accept what differs: the commands, and the entries for a file in so many characters."""
    proposals = acceptable(content)
    if not proposals or not commands:
        return ()
    then = (
        "the gate then no longer fails on this result"
        if any(row.cell.gated for row, _ in proposals)
        else "the report then says who found this result right, and why"
    )
    text = words(
        f"If the change is right, accept it for this upgrade: {then}. "
        "First run what “Reproduce” says, then the command in the same directory; or copy the entry into ",
        name(_file(content)),
        " and fill in who and why. Commit the file. The entry covers results up to its bounds, which leave "
        "some room above what was measured, and no other layer, model or upgrade.",
    )
    entries, left = "", 0
    for _, proposal in proposals:
        entry = entry_text(proposal, _people(content))
        entries, left = (entries + entry, left) if len(entries + entry) <= characters else (entries, left + 1)
    lines = [_command(content, proposal.cell) for _, proposal in proposals[:commands]]
    blocks: list[Block] = [Paragraph(text), Code("\n".join(lines), "console")]
    blocks += [Code(entries, "yaml")] if entries else []
    if left or len(proposals) > commands:
        blocks.append(Paragraph(words(name("keras-validator review"), " goes through all of them.")))
    return tuple(blocks)


def _people(content: Content) -> dict[str, str]:
    """What a person fills in; the loader refuses an entry where it is empty."""
    try:
        created = date.fromisoformat(content.report.started[:10]).isoformat()
    except ValueError:
        created = ""
    return {"reason": "", "by": "", "created": created}


def _command(content: Content, cell: str) -> str:
    config = plain(content.report.configuration, _LONGEST_ID)
    option = "" if config in ("", "validator.yml") else f" --config {shlex.quote(config)}"
    return f'keras-validator accept {shlex.quote(plain(cell, _LONGEST_ID))}{option} --reason "…"'


def _file(content: Content) -> str:
    return content.report.acceptance_file or FILE
