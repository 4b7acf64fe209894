"""Commit status and check run: both optional, both on the commit that the results are about."""

from __future__ import annotations

from dataclasses import dataclass, replace

from validator.github.annotations import TITLE_LIMIT, Annotation, annotations_of, inside
from validator.github.answers import ApiCall
from validator.github.client import Client
from validator.github.context import Payload
from validator.github.edition import Edition
from validator.text import plain
from validator.verdict.results import Report, Verdict

DESCRIPTION_LIMIT = 140
ANNOTATIONS_PER_REQUEST = 50
#: The state of a status, and the conclusion of a check run. A neutral check satisfies a branch rule, so only
#: what may be merged is neutral.
_MARKS: dict[Verdict, tuple[str, str]] = {
    "pass": ("success", "success"),
    "warn": ("success", "neutral"),
    "fail": ("failure", "failure"),
    "inconclusive": ("error", "failure"),
}


class _Status(Payload):
    url: str


class _CheckRun(Payload):
    id: int
    html_url: str | None = None
    external_id: str | None = None


class _CheckRuns(Payload):
    check_runs: tuple[_CheckRun, ...]


@dataclass(frozen=True)
class CommitMark:
    """The commit that is marked, the name of the mark, and the page it links to."""

    repository: str
    sha: str
    name: str
    url: str


def post_status(client: Client, mark: CommitMark, edition: Edition) -> str:
    """Set the commit status and return its address. The newest of a name counts: a repetition is harmless."""
    body = {
        "state": _MARKS[edition.report.verdict][0],
        "context": mark.name,
        "description": plain(edition.headline, DESCRIPTION_LIMIT),
        "target_url": mark.url,
    }
    what = f"set the status of commit {mark.sha[:9]}"
    path = f"/repos/{mark.repository}/statuses/{mark.sha}"
    call = ApiCall(what, "statuses: write", "POST", path, body=body, repeatable=True)
    return client.fetch(call, _Status).url


def post_check(client: Client, mark: CommitMark, edition: Edition, summary: str, external_id: str) -> str:
    """Create a completed check run with all annotations, 50 a request, and return its page.

    `external_id` tells this run's from an earlier one of the same name.
    """
    notes = [_note(item, edition.report) for item in annotations_of(edition)]
    output = {"title": plain(edition.headline, TITLE_LIMIT), "summary": summary}
    body = {
        "name": mark.name,
        "head_sha": mark.sha,
        "external_id": external_id,
        "details_url": mark.url,
        "status": "completed",
        "conclusion": _MARKS[edition.report.verdict][1],
        "output": {**output, "annotations": notes[:ANNOTATIONS_PER_REQUEST]},
    }
    what = f"create a check run on commit {mark.sha[:9]}"
    path = f"/repos/{mark.repository}/check-runs"
    call = ApiCall(what, "checks: write", "POST", path, body=body)
    made = client.create(call, _CheckRun, lambda: _existing(client, mark, external_id))
    more = replace(call, method="PATCH", path=f"{path}/{made.id}", repeatable=False)
    for start in range(ANNOTATIONS_PER_REQUEST, len(notes), ANNOTATIONS_PER_REQUEST):
        # GitHub appends annotations: an update whose reply got lost must not be sent twice.
        batch = notes[start : start + ANNOTATIONS_PER_REQUEST]
        client.send(replace(more, body={"output": {**output, "annotations": batch}}))
    return made.html_url or ""


def _existing(client: Client, mark: CommitMark, external_id: str) -> _CheckRun | None:
    what = f"list the check runs of commit {mark.sha[:9]}"
    path = f"/repos/{mark.repository}/commits/{mark.sha}/check-runs"
    query = {"check_name": mark.name, "filter": "all", "per_page": "100"}
    runs = client.fetch(ApiCall(what, "checks: read", "GET", path, query), _CheckRuns).check_runs
    return next((run for run in runs if run.external_id == external_id), None)


def _note(annotation: Annotation, report: Report) -> dict[str, object]:
    """An annotation as the Checks API takes it. It needs a file: without a manifest, that of the settings."""
    fallback = report.configuration if inside(report.configuration) else "validator.yml"
    return {
        "path": annotation.path or fallback,
        "start_line": annotation.line,
        "end_line": annotation.line,
        "annotation_level": "failure" if annotation.level == "error" else "warning",
        "title": plain(annotation.title, TITLE_LIMIT),
        "message": annotation.message,
    }
