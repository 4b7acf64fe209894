"""How a person accepts known changes of a finished run: a cell by its id, or all of them one by one."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Literal

from validator import config
from validator.config.load import read_yaml
from validator.documents import read_json
from validator.errors import ConfigurationError
from validator.pipeline.project import display_path
from validator.pipeline.run_folder import WORK
from validator.pipeline.show import read_report
from validator.report.brief import two_lines
from validator.report.content import Content
from validator.report.words import registered_words
from validator.report.words.acceptances import REFUSALS, acceptable
from validator.runner import write_text
from validator.text import plain
from validator.upgrade import GitError, Repository
from validator.verdict import acceptance_file
from validator.verdict.acceptances import Acceptance, Proposal
from validator.verdict.accepting import Register, propose
from validator.verdict.results import Report

_REJECTED = "rejected.json"
_NEAREST = 3
_LONGEST_REASON, _LONGEST_NAME = 500, 120
Answer = Literal["accept", "reject", "skip", "quit"]


@dataclass(frozen=True)
class People:
    """Why a change is right, until when that holds (None: no end), and who says so (empty: git's user)."""

    reason: str
    until: str = ""
    by: str = ""


@dataclass(frozen=True)
class Ledger:
    """A finished run, and the file that its known changes are accepted in.

    Attributes:
        path: the validator.yml, absolute.
        folder: where the report lies.
        report: as it was read.
        file: the file of acceptances.
    """

    path: Path
    folder: Path
    report: Report
    file: Path

    @classmethod
    def open(cls, path: Path, run: Path | None) -> Ledger:
        """Read a validator.yml and a run: its folder or report.json; the last one beside the file if None.

        Raises:
            ConfigurationError: either is missing, or cannot be read.
        """
        path = path.resolve()
        settings = config.load(path)
        place = run if run is not None else _last_run(path.parent)
        report = read_report(place)
        folder = place if place.is_dir() else place.parent
        return cls(path, folder, report, path.parent / settings.acceptances)

    def proposal(self, cell: str) -> Proposal:
        """What an acceptance of a cell holds to.

        Raises:
            ConfigurationError: the run has no such cell, or it cannot be accepted; with what to do instead.
        """
        every = {each.cell: (model.name, each) for model in self.report.models for each in model.cells}
        if cell not in every:
            where = f"the run in {display_path(self.folder.resolve())}"
            raise ConfigurationError(_unknown(cell, every, where))
        proposal = propose(self.report, *every[cell])
        if not isinstance(proposal, Proposal):
            raise ConfigurationError(f"{cell} cannot be accepted: {REFUSALS[proposal]}")
        return proposal

    def accept(self, proposals: Sequence[Proposal], people: People, today: date | None = None) -> None:
        """Write acceptances into the file; all of them, or none.

        Raises:
            ConfigurationError: a reason, date or name is of no use, or the file cannot be extended.
        """
        today = today or datetime.now(timezone.utc).date()
        reason = _line("--reason", people.reason, _LONGEST_REASON)
        until, by = _until(people.until, today), _by(people.by, self.path.parent)
        try:
            text = read_yaml(self.file)
        except FileNotFoundError:
            text = ""
        for proposal in proposals:
            entry = Acceptance(**dict(proposal), reason=reason, by=by, created=today, until=until)
            text = acceptance_file.with_entry(text, entry, display_path(self.file))
        write_text(self.file, text)

    def pending(self) -> tuple[Proposal, ...]:
        """What could be accepted, is not, and was not rejected; worst first."""
        done = self._rejected() | self._accepted()
        proposals = (proposal for _, proposal in acceptable(self._content()))
        return tuple(each for each in proposals if each.cell not in done)

    def reject(self, cells: Sequence[str]) -> None:
        """Leave cells out of later reviews of this run; the next run has them again."""
        rejected = sorted(self._rejected() | {*cells})
        write_text(self.folder / _REJECTED, json.dumps({"started": self.report.started, "cells": rejected}))

    def lines(self, proposal: Proposal) -> tuple[str, ...]:
        """A finding in three lines: the cell and its verdict, the numbers, the upgrade."""
        moved = ", ".join(f"{package} {move}" for package, move in proposal.packages.items())
        return (*two_lines(self._content(), proposal.cell), plain(moved, 200))

    def _content(self) -> Content:
        return Content(self.report, registered_words())

    def _accepted(self) -> frozenset[str]:
        """The cells of the run that the file accepts by now."""
        register, today = Register(acceptance_file.read(self.file)), datetime.now(timezone.utc).date()
        models, _ = register.settled(self.report.models, self.report.environments, today)
        return frozenset(cell.cell for model in models for cell in model.cells if cell.accepted)

    def _rejected(self) -> frozenset[str]:
        """The cells of this very run that were rejected."""
        try:
            kept = read_json(self.folder / _REJECTED)
        except (OSError, ValueError):
            return frozenset()
        if not isinstance(kept, dict) or kept.get("started") != self.report.started:
            return frozenset()
        cells = kept.get("cells")
        if not isinstance(cells, list):
            return frozenset()
        return frozenset(each for each in cells if isinstance(each, str))


@dataclass(frozen=True)
class Dialogue:
    """A conversation: `ask` puts a question and returns the answer, `say` prints a line."""

    ask: Callable[[str], str]
    say: Callable[[str], None]


def accept_cell(ledger: Ledger, cell: str, people: People, say: Callable[[str], None]) -> None:
    """Accept one cell of a run. Raises ConfigurationError as `Ledger` does."""
    _accept(ledger, [ledger.proposal(cell)], people, say)


def review_named(
    ledger: Ledger, cells: Sequence[str], people: People | None, say: Callable[[str], None]
) -> None:
    """Accept pending cells by their ids, or all of them where none is named; without people, reject them.

    Raises:
        ConfigurationError: an id is not pending, or as `Ledger` does.
    """
    pending = {each.cell: each for each in ledger.pending()}
    for cell in cells:
        if cell not in pending:
            ledger.proposal(cell)  # says what is wrong with it, where anything is
            raise ConfigurationError(_unknown(cell, pending, "the review"))
    chosen = list(dict.fromkeys(cells)) or list(pending)
    if people is None:
        ledger.reject(chosen)
        say(f"rejected: {', '.join(chosen) or 'nothing'}")
    else:
        _accept(ledger, [pending[cell] for cell in chosen], people, say)


def review_all(ledger: Ledger, people: People, talk: Dialogue) -> None:
    """Go through all that is pending, and do as a person answers. Each answer counts at once."""
    pending = ledger.pending()
    counts = dict.fromkeys(("accepted", "rejected", "skipped"), 0)
    for at, proposal in enumerate(pending, 1):
        first, *more = ledger.lines(proposal)
        talk.say(f"[{at}/{len(pending)}] {first}")
        for line in more:
            talk.say(f"  {line}")
        answer = _answer(talk)
        if answer == "quit":
            counts["skipped"] += len(pending) - at + 1
            break
        if answer == "accept":
            reason = people.reason or talk.ask("why is the change right? ")
            ledger.accept([proposal], People(reason, people.until, people.by))
            counts["accepted"] += 1
        elif answer == "reject":
            ledger.reject([proposal.cell])
            counts["rejected"] += 1
        else:
            counts["skipped"] += 1
    talk.say(", ".join(f"{count} {word}" for word, count in counts.items()))
    if counts["accepted"]:
        talk.say(_commit(ledger))


def list_pending(ledger: Ledger, say: Callable[[str], None]) -> None:
    """Print the ids of all that is pending, one a line."""
    for proposal in ledger.pending():
        say(proposal.cell)


_ANSWERS: dict[str, Answer] = {"a": "accept", "r": "reject", "s": "skip", "q": "quit"}


def _answer(talk: Dialogue) -> Answer:
    while True:
        given = talk.ask("accept, reject, skip or quit? [a/r/s/q] ").strip().lower()
        for letter, answer in _ANSWERS.items():
            if given in (letter, answer):
                return answer
        talk.say(f"{plain(given, 40)!r} is none of a, r, s, q")


def _accept(
    ledger: Ledger, proposals: Sequence[Proposal], people: People, say: Callable[[str], None]
) -> None:
    if not proposals:
        say("nothing to accept: no cell of the run is pending")
        return
    ledger.accept(proposals, people)
    for proposal in proposals:
        say(f"accepted {proposal.cell}")
    say(_commit(ledger))


def _commit(ledger: Ledger) -> str:
    return f"commit {display_path(ledger.file)}: it counts in the runs that have it"


def _unknown(cell: str, known: Iterable[str], where: str) -> str:
    """What to say about an id that is not known: the nearest ones, or all."""
    ids = list(known)
    near = difflib.get_close_matches(cell, ids, n=_NEAREST, cutoff=0.4)
    if near:
        return f"{plain(cell, 200)}: no such cell in {where}; did you mean {' or '.join(near)}?"
    return f"{plain(cell, 200)}: no such cell in {where}; it has {', '.join(ids[:20]) or 'none'}"


def _last_run(folder: Path) -> Path:
    """The folder of the last run beside a validator.yml: of all cells, or of some."""
    reports = [folder / WORK / name / "report.json" for name in ("run", "only")]
    written = [each for each in reports if each.is_file()]
    if not written:
        raise ConfigurationError(
            f"{display_path(folder / WORK)} holds no finished run; `keras-validator run` makes one, or pass "
            "--run with the folder of a run or the report.json of a job"
        )
    return max(written, key=lambda path: path.stat().st_mtime).parent


def _until(value: str, today: date) -> date | None:
    if not value:
        return None
    try:
        until = date.fromisoformat(value)
    except ValueError:
        raise ConfigurationError(f"--until {value}: not a date; write it as {today.isoformat()}") from None
    if until < today:
        raise ConfigurationError(f"--until {value}: that day is over, so it would accept nothing")
    return until


def _by(name: str, folder: Path) -> str:
    """Who accepts: the name given, or the user that git commits as."""
    name = name or _git_user(folder)
    if not name.strip():
        raise ConfigurationError("git has no user.name to say who accepts this; pass --by NAME")
    return _line("--by", name, _LONGEST_NAME)


def _git_user(folder: Path) -> str:
    for key in ("user.name", "user.email"):
        try:
            value = Repository(folder).run("config", key).decode("utf-8", "replace").strip()
        except (GitError, ConfigurationError):
            continue
        if value:
            return value
    return os.environ.get("GIT_AUTHOR_NAME", "")


def _line(option: str, value: str, most: int) -> str:
    """A text as one line; an error where it is empty or too long."""
    text = plain(value, most + 1)
    if not any(map(str.isalnum, text)):
        raise ConfigurationError(f"{option} {text!r} says nothing: a reviewer needs it")
    if len(text) > most:
        raise ConfigurationError(f"{option} has more than {most} characters; link to the discussion instead")
    return text
