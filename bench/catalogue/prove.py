"""Runs the proofs of changes in the releases around each, and decides which of them hold."""

from __future__ import annotations

import ast
import hashlib
import json
import math
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.catalogue.wheels import Bases, overlay, surroundings
from validator.catalogue.entries import LEGACY, CatalogueEntry, newest

HERE = Path(__file__).parent
MODELS = HERE.parent / "corpus" / "models"
#: (change, release) → what was observed, as `child.py` answers.
Answer = Mapping[str, object]
Answers = Mapping[tuple[str, str], Answer]
#: What `child.py` is asked: `id`, `proof`, and a folder of files or nothing.
Job = dict[str, str]
_SECONDS = 1800


@dataclass(frozen=True)
class Proven:
    """A proof as it came out. `reason` is empty where it holds; `largest` is what was measured."""

    change: CatalogueEntry
    reason: str
    largest: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the change is where the entry says, and nowhere else of its pairs."""
        return not self.reason


def borders(change: CatalogueEntry) -> list[tuple[str, str]]:
    """Pairs of releases between which the behaviour must change."""
    pairs = [(change.before, change.since), (change.until, change.fixed)]
    return [(early, late) for early, late in pairs if early is not None and late is not None]


def stretch(change: CatalogueEntry) -> tuple[str, str]:
    """The two releases that must agree: the first and the last that behave so."""
    return change.since, change.until or newest()


def prove(changes: Sequence[CatalogueEntry], bases: Bases, kept: Path | None = None) -> list[Proven]:
    """Run every proof in the releases that it needs, a process a release, and decide.

    `kept` is a folder with the answers of earlier runs: what neither the proof nor the release changed is
    taken from there.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answers = _run(changes, Workshop(bases, Path(scratch), kept))
    return [_placed(decide(change, answers), bases) for change in changes]


def _placed(proven: Proven, bases: Bases) -> Proven:
    """The same, unless none of the files that an entry blames changed at one of its borders."""
    change = proven.change
    if not proven.holds or not change.lines:
        return proven
    python = bases.of(change.backends[0] if change.backends else "tensorflow")
    for early, late in borders(change):
        if python is None or early == LEGACY:
            continue
        before, after = (_texts(overlay(release, python), change.lines) for release in (early, late))
        if before == after:
            return replace(proven, reason=f"{', '.join(change.lines)}: the same in {early} and {late}")
    return proven


def _texts(wheel: Path, places: Sequence[str]) -> dict[str, bytes]:
    """The Python files below some places of Keras."""
    top = wheel / "keras" / "src"
    found = (path for place in places for path in ((top / place).rglob("*.py"), (top / place,)))
    return {
        str(path.relative_to(top)): path.read_bytes() for paths in found for path in paths if path.is_file()
    }


def decide(change: CatalogueEntry, answers: Answers) -> Proven:
    """Hold what was observed against what the entry says."""
    largest = None
    for early, late in borders(change):
        before, after = (_values(answers, change, release) for release in (early, late))
        for side, release in ((before, early), (after, late)):
            if isinstance(side, str):
                return Proven(change, f"fails in {release}: {side}")
        assert not isinstance(before, str)
        assert not isinstance(after, str)
        moved, kept = (distance(before.get(part), after.get(part)) for part in ("shown", "control"))
        largest = moved if largest is None else min(largest, moved)
        if moved <= 0 or moved < (change.proof.size or 0):
            return Proven(change, f"does not change from {early} to {late}: {moved:.3g}", moved)
        if kept > change.proof.control:
            return Proven(change, f"the control changes too from {early} to {late}: {kept:.3g}", moved)
    first, last = (_values(answers, change, release) for release in stretch(change))
    if isinstance(first, str) or isinstance(last, str):
        return Proven(change, f"fails in {' or '.join(stretch(change))}: {first} {last}", largest)
    apart = distance(first.get("shown"), last.get("shown"))
    if apart > max(change.proof.control, (change.proof.size or 0) / 2):
        return Proven(change, f"differs between {' and '.join(stretch(change))}: {apart:.3g}", largest)
    return Proven(change, "", largest)


def distance(first: object, second: object) -> float:
    """How far two observations are apart: the largest difference; infinite where they are not of a kind."""
    if _numbers(first) and _numbers(second):
        assert isinstance(first, list)
        assert isinstance(second, list)
        if len(first) != len(second):
            return math.inf
        return max((_apart(one, other) for one, other in zip(first, second, strict=True)), default=0.0)
    return 0.0 if first == second else math.inf


def _apart(first: float, second: float) -> float:
    if math.isnan(first) or math.isnan(second):
        return 0.0 if math.isnan(first) and math.isnan(second) else math.inf
    return abs(first - second) if first != second else 0.0


def _numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(part, int | float) for part in value)


def _values(answers: Answers, change: CatalogueEntry, release: str) -> Mapping[str, object] | str:
    answer = answers.get((change.id, release))
    if answer is None:
        return "was not run"
    values = answer.get("values")
    return values if isinstance(values, dict) else str(answer.get("error"))


@dataclass(frozen=True)
class Workshop:
    """Where proofs run: base environments, a folder for requests and files, and answers of earlier runs."""

    bases: Bases
    scratch: Path
    kept: Path | None = None

    def earlier(self, release: str, backend: str, jobs: list[Job]) -> dict[str, Answer]:
        """Answers of an earlier run to the same questions."""
        path = self._path(release, backend)
        known = json.loads(path.read_text()) if path is not None and path.is_file() else {}
        return {job["id"]: known[_question(job)] for job in jobs if _question(job) in known}

    def keep(self, release: str, backend: str, jobs: list[Job], answers: Mapping[str, Answer]) -> None:
        """Keep answers for a later run."""
        path = self._path(release, backend)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            known = json.loads(path.read_text()) if path.is_file() else {}
            known |= {_question(job): answers[job["id"]] for job in jobs}
            path.write_text(json.dumps(known))

    def _path(self, release: str, backend: str) -> Path | None:
        return self.kept / f"{release}-{backend}.json" if self.kept is not None else None


def _question(job: Job) -> str:
    """A job by what its answer depends on: the proof's source, and what all proofs share."""
    module = HERE / "proofs" / f"{job['proof'].partition(':')[0]}.py"
    paths = (module, HERE / "proofs" / "common.py", HERE / "child.py")
    sources = [ast.dump(ast.parse(path.read_text(encoding="utf-8"))) for path in paths]
    return hashlib.sha256("".join((*sources, job["proof"])).encode()).hexdigest()


def _run(changes: Sequence[CatalogueEntry], workshop: Workshop) -> Answers:
    """Files first, by the releases that save them; then every proof, by release."""
    saved: dict[tuple[str, str], list[Job]] = defaultdict(list)
    jobs: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for change in changes:
        backend = change.backends[0] if change.backends else "tensorflow"
        folder = workshop.scratch / change.id if change.proof.saved else None
        if folder is not None:
            folder.mkdir()
            save = {"id": change.id, "proof": f"{change.proof.run}_save", "folder": str(folder)}
            saved[str(change.proof.saved), backend].append(save)
        for release in _needed(change):
            run = {"id": change.id, "proof": change.proof.run, "folder": str(folder or "")}
            jobs[release, backend].append(run)
    answers: dict[tuple[str, str], Answer] = {}
    for (release, backend), asked in saved.items():
        for identity, answer in _release(release, backend, asked, workshop).items():
            if "error" in answer:
                answers[identity, "saving"] = answer
    for (release, backend), asked in jobs.items():
        known = workshop.earlier(release, backend, asked)
        new = [job for job in asked if job["id"] not in known]
        made = _release(release, backend, new, workshop) if new else {}
        workshop.keep(release, backend, new, made)
        print(f"  {release:9} {backend}: {len(new)} proofs", flush=True)
        answers |= {(identity, release): answer for identity, answer in {**known, **made}.items()}
    return answers


def _needed(change: CatalogueEntry) -> Iterable[str]:
    """The releases that a proof runs in."""
    return dict.fromkeys([*(each for pair in borders(change) for each in pair), *stretch(change)])


def _release(release: str, backend: str, jobs: list[Job], workshop: Workshop) -> Mapping[str, Answer]:
    """The answers of one process that imports a release."""
    scratch, python = workshop.scratch, workshop.bases.of(backend)
    if python is None:
        return {job["id"]: {"error": f"no {backend} for CPUs is at hand"} for job in jobs}
    folder = None if release == LEGACY else overlay(release, python)
    request, answer = scratch / "request.json", scratch / "answer.json"
    answer.unlink(missing_ok=True)
    asked = {"proofs": str(HERE / "proofs"), "models": str(MODELS), "answer": str(answer), "jobs": jobs}
    request.write_text(json.dumps(asked))
    done = subprocess.run(
        [str(python), str(HERE / "child.py"), str(request)],
        env=dict(surroundings(release, backend, folder)),
        cwd=scratch,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if not answer.is_file():
        return {job["id"]: {"error": f"no answer: {done.stderr[-300:]}"} for job in jobs}
    return dict(json.loads(answer.read_text()))
