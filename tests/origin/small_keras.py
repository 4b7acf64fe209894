"""Versions of a package of a few lines, and steps that run it: no Keras, no process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

from packaging.version import Version

from validator.environments import Wheel
from validator.failure import Failure
from validator.origin.budget import Budget
from validator.origin.case import PhaseProgress
from validator.origin.difference import Executed, Tree
from validator.origin.types import Aspect, Behaviour

MODEL = "keras/src/model.py"


class Overlays:
    """Wheels as folders. `texts`: release → the text of its one module; each night has that of a release."""

    def __init__(self, root: Path, texts: Mapping[str, str], nights: Mapping[str, str]) -> None:
        self.root, self.texts, self.listed = root, dict(texts), dict(nights)
        self.failure: Failure | None = None
        self.no_nights: Failure | None = None

    def releases(self, distribution: str = "keras") -> tuple[Version, ...] | Failure:
        return self.failure or tuple(map(Version, self.texts))

    def nights(self) -> tuple[Wheel, ...] | Failure:
        stamped = sorted(self.listed, key=lambda version: version.rpartition("dev")[2])
        return self.no_nights or tuple(Wheel("keras-nightly", version) for version in stamped)

    def uploaded(self, wheel: Wheel) -> datetime | Failure:
        place = list(self.texts).index(wheel.version)
        return datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(days=10 * place)

    def folder(self, wheel: Wheel) -> Path | Failure:
        text = self.texts.get(wheel.version) or self.texts[self.listed[wheel.version]]
        folder = self.root / f"{wheel.distribution}-{wheel.version}"
        path = folder / MODEL
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return folder

    def prefetch(self, wheels: object) -> None:
        pass


class Steps:
    """Runs `f()` of the module; what it returns is the behaviour, what it raises the failure."""

    def __init__(
        self, overlays: Overlays, ends: tuple[str, str], seconds: float = 60, **fields: object
    ) -> None:
        aspect: Aspect = "reported"
        self.case = SimpleNamespace(
            cell="cell",
            aspect=aspect,
            baseline=Version(ends[0]),
            candidate=Version(ends[1]),
            recorded=None,
            metrics=(),
            fails=bool(fields.get("fails")),
            batch=None,
            rules=None,
        )
        self.site = SimpleNamespace(
            overlays=overlays, folder=overlays.root / "work", repository=fields.get("repository")
        )
        self.forks = SimpleNamespace(lanes=1)
        self.results = SimpleNamespace(writable=True)
        self.most = fields.get("most")
        self.progress = PhaseProgress("cell")
        self.batches: tuple[int, ...] = ()
        self.runs = 0
        self.budget = Budget(60, self._clock if self.most else time.monotonic)
        self.unsteady: Callable[[Wheel, int], str] = lambda _wheel, _again: ""
        self.seen: list[str] = []

    def _clock(self) -> float:
        """A clock that runs out with the number of runs."""
        return 1e9 if self.most is not None and self.runs >= self.most else 0.0

    def wheel(self, wheel: Wheel) -> Behaviour:
        return self.wheels([wheel])[0]

    def wheels(self, wheels: Sequence[Wheel], *, again: int = 0) -> list[Behaviour]:
        outcome = []
        for wheel in wheels:
            self._count(str(wheel))
            folder = self.site.overlays.folder(wheel)
            behaviour = run((folder / MODEL).read_text())
            other = self.unsteady(wheel, again)
            outcome.append(behaviour.model_copy(update={"digest": behaviour.digest + other}))
        return outcome

    def mixture(self, folder: Path, name: str, sources: Mapping[str, str]) -> Behaviour:
        self._count("mixture")
        return run(sources.get(MODEL) or (folder / MODEL).read_text())

    def _count(self, what: str) -> None:
        self.budget.check()
        self.runs += 1
        self.seen.append(what)

    def tree(self, wheel: Wheel) -> Tree:
        folder = self.site.overlays.folder(wheel)
        lines = (folder / MODEL).read_text().splitlines()
        ran = {
            (MODEL, number) for number, line in enumerate(lines, 1) if "def ran" in line or "def f" in line
        }
        return Tree(folder, Executed(frozenset({MODEL}), frozenset(ran)))

    def limit(self, seconds: float) -> None:
        pass

    def judge_by(self, ends: Mapping[Wheel, Behaviour]) -> None:
        pass


def run(text: str) -> Behaviour:
    try:
        names: dict[str, Callable[[], object]] = {}
        exec(text, names)  # noqa: S102 - a text of the test
        return Behaviour(digest=str(names["f"]()))
    except Exception as error:
        return Behaviour(digest=f"!{type(error).__name__}", error=type(error).__name__)
