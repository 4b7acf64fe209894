"""Decoding on both sides: reads what the workers left, has the rest run, and collects the evidence.

Where a candidate takes the baseline's tokens, its own steps are the steps along them. Only cells that part
need a second worker, which is told the baseline's tokens.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import JsonValue

from validator.compare import decode as numbers
from validator.compare.decode import RowNumbers, Split, Summary
from validator.matrix import Cell
from validator.pipeline.capture import Run, bounds_of, make_jobs
from validator.pipeline.decode_request import decode_options
from validator.results import DecodeResult, Finding
from validator.runner import Capture, Job, Supervisor, Watcher, read_capture, read_environment, write_request
from validator.runner.decode import (
    DecodeAnswer,
    ForcedAnswer,
    Logits,
    parse_decode,
    parse_forced,
    read_logits,
)
from validator.text import first_line
from validator.verdict.decode import (
    DecodeEvidence,
    Divergence,
    Noise,
    Step,
    Texts,
    disagreement,
    failed_decode,
    judge_decode,
    uncompared_decode,
)

_FOLDER = "forced"
QUIET = frozenset({"identical", "rounding"})


@dataclass(frozen=True)
class _Side:
    """What one environment decoded, and where its files lie."""

    answer: DecodeAnswer
    folder: Path

    def rows(self, path: str) -> Logits:
        """Logits with a row for each token."""
        return read_logits(self.folder, path, sum(self.answer.lengths))

    def prefill(self) -> Logits:
        """Logits of the kept positions of each prompt."""
        return read_logits(self.folder, self.answer.prefill, sum(map(len, self.answer.positions)))


def run_forced(run: Run) -> None:
    """Run steps along the baseline's tokens wherever a candidate took others: a worker an environment.

    Raises:
        CannotJudgeError, ConfigurationError: what a worker left cannot be read.
    """
    wanted: dict[str, list[tuple[Cell, DecodeAnswer]]] = defaultdict(list)
    for cell in run.project.plan.cells:
        sides = _sides(run, cell)
        if sides is not None and _parted(*sides):
            wanted[cell.environment].append((cell, sides[0].answer))
    for environment, cells in wanted.items():
        _run(run, environment, cells)


def decode_result(run: Run, cell: Cell, there: Capture, here: Capture) -> DecodeResult | None:
    """How a cell decodes against its baseline; None for a model without a decode block.

    Raises:
        CannotJudgeError: what a worker left cannot be read.
    """
    old, new = parse_decode(there.tasks.get("decode")), parse_decode(here.tasks.get("decode"))
    if old is None or new is None:
        return None
    if old.failure is not None:
        reason = f"the baseline's decode failed: {old.failure.error}: {first_line(old.failure.message)}"
        return uncompared_decode(reason)
    if new.failure is not None:
        return failed_decode(new.failure.failure())
    base = run.project.plan.baseline_of(cell)
    sides = _Side(old, run.folder.capture(base)), _Side(new, run.folder.capture(cell))
    problem = _mismatch(*sides)
    return uncompared_decode(problem) if problem else judge_decode(_evidence(run, cell, sides))


def decode_findings(result: DecodeResult | None) -> tuple[Finding, ...]:
    """What a reader of the cell should know; nothing where it is quiet."""
    if result is None:
        return ()
    said = [] if result.verdict in QUIET else [result.message]
    said += [disagreement(result), *(f"decode: {note}" for note in result.notes)]
    return tuple(Finding(kind="decode", message=message) for message in said if message)


def _sides(run: Run, cell: Cell) -> tuple[_Side, _Side] | None:
    """Both sides of a candidate's cell, where both decoded and can be compared."""
    plan = run.project.plan
    if cell.environment == plan.baseline:
        return None
    found = []
    for one in (plan.baseline_of(cell), cell):
        folder = run.folder.capture(one)
        capture = read_capture(folder)
        answer = parse_decode(capture.tasks.get("decode")) if capture and not capture.failure else None
        if answer is None or answer.failure is not None:
            return None
        found.append(_Side(answer, folder))
    return None if _mismatch(found[0], found[1]) else (found[0], found[1])


def _mismatch(there: _Side, here: _Side) -> str:
    old, new = there.answer, here.answer
    if (old.samples, old.prompts) != (new.samples, new.prompts):
        return "the prompts are not the same on both sides"
    if old.vocabulary != new.vocabulary:
        return f"the model gives {new.vocabulary} logits here and {old.vocabulary} in the baseline"
    return ""


def _parted(there: _Side, here: _Side) -> bool:
    return there.answer.tokens != here.answer.tokens


# The second worker


def _run(run: Run, name: str, cells: Sequence[tuple[Cell, DecodeAnswer]]) -> None:
    facts = read_environment(run.folder.captures(name))
    if facts is None or not facts.executable:
        return
    environment = run.project.plan.environment(name)
    usual = {job.id: job for job in make_jobs(run, environment)}
    jobs = [_job(run, usual[cell.id], cell, answer) for cell, answer in cells]
    for job in jobs:  # what an earlier judgement of the same run left
        for left in ("started", "response.json"):
            Path(job.folder, left).unlink(missing_ok=True)
    folder = run.folder.root / _FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    write_request(folder, environment, jobs, [run.project.folder])
    quiet = Watcher(lambda job: None, lambda job, failure: None)
    bounds = bounds_of(run.project.settings.limits)
    Supervisor(Path(facts.executable), folder, dict(environment.variables), bounds, quiet).run(jobs)


def _job(run: Run, usual: Job, cell: Cell, answer: DecodeAnswer) -> Job:
    options = decode_options(run.project, cell.model, run.folder, baseline=False) or {}
    forced: dict[str, JsonValue] = {
        "samples": list(answer.samples),
        "prompts": [list(ids) for ids in answer.prompts],
        "tokens": [list(tokens) for tokens in answer.tokens],
    }
    return dataclasses.replace(
        usual,
        folder=str(_forced_folder(run, cell)),
        predict=False,
        evaluate=False,
        tasks={"decode": {**options, "forced": forced}},
    )


def _forced_folder(run: Run, cell: Cell) -> Path:
    return run.folder.root / _FOLDER / cell.environment / cell.folder


def _forced(run: Run, cell: Cell, there: _Side) -> Logits | str:
    """The candidate's logits along the baseline's tokens, or why there are none."""
    folder = _forced_folder(run, cell)
    capture = read_capture(folder)
    if capture is None:
        return "no worker ran along them"
    answer = parse_forced(capture.tasks.get("decode")) or ForcedAnswer(failure=capture.failure)
    if answer.failure is not None:
        return f"{answer.failure.error}: {first_line(answer.failure.message)}"
    if answer.tokens != there.answer.tokens:
        return "the worker went along other tokens"
    return read_logits(folder, answer.steps, sum(there.answer.lengths))


# The evidence


def _evidence(run: Run, cell: Cell, sides: tuple[_Side, _Side]) -> DecodeEvidence:
    there, here = sides
    owners = numbers.owners_of(there.answer.lengths)
    own = there.rows(there.answer.steps)
    along = _forced(run, cell, there) if _parted(there, here) else here.rows(here.answer.steps)
    rows = None if isinstance(along, str) else numbers.compare_rows(own, along, _tokens(there))
    prefill, prefill_owners = _prefill(there, here)
    noises = _noise_rows(there)
    return DecodeEvidence(
        mode=here.answer.mode,
        samples=there.answer.samples,
        identical=bool(prefill.same_bits.all()) and rows is not None and bool(rows.same_bits.all()),
        prefill=numbers.summarise(prefill, prefill_owners),
        forced=numbers.summarise(rows, owners) if rows else None,
        steps=tuple(_steps(there, rows, noises)) if rows else (),
        noise=_noise(noises),
        divergences=tuple(_divergences(there, here, own)),
        texts=tuple(_texts(there, here)),
        agreements=(_agreement(there), _agreement(here)),
        growth=numbers.growth(rows.kl, there.answer.lengths) if rows else None,
        broken=_broken(there, here),
        notes=tuple(_notes(there.answer, here.answer)),
        problem=along if isinstance(along, str) else "",
    )


def _tokens(side: _Side) -> list[int]:
    return [token for tokens in side.answer.tokens for token in tokens]


def _prefill(there: _Side, here: _Side) -> tuple[RowNumbers, list[int]]:
    """Every kept position of the prompts, with the token that stands behind it."""
    answer = there.answer
    tokens = [
        prompt[position + 1] if position + 1 < len(prompt) else numbers.NO_TOKEN
        for prompt, positions in zip(answer.prompts, answer.positions, strict=True)
        for position in positions
    ]
    owners = numbers.owners_of([len(positions) for positions in answer.positions])
    return numbers.compare_rows(there.prefill(), here.prefill(), tokens), owners


def _noise_rows(there: _Side) -> list[RowNumbers]:
    own = there.rows(there.answer.steps)
    return [numbers.compare_rows(own, there.rows(path), _tokens(there)) for path in there.answer.noise]


def _noise(noises: Sequence[RowNumbers]) -> Noise | None:
    """Over all members and steps; None where nothing moved."""
    if not noises:
        return None
    kl = np.concatenate([rows.kl for rows in noises])
    change = np.abs(np.concatenate([rows.margin_change for rows in noises]))
    kl, change = kl[np.isfinite(kl)], change[np.isfinite(change)]
    if not kl.size or not kl.mean() > 0:
        return None
    return Noise(float(kl.mean()), float(change.max(initial=0.0)))


def _steps(there: _Side, rows: RowNumbers, noises: Sequence[RowNumbers]) -> Iterator[Step]:
    for reached in numbers.by_step(there.answer.lengths):
        samples, places = [sample for sample, _ in reached], [row for _, row in reached]
        members = [member.of(places).kl for member in noises]
        kl = np.concatenate(members) if members else np.zeros(0)
        owners = np.tile(np.asarray(samples, np.int64), len(members))
        finite = np.isfinite(kl)
        noise = numbers.estimate(kl[finite], owners[finite])
        yield Step(numbers.summarise(rows.of(places), samples), len(samples), noise)


def _divergences(there: _Side, here: _Side, own: Logits) -> Iterator[Divergence]:
    for split in numbers.splits(there.answer.tokens, here.answer.tokens):
        yield Divergence(split, _margin(split, own))


def _margin(split: Split, own: Logits) -> float | None:
    return numbers.margin(own[split.row], split.baseline, split.candidate)


def _texts(there: _Side, here: _Side) -> Iterator[Texts]:
    old, new = there.answer, here.answer
    for sample, tokens in enumerate(old.tokens):
        prompt, before = old.texts[sample] if old.texts else ("", "")
        after = new.texts[sample][1] if new.texts else ""
        yield Texts(tokens, new.tokens[sample], prompt, before, after)


def _agreement(side: _Side) -> Summary:
    """Step by step against one pass, in one environment."""
    answer = side.answer
    rows = numbers.compare_rows(side.rows(answer.whole), side.rows(answer.steps), _tokens(side))
    return numbers.summarise(rows, numbers.owners_of(answer.lengths))


def _broken(there: _Side, here: _Side) -> int:
    """Samples that ended in NaN here alone."""
    ends = zip(there.answer.ends, here.answer.ends, strict=True)
    return sum(new == "nan" and old != "nan" for old, new in ends)


def _notes(old: DecodeAnswer, new: DecodeAnswer) -> Iterator[str]:
    """What limits the comparison, each said once."""
    if old.mode != new.mode:
        yield f"steps were made by {new.mode} here and by {old.mode} in the baseline"
    yield from dict.fromkeys((*old.notes, *new.notes))
