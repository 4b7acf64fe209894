"""What is traced: a cell, its evidence, its two ends, and where versions of Keras are run for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from validator.environments import Overlays
from validator.matrix import Environment
from validator.origin.standard import Rules
from validator.origin.types import Aspect, Behaviour, Phase
from validator.runner import Bounds, Job


@dataclass(frozen=True)
class Case:
    """One cell.

    Attributes:
        job: records the evidence; its id, folder and overlay are each run's own.
        metrics: the reported numbers that moved, where these are the evidence; all if empty.
        identity: a digest of the model, its code, inputs and labels.
        baseline: release of Keras of the one end.
        candidate: of the other; None where that is tf-keras.
        recorded: what the candidate did in the run, where its Keras cannot be laid over the environment.
        fails: the candidate failed in the run; otherwise one that fails in the search is another matter.
        rules: how predictions are judged; None where every byte counts.
        batch: the one whose predictions moved most; None where that is not known.
    """

    cell: str
    aspect: Aspect
    job: Job
    metrics: tuple[str, ...]
    identity: str
    baseline: Version
    candidate: Version | None
    recorded: Behaviour | None = None
    fails: bool = False
    rules: Rules | None = None
    batch: int | None = None


@dataclass(frozen=True)
class Site:
    """Where versions are run: an installed environment whose own Keras is covered by an overlay.

    Attributes:
        packages: name → version of what is installed.
        folder: of the project, which keeps results and what a run needs for a while.
        overlays: where versions come from.
        repository: a clone of keras-team/keras; None without.
    """

    environment: Environment
    python: Path
    packages: dict[str, str]
    folder: Path
    pythonpath: tuple[Path, ...]
    bounds: Bounds
    overlays: Overlays
    repository: Path | None = None
    lanes: int = 1


@dataclass(frozen=True)
class SearchWatcher:
    """Whom to tell how far the search is: the cell, its phase, what was run, and how it behaved."""

    ran: Callable[[str, Phase, str, Behaviour], None] = lambda _cell, _phase, _subject, _outcome: None


@dataclass
class PhaseProgress:
    """Says where a search is."""

    cell: str
    watcher: SearchWatcher = field(default_factory=SearchWatcher)
    phase: Phase = "ends"

    def enter(self, phase: Phase) -> None:
        """A phase begins."""
        self.phase = phase

    def ran(self, subject: str, outcome: Behaviour) -> None:
        """Something was run."""
        self.watcher.ran(self.cell, self.phase, subject, outcome)
