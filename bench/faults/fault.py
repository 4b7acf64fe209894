"""What a fault is, what must come out, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from bench.faults.workshop import Workshop

Kind = Literal[
    "numbers", "metrics", "decode", "training", "weights", "worker", "processes", "names", "files",
    "configuration", "environments", "signals",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
#: Where models of faults run: in real Keras, or in a stand-in that imports at once and predicts nothing.
Place = Literal["keras", "stand-in"]

GREEN = frozenset({"identical", "rounding"})
OK, GATE, CONFIGURATION, CANNOT_JUDGE, INTERRUPTED = 0, 1, 2, 3, 130


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        code: the exit code of a run of this alone.
        verdict: of the cell, or of the one output in question; empty where no cell was judged.
        findings: the kinds of typed findings of the cell.
        stage: of the candidate's failure, or of the baseline's.
        trouble: what must never happen: a traceback, a process that survives, a neighbour that is lost.
    """

    code: int
    verdict: str = ""
    findings: frozenset[str] = frozenset()
    stage: str = ""
    trouble: str = ""

    def __str__(self) -> str:
        parts = [self.verdict or "no cell", f"exit {self.code}"]
        parts += [f"at {self.stage}"] if self.stage else []
        parts += [", ".join(sorted(self.findings))] if self.findings else []
        parts += [self.trouble] if self.trouble else []
        return "; ".join(parts)


@dataclass(frozen=True)
class Expected:
    """What must come out: any of the exit codes, any of the verdicts and of the kinds, if there are any."""

    codes: frozenset[int]
    verdicts: frozenset[str] = frozenset()
    findings: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()

    def fits(self, outcome: Outcome) -> bool:
        """Whether this is what came out."""
        return (
            not outcome.trouble
            and outcome.code in self.codes
            and (not self.verdicts or outcome.verdict in self.verdicts)
            and (not self.findings or bool(self.findings & outcome.findings))
            and (not self.stages or outcome.stage in self.stages)
        )

    def __str__(self) -> str:
        words = [" or ".join(sorted(self.verdicts))] if self.verdicts else []
        words += ["exit " + " or ".join(str(code) for code in sorted(self.codes))]
        words += ["at " + " or ".join(sorted(self.stages))] if self.stages else []
        words += [" or ".join(sorted(self.findings))] if self.findings else []
        return "; ".join(words)


def expected(*codes: int, verdicts: str = "", findings: str = "", stages: str = "") -> Expected:
    """The same from words with blanks between them."""
    return Expected(frozenset(codes), *(frozenset(words.split()) for words in (verdicts, findings, stages)))


@dataclass(frozen=True)
class Fault:
    """One deliberate fault. `known`: why it survives today; such a one is printed, and fails nothing.

    Exactly one of `model` and `attempt` is set. `model` is an entry of a validator.yml: models of one place
    are run together, among sound ones that must not suffer. `output` narrows the verdict to one output.
    """

    kind: Kind
    name: str
    expected: Expected
    model: Mapping[str, object] | None = None
    place: Place = "keras"
    output: str = ""
    attempt: Callable[[Workshop], Outcome] | None = None
    quick: bool = False
    known: str = ""

    @property
    def id(self) -> str:
        """Kind and name."""
        return f"{self.kind}/{self.name}"
