"""Commit status and check run: both optional, both on the commit the results are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from validator.github.annotations import Annotation, inside
from validator.github.client import Call, Client, Shape
from validator.github.errors import AmbiguousError, UnavailableError
from validator.results import Report, Verdict
from validator.text import plain

DESCRIPTION_LIMIT = 140
ANNOTATIONS_PER_REQUEST = 50
_STATE: dict[Verdict, str] = {
    "pass": "success",
    "warn": "success",
    "fail": "failure",
    "inconclusive": "error",
}
# A neutral check satisfies a branch rule, so only what may be merged is neutral.
_CONCLUSION: dict[Verdict, str] = {
    "pass": "success",
    "warn": "neutral",
    "fail": "failure",
    "inconclusive": "failure",
}
_WORDS: dict[Verdict, str] = {
    "pass": "Nothing moved",
    "warn": "Something moved, the gate lets it pass",
    "fail": "The gate stops this upgrade",
    "inconclusive": "Cannot be judged",
}


class _Status(Shape):
    url: str


class _Check(Shape):
    id: int
    html_url: str | None = None
    external_id: str | None = None


class _Checks(Shape):
    check_runs: tuple[_Check, ...]


@dataclass(frozen=True)
class Commit:
    """The commit that is marked, the name of the mark, and the page it leads to."""

    repository: str
    sha: str
    name: str
    url: str


def describe(report: Report) -> str:
    """The verdict and its first reason in at most 140 characters."""
    if report.upgrade is not None and not report.upgrade.relevant:
        return "Nothing relevant to a Keras model changes"
    words = _WORDS[report.verdict]
    return plain(f"{words}: {report.reasons[0]}" if report.reasons else words, DESCRIPTION_LIMIT)


def post_status(client: Client, commit: Commit, report: Report) -> str:
    """Set the commit status and return its address. The newest of a name counts: a repetition is harmless."""
    call = Call(
        f"set the status of commit {commit.sha[:9]}",
        "statuses: write",
        "POST",
        f"/repos/{commit.repository}/statuses/{commit.sha}",
        body={
            "state": _STATE[report.verdict],
            "context": commit.name,
            "description": describe(report),
            "target_url": commit.url,
        },
        repeatable=True,
    )
    return client.fetch(call, _Status).url


@dataclass(frozen=True)
class Check:
    """What a check run shows. `external_id` tells this run's from an earlier one of the same name."""

    report: Report
    summary: str
    annotations: Sequence[Annotation]
    external_id: str


def post_check(client: Client, commit: Commit, check: Check) -> str:
    """Create a completed check run with all annotations, 50 a request, and return its page."""
    notes = [_note(item, check.report) for item in check.annotations]
    output: dict[str, object] = {"title": describe(check.report), "summary": check.summary}
    call = Call(
        f"create a check run on commit {commit.sha[:9]}",
        "checks: write",
        "POST",
        f"/repos/{commit.repository}/check-runs",
        body={
            "name": commit.name,
            "head_sha": commit.sha,
            "external_id": check.external_id,
            "details_url": commit.url,
            "status": "completed",
            "conclusion": _CONCLUSION[check.report.verdict],
            "output": {**output, "annotations": notes[:ANNOTATIONS_PER_REQUEST]},
        },
    )
    made = _create(client, commit, check, call)
    more = replace(call, method="PATCH", path=f"/repos/{commit.repository}/check-runs/{made.id}")
    for start in range(ANNOTATIONS_PER_REQUEST, len(notes), ANNOTATIONS_PER_REQUEST):
        batch = notes[start : start + ANNOTATIONS_PER_REQUEST]
        # GitHub appends annotations: an update that got lost must not be sent twice.
        client.send(replace(more, body={"output": {**output, "annotations": batch}}, repeatable=False))
    return made.html_url or ""


def _create(client: Client, commit: Commit, check: Check, call: Call) -> _Check:
    for attempt in range(3):
        try:
            return client.fetch(call, _Check)
        except AmbiguousError as error:
            lost = error
            client.pause(attempt)
            look = Call(
                f"list the check runs of commit {commit.sha[:9]}",
                "checks: read",
                "GET",
                f"/repos/{commit.repository}/commits/{commit.sha}/check-runs",
                query={"check_name": commit.name, "filter": "all", "per_page": "100"},
            )
            found = client.fetch(look, _Checks).check_runs
            own = [run for run in found if run.external_id == check.external_id]
            if own:
                return own[0]
    raise UnavailableError(f"{lost}; it was tried three times: run the job again")


def _note(annotation: Annotation, report: Report) -> dict[str, object]:
    """An annotation as the Checks API takes it. It wants a file: without a manifest, that of the settings."""
    fallback = report.configuration if inside(report.configuration) else "validator.yml"
    return {
        "path": annotation.path or fallback,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": "failure" if annotation.level == "error" else "warning",
        "title": plain(annotation.title, 255),
        "message": annotation.message,
    }
