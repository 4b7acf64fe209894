"""What the tests of this room publish, and where."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.github.fake import REPOSITORY, TOKEN, FakeGitHub
from validator.checks.bands import CellVerdict
from validator.checks.loading.types import BaselineFailed, CellFailed
from validator.checks.outputs.types import OutputFinding, OutputNumbers
from validator.checks.protocol import Finding
from validator.failure import Failure
from validator.github.answers import ErrorKind, GitHubError
from validator.github.client import Client, ClientLimits, Clock
from validator.github.context import Context, read_context
from validator.github.edition import Edition
from validator.github.posts import Publisher
from validator.github.publish import Outlet
from validator.upgrade.types import PackageChange, Upgrade
from validator.verdict.gate import judge_run
from validator.verdict.results import CellResult, EnvironmentResult, ModelResult, Reason, Report, Verdict

HEAD = "a" * 40
OTHER = "b" * 40
MERGE = "c" * 40
HOSTILE = (
    "| <b>x</b> [a](javascript:alert(1)) @all `code` <!-- keras-validator:default --> \x1b[31mred\x1b[0m "
    "\u202eevil\u202c\n::error::forged\r\n::set-output name=x::y\n##[add-mask]a % %0A"
)


@dataclass
class FakeTime:
    """Time that passes when somebody waits for it."""

    now: float = 1_700_000_000.0
    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, wall=lambda: self.now, sleep=self.sleep)


def client(github: FakeGitHub, time: FakeTime, token: str | None = TOKEN, **limits: Any) -> Client:
    context = Context(repository=REPOSITORY, sha=HEAD, run_id=1, token=token)
    return Client(github.url, context.token, time.clock(), ClientLimits(**limits))


def publisher(
    github: FakeGitHub,
    time: FakeTime,
    instance: str = "default",
    author: str | None = None,
    token: str | None = TOKEN,
) -> Publisher:
    return Publisher(client(github, time, token), REPOSITORY, instance, author)


def pull_request_event(number: int = 3, sha: str = HEAD, fork: bool = False) -> dict[str, Any]:
    head = {"sha": sha, "repo": {"full_name": "stranger/widget" if fork else REPOSITORY}}
    base = {"sha": OTHER, "repo": {"full_name": REPOSITORY}}
    pull = {"number": number, "head": head, "base": base}
    return {"action": "synchronize", "number": number, "pull_request": pull}


def workflow_run_event(run: int = 99, sha: str = HEAD) -> dict[str, Any]:
    return {"action": "completed", "workflow_run": {"id": run, "head_sha": sha, "pull_requests": []}}


@dataclass
class Job:
    """One job of a workflow: its variables, its files and what it printed."""

    folder: Path
    github: FakeGitHub
    time: FakeTime = field(default_factory=FakeTime)
    name: str = "pull_request"
    payload: dict[str, Any] = field(default_factory=pull_request_event)
    token: str | None = TOKEN
    run_id: int = 7
    limits: ClientLimits = field(default_factory=ClientLimits)
    stdout: io.StringIO = field(default_factory=io.StringIO)

    def environment(self) -> dict[str, str]:
        event = self.folder / "event.json"
        event.write_text(json.dumps(self.payload), encoding="utf-8")
        return {
            "GITHUB_API_URL": self.github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_EVENT_NAME": self.name,
            "GITHUB_EVENT_PATH": str(event),
            "GITHUB_SHA": MERGE,
            "GITHUB_RUN_ID": str(self.run_id),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_TOKEN": self.token or "",
        }

    @property
    def context(self) -> Context:
        return read_context(self.environment())

    @property
    def outlet(self) -> Outlet:
        return Outlet(self.stdout, self.time.clock(), self.limits)

    @property
    def summary(self) -> str:
        file = self.folder / "summary.md"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    @property
    def outputs(self) -> dict[str, str]:
        return parse_outputs((self.folder / "output").read_text(encoding="utf-8"))

    @property
    def printed(self) -> list[str]:
        return self.stdout.getvalue().splitlines()


@contextmanager
def refused(kind: ErrorKind, match: str | None = None) -> Iterator[pytest.ExceptionInfo[GitHubError]]:
    """GitHub does not do what was asked, for this reason."""
    with pytest.raises(GitHubError, match=match) as caught:
        yield caught
    assert caught.value.kind == kind


def parse_outputs(text: str) -> dict[str, str]:
    """GITHUB_OUTPUT as the runner reads it."""
    found: dict[str, str] = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, mark, delimiter = line.partition("<<")
        assert mark, f"not an output: {line!r}"
        value = []
        for inner in lines:
            if inner == delimiter:
                break
            value.append(inner)
        else:
            raise AssertionError(f"the output {name} never ends")
        found[name] = "\n".join(value)
    return found


def finding_of(verdict: CellVerdict) -> Finding:
    """What a check says, so that a cell has this verdict."""
    failure = Failure(stage="load", error="TypeError", message="unknown layer")
    if verdict == "failed":
        return CellFailed(verdict=verdict, failure=failure)
    if verdict == "not-compared":
        return BaselineFailed(verdict=verdict, failure=failure)
    return OutputFinding(
        verdict=verdict, output="output", rule="missing", numbers=OutputNumbers(name="output")
    )


def cell(
    verdict: CellVerdict, gated: bool = False, message: str = "It changed.", name: str = "head"
) -> CellResult:
    return CellResult(
        cell=f"digits@{name}",
        environment=name,
        variant="as-saved",
        verdict=verdict,
        message=message,
        gated=(verdict,) if gated else (),  # type: ignore[arg-type]
        findings=(finding_of(verdict),),
    )


#: The cell of a run that comes to a verdict.
_CELLS: dict[Verdict, CellVerdict] = {"pass": "identical", "inconclusive": "not-compared"}


def report(verdict: Verdict = "fail", *cells: CellResult, commit: str | None = HEAD, **more: Any) -> Report:
    cells = cells or (cell(_CELLS.get(verdict, "changed"), gated=verdict == "fail"),)
    change = PackageChange(name="keras", old="3.3.3", new="3.5.0", manifest="requirements.txt", line=4)
    fields: dict[str, Any] = {
        "verdict": verdict,
        "reasons": (Reason(kind="error", error="digits changed in head."),),
        "baseline": "base",
        "upgrade": Upgrade(changes=(change,), relevant=True),
        "environments": tuple(
            EnvironmentResult(name=name)
            for name in dict.fromkeys(("base", *(each.environment for each in cells)))
        ),
        "not_compared": tuple(each.cell for each in cells if each.verdict == "not-compared"),
        "models": (ModelResult(name="digits", cells=cells),),
        "tool": "0.1.0",
        "configuration": "validator.yml",
        "commit": commit,
    }
    return Report(**{**fields, **more})


def written(report: Report) -> Report:
    """A report as a run writes it: its verdict and reasons are those of its cells."""
    verdict, judged = judge_run(report.models)
    reasons = tuple(each.model_copy(update={"message": "digits changed in head."}) for each in judged)
    return report.model_copy(update={"verdict": verdict, "reasons": reasons})


def passing(**more: Any) -> Report:
    return report("pass", cell("identical"), reasons=(), **more)


def render(text: str = "## Numbers changed") -> Any:
    return lambda budget: text[:budget]


def edition(report: Report, text: Any = None) -> Edition:
    """A report with the texts that this room asks for; `text` is Markdown or what renders it."""
    reason = report.reasons[0].message or report.reasons[0].error if report.reasons else "no reason"
    return Edition(
        report,
        text if callable(text) else render(text or "## Numbers changed"),
        f"{report.verdict}: {reason}",
    )
