"""Where the validator runs: everything GitHub Actions says through the environment, read in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.text import plain

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]
_EVENT_BYTES = 25 * 1024 * 1024  # GitHub caps a webhook payload at 25 MB


class PullRequestEvent(Frozen):
    """The pull request a `pull_request` event is about."""

    number: int = Field(gt=0)
    head_sha: Sha
    fork: bool = Field(description="The head is in another repository, so the token is read-only.")


class WorkflowRunEvent(Frozen):
    """The run a `workflow_run` event is about."""

    id: int = Field(gt=0)
    head_sha: Sha


class Event(Frozen):
    """What started the workflow. The payload is GitHub's own; no artifact has a say in it."""

    name: str = ""
    pull_request: PullRequestEvent | None = None
    workflow_run: WorkflowRunEvent | None = None


class Context(Frozen):
    """One job of a workflow."""

    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    repository: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")
    event: Event = Event()
    sha: Sha
    run_id: int = Field(gt=0)
    run_attempt: int = Field(default=1, gt=0)
    step_summary: Path | None = None
    output: Path | None = None
    token: SecretStr | None = None

    @property
    def head_sha(self) -> str:
        """The commit the results must be about: the pull request's head, or the commit of the event."""
        if self.event.pull_request is not None:
            return self.event.pull_request.head_sha
        if self.event.workflow_run is not None:
            return self.event.workflow_run.head_sha
        return self.sha

    @property
    def run_url(self) -> str:
        """The page of this run."""
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"


def read_context(environment: Mapping[str, str]) -> Context:
    """The context of a job, from the variables GitHub Actions sets and the event's file.

    An empty variable counts as unset. The token is `GITHUB_TOKEN`; one that no header can carry is left out.
    Raises ConfigurationError where a variable is missing or malformed: then this is no job of GitHub Actions.
    """
    values = {name: value for name, value in environment.items() if value}
    token = values.get("GITHUB_TOKEN", "").strip()
    sendable = token.isascii() and token.isprintable() and " " not in token
    fields: dict[str, object] = {
        "api_url": values.get("GITHUB_API_URL", "https://api.github.com"),
        "server_url": values.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/"),
        "repository": values.get("GITHUB_REPOSITORY", ""),
        "event": _event(values.get("GITHUB_EVENT_NAME", ""), values.get("GITHUB_EVENT_PATH")),
        "sha": values.get("GITHUB_SHA", ""),
        "run_id": values.get("GITHUB_RUN_ID", ""),
        "run_attempt": values.get("GITHUB_RUN_ATTEMPT", "1"),
        "step_summary": values.get("GITHUB_STEP_SUMMARY"),
        "output": values.get("GITHUB_OUTPUT"),
        "token": SecretStr(token) if token and sendable else None,
    }
    try:
        return Context.model_validate(fields)
    except ValidationError as error:
        wrong = ", ".join(sorted({f"GITHUB_{str(item['loc'][0]).upper()}" for item in error.errors()}))
        raise ConfigurationError(
            f"{wrong} is missing or malformed; publishing works inside a job of GitHub Actions"
        ) from error


class _Payload(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Repository(_Payload):
    full_name: str


class _Head(_Payload):
    sha: str
    repo: _Repository | None = None


class _Side(_Payload):
    repo: _Repository | None = None


class _PullRequest(_Payload):
    number: int
    head: _Head
    base: _Side = _Side()


class _WorkflowRun(_Payload):
    id: int
    head_sha: str


class _Event(_Payload):
    pull_request: _PullRequest | None = None
    workflow_run: _WorkflowRun | None = None


def _event(name: str, path: str | None) -> Event:
    if path is None:
        return Event(name=name)
    try:
        file = Path(path)
        if file.stat().st_size > _EVENT_BYTES:
            raise ConfigurationError(f"The event file {plain(path, 300)} is larger than GitHub's events are")
        payload = _Event.model_validate(json.loads(file.read_bytes()))
        return Event(name=name, pull_request=_pull_request(payload), workflow_run=_workflow_run(payload))
    except OSError as error:
        raise ConfigurationError(
            f"The event file {plain(path, 300)} cannot be read ({error.strerror}); see GITHUB_EVENT_PATH"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"The event file {plain(path, 300)} is not an event of GitHub's; see GITHUB_EVENT_PATH"
        ) from error


def _pull_request(payload: _Event) -> PullRequestEvent | None:
    pull = payload.pull_request
    if pull is None:
        return None
    same = pull.head.repo is not None and pull.base.repo is not None and pull.head.repo == pull.base.repo
    return PullRequestEvent(number=pull.number, head_sha=pull.head.sha, fork=not same)


def _workflow_run(payload: _Event) -> WorkflowRunEvent | None:
    run = payload.workflow_run
    return None if run is None else WorkflowRunEvent(id=run.id, head_sha=run.head_sha)
