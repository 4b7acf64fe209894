"""The job that the validator runs in: GitHub's JSON, the event file and the environment, parsed once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from validator.base import Frozen
from validator.errors import ConfigurationError
from validator.text import plain
from validator.upgrade import Trigger

_EVENT_BYTES = 25 * 1024 * 1024  # GitHub caps a webhook payload at 25 MB
#: Events that change something between two commits.
_COMPARED = frozenset({"pull_request", "pull_request_target", "merge_group", "push"})

Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}(?:[0-9a-f]{24})?$")]


class Payload(BaseModel):
    """The part of an event or reply that is used; everything else GitHub sends is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RepositoryName(Payload):
    """A repository by `owner/name`."""

    full_name: str


class Author(Payload):
    """Whoever wrote or owns something."""

    login: str


class Branch(Payload):
    """One side of a pull request. `repo` is null where the repository was deleted."""

    sha: Sha
    ref: str = ""
    repo: RepositoryName | None = None


class PullRequestEvent(Payload):
    """The pull request that a `pull_request` event is about."""

    number: int = Field(gt=0)
    head: Branch
    base: Branch

    @property
    def fork(self) -> bool:
        """Whether the head is in another repository, so that the token is read-only."""
        return self.head.repo is None or self.head.repo != self.base.repo


class WorkflowRunEvent(Payload):
    """The run that a `workflow_run` event is about."""

    id: int = Field(gt=0)
    head_sha: Sha
    run_attempt: int = Field(default=1, gt=0)
    conclusion: str | None = None


class MergeGroupEvent(Payload):
    """The commits that a merge queue tests together."""

    base_sha: Sha
    head_sha: Sha
    head_ref: str = ""


class JobEvent(Payload):
    """What started the workflow, as GitHub's own payload describes it; no artifact contributes to it."""

    name: str = ""
    pull_request: PullRequestEvent | None = None
    workflow_run: WorkflowRunEvent | None = None
    merge_group: MergeGroupEvent | None = None
    #: These belong to a push.
    before: Sha | None = None
    after: Sha | None = None
    ref: str | None = None

    def trigger(self) -> Trigger | None:
        """The commits to compare; None for an event that changes nothing, such as `schedule`.

        Raises:
            ConfigurationError: there was no event file, or it names none.
        """
        if self.name not in _COMPARED:
            return None
        base, head, ref = self.before, self.after, self.ref or ""
        if self.pull_request is not None:
            pull = self.pull_request
            base, head, ref = pull.base.sha, pull.head.sha, pull.head.ref
        elif self.merge_group is not None:
            group = self.merge_group
            base, head, ref = group.base_sha, group.head_sha, group.head_ref
        if base is None and head is None:
            raise ConfigurationError("GITHUB_EVENT_PATH names no file with the commits to compare")
        return Trigger(event=self.name, base_sha=base, head_sha=head, ref=ref)


class Context(Frozen):
    """One job of a workflow."""

    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"
    repository: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")
    event: JobEvent = JobEvent()
    sha: Sha
    run_id: int = Field(gt=0)
    run_attempt: int = Field(default=1, gt=0)
    step_summary: Path | None = None
    output: Path | None = None
    token: SecretStr | None = None

    @property
    def head_sha(self) -> str:
        """The commit that the results must be about: the pull request's head, or the commit of the event."""
        pull, run = self.event.pull_request, self.event.workflow_run
        return pull.head.sha if pull else run.head_sha if run else self.sha

    @property
    def run_url(self) -> str:
        """The page of this run."""
        return f"{self.server_url.rstrip('/')}/{self.repository}/actions/runs/{self.run_id}"


def read_context(environment: Mapping[str, str]) -> Context:
    """The context of a job, from the variables that GitHub Actions sets and the event file.

    An empty variable counts as unset. The token is `GITHUB_TOKEN`, unless no header can carry it.

    Raises:
        ConfigurationError: a variable is missing or malformed, so this is no job of GitHub Actions, or the
            event file cannot be used.
    """
    fields: dict[str, object] = {
        name: value for name in Context.model_fields if (value := environment.get(f"GITHUB_{name.upper()}"))
    }
    token = environment.get("GITHUB_TOKEN", "").strip()
    sendable = token.isascii() and token.isprintable() and " " not in token
    fields["event"] = _event(environment.get("GITHUB_EVENT_NAME", ""), environment.get("GITHUB_EVENT_PATH"))
    fields["token"] = token if token and sendable else None
    try:
        return Context.model_validate(fields)
    except ValidationError as error:
        wrong = ", ".join(sorted({f"GITHUB_{str(item['loc'][0]).upper()}" for item in error.errors()}))
        raise ConfigurationError(
            f"{wrong}: missing or malformed; this command works only inside a job of GitHub Actions"
        ) from error


def _event(name: str, path: str | None) -> JobEvent:
    if not path:
        return JobEvent(name=name)
    file = f"The event file {plain(path, 300)} (GITHUB_EVENT_PATH)"
    try:
        if Path(path).stat().st_size > _EVENT_BYTES:
            raise ConfigurationError(f"{file} is larger than any event of GitHub's")
        return JobEvent.model_validate({**json.loads(Path(path).read_bytes()), "name": name})
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except (TypeError, ValueError, RecursionError) as error:  # TypeError: no JSON object
        raise ConfigurationError(f"{file} is not an event of GitHub's") from error
