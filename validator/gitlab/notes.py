"""The note of a merge request: recognised by marker and author, one alone, never replaced by an older one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from validator.errors import ConfigurationError
from validator.github.attempts import Attempt, attempt_in
from validator.github.edition import COMMENT_BUDGET, COMMENT_LIMIT, Edition, fit
from validator.github.posts import marker, same
from validator.github.publish import CommentOutcome
from validator.gitlab.context import GitLabJob
from validator.text import markdown_text, plain

if TYPE_CHECKING:
    import gitlab
    import requests
    from gitlab.v4.objects import ProjectMergeRequest, ProjectMergeRequestNote

_SECONDS = 30
#: A line that GitLab could take for an action of whoever owns the token, outside of code.
_ACTION = re.compile(r"^(\s*)/(?=\w)")
_FENCE = re.compile(r"^\s*(```+|~~~+)(.*)$")


@dataclass(frozen=True)
class PostedNote:
    """What became of the note. `problem` says what GitLab refused, and what to do."""

    action: CommentOutcome
    url: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Thread:
    """The notes of one merge request, and the id of the user that the token writes as."""

    request: ProjectMergeRequest
    user: int
    marker: str

    def upsert(self, text: str, attempt: Attempt, allowed: bool) -> PostedNote:
        """As on GitHub: the oldest of ours stays, others are deleted, and a later result stays."""
        body = f"{self.marker}\n{attempt.stamp}\n{text}"
        owned = self._owned()
        later = next((note for note in owned if (attempt_in(note.body) or attempt) > attempt), None)
        if later is not None:
            return PostedNote("stale", self._url(later))
        if owned:
            return self._settle(owned, body)
        if not allowed:
            return PostedNote("none")
        made = self.request.notes.create({"body": body})
        owned = self._owned()
        settled = self._settle(owned, body) if owned else PostedNote("created", self._url(made))
        return PostedNote("created", settled.url) if not owned or owned[0].id == made.id else settled

    def _owned(self) -> list[ProjectMergeRequestNote]:
        """Notes with our marker that our token wrote, oldest first."""
        notes = self.request.notes.list(iterator=True, sort="asc", order_by="created_at")
        marked = (note for note in notes if not note.system and note.body.lstrip().startswith(self.marker))
        return sorted((note for note in marked if note.author["id"] == self.user), key=lambda note: note.id)

    def _settle(self, owned: list[ProjectMergeRequestNote], body: str) -> PostedNote:
        oldest, *others = owned
        for other in others:
            other.delete()
        if same(oldest.body, body):
            return PostedNote("unchanged", self._url(oldest))
        oldest.body = body
        oldest.save()
        return PostedNote("updated", self._url(oldest))

    def _url(self, note: ProjectMergeRequestNote) -> str:
        return f"{self.request.web_url}#note_{note.id}"


def publish_note(edition: Edition, job: GitLabJob, instance: str, allowed: bool) -> PostedNote:
    """Update our note on the job's merge request; create it if there is none and that is `allowed`.

    What GitLab refuses is a problem of the note and changes no verdict.

    Raises:
        ConfigurationError: python-gitlab is not installed.
    """
    if job.merge_request is None:
        return PostedNote("none", problem="This pipeline belongs to no merge request")
    if job.token is None:
        return PostedNote(
            "failed", problem="There is no token to write a note: set the variable GITLAB_TOKEN"
        )
    text = fit(edition.render, COMMENT_BUDGET, COMMENT_LIMIT) or f"**{markdown_text(edition.headline, 200)}**"
    try:
        import gitlab
        import requests
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"{error.name} is not installed: install keras-upgrade-validator[gitlab] to publish on GitLab"
        ) from None
    token = job.token.get_secret_value()
    try:
        session = patient_session()
        with gitlab.Gitlab(job.server, private_token=token, timeout=_SECONDS, session=session) as client:
            client.auth()
            user = client.user.id if client.user else 0
            request = client.projects.get(job.project, lazy=True).mergerequests.get(job.merge_request)
            if request.sha != job.head:
                moved = f"!{job.merge_request} has moved on from {job.head[:9]} to {plain(request.sha, 9)}"
                return PostedNote("stale", problem=f"{moved}; the pipeline of that commit reports")
            thread = _Thread(request, user, marker(instance))
            return thread.upsert(without_actions(text), Attempt(job.pipeline, 1), allowed)
    except gitlab.exceptions.GitlabError as error:
        return PostedNote("failed", problem=_problem(error, job))
    except requests.exceptions.RequestException:
        return PostedNote("failed", problem=f"GitLab could not be reached at {job.server}; run the job again")


def patient_session() -> requests.Session:
    """A session that repeats what is safe to repeat, within about 15 seconds: no POST."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retry = Retry(
        total=4,
        backoff_factor=1,
        status_forcelist=(500, 502, 503, 504),
        allowed_methods=("GET", "PUT", "DELETE"),
        raise_on_status=False,
    )
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def without_actions(text: str) -> str:
    """`text` without lines that GitLab would take for quick actions, such as `/merge`."""
    lines, fence = [], ""
    for line in text.split("\n"):
        opened = _FENCE.match(line)
        if opened and not fence:
            fence = opened[1]
        elif opened and opened[1].startswith(fence) and not opened[2].strip():
            fence = ""
        lines.append(line if fence else _ACTION.sub(r"\1&#47;", line))
    return "\n".join(lines)


def _problem(error: gitlab.exceptions.GitlabError, job: GitLabJob) -> str:
    """What GitLab refused, and what to do about it."""
    what = f"write to !{job.merge_request}"
    if error.response_code == 401:
        return f"GitLab does not accept GITLAB_TOKEN to {what}: it is wrong, expired or revoked"
    if error.response_code in (403, 404):
        needs = "a project access token with the scope `api` and the role Reporter or higher"
        return f"GITLAB_TOKEN may not {what} ({error.response_code}): it must be {needs}"
    reason = plain(str(error.error_message), 200)
    return f"GitLab answered {error.response_code} when asked to {what} ({reason}); run the job again"
