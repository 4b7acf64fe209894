"""Comments and issues of ours: recognised by marker and author, created once even when a reply is lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Literal, TypeVar

from validator.github.answers import ApiCall, GitHubError
from validator.github.attempts import Attempt, attempt_in, without_stamp
from validator.github.client import Client
from validator.github.context import Author, Payload

#: Whom the token of a workflow writes as.
ACTIONS_LOGIN = "github-actions[bot]"
#: No two separators in a row: two hyphens could end the hidden line.
INSTANCE = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_WRITE_COMMENT, _WRITE_ISSUE = "pull-requests: write", "issues: write"
_RUN = re.compile(r"/actions/runs/\d+(?:/attempts/\d+|/job/\d+)?")

CommentAction = Literal["created", "updated", "unchanged", "none", "stale"]
IssueAction = Literal["opened", "updated", "unchanged", "closed", "none"]
_Action_co = TypeVar("_Action_co", bound=str, covariant=True)


class Post(Payload):
    """A comment or an issue. Ids grow: the oldest has the smallest."""

    id: int
    html_url: str
    body: str | None = None
    user: Author | None = None

    @property
    def author(self) -> str:
        """The login of whoever wrote it, lower case; empty where GitHub names nobody."""
        return self.user.login.casefold() if self.user else ""


class Issue(Post):
    """An issue. GitHub lists pull requests among them: those have a `pull_request`."""

    number: int
    title: str
    pull_request: Payload | None = None


AnyPost = TypeVar("AnyPost", bound=Post)


@dataclass(frozen=True)
class Posted(Generic[_Action_co]):
    """What became of a comment or an issue. `url` is empty where there is none."""

    action: _Action_co
    url: str = ""


@dataclass(frozen=True)
class Publisher:
    """Which posts in a repository are ours: those with the instance's marker, written by our token.

    `author` is the login that an app's token writes as; GitHub Actions' own is known.
    """

    client: Client
    repository: str
    instance: str
    author: str | None = None

    @property
    def marker(self) -> str:
        """The hidden first line of our posts."""
        return marker(self.instance)

    def owned(self, posts: Iterable[AnyPost], logins: Set[str]) -> list[AnyPost]:
        """Posts that begin with our marker and that one of `logins` wrote, oldest first."""
        marked = (post for post in posts if (post.body or "").lstrip().startswith(self.marker))
        return sorted((post for post in marked if post.author in logins), key=lambda post: post.id)

    def path(self, rest: str = "") -> str:
        """A path of the repository's issues; for GitHub, a pull request is one."""
        return f"/repos/{self.repository}/issues{rest}"

    @cached_property
    def login(self) -> str:
        """The login that the token writes as, lower case.

        A person's token can ask GitHub. A workflow's or an app's cannot (403): then it is `author`, or GitHub
        Actions.
        """
        call = ApiCall("see whose token this is", "metadata: read", "GET", "/user")
        try:
            return self.client.fetch(call, Author).login.casefold()
        except GitHubError as error:
            if error.kind not in ("permission", "forbidden", "not-found"):
                raise
            return (self.author or ACTIONS_LOGIN).casefold()


@dataclass(frozen=True)
class Thread:
    """The conversation of one pull request, and whose comment in it is ours."""

    publisher: Publisher
    number: int

    def upsert(self, text: str, attempt: Attempt, allowed: bool = True) -> Posted[CommentAction]:
        """Update our comment; create it if there is none and that is `allowed`.

        The oldest of ours stays, others are deleted: after creating, the conversation is read again, so that
        of two runs at once one comment remains. The result of a later attempt stays too ("stale").
        """
        body, logins = f"{self.publisher.marker}\n{attempt.stamp}\n{text}", {self.publisher.login}
        owned = self._owned(logins)
        later = next((post for post in owned if (attempt_in(post.body or "") or attempt) > attempt), None)
        if later is not None:
            return Posted("stale", later.html_url)
        if owned:
            return self._settle(owned, body)
        if not allowed:
            return Posted("none")
        call = ApiCall(f"comment on {self._place}", _WRITE_COMMENT, "POST", self._path, body={"body": body})
        made = self.publisher.client.create(call, Post, lambda: next(iter(self._owned(logins)), None))
        # The reply names our login, which an app's token cannot ask for.
        logins.add(made.author or self.publisher.login)
        owned = self._owned(logins) or [made]
        settled = self._settle(owned, body)
        return Posted("created", settled.url) if owned[0].id == made.id else settled

    @property
    def _place(self) -> str:
        return f"pull request #{self.number}"

    @property
    def _path(self) -> str:
        return self.publisher.path(f"/{self.number}/comments")

    def _owned(self, logins: Set[str]) -> list[Post]:
        call = ApiCall(f"list the comments of {self._place}", "pull-requests: read", "GET", self._path)
        return self.publisher.owned(self.publisher.client.pages(call, Post), logins)

    def _settle(self, owned: Sequence[Post], body: str) -> Posted[CommentAction]:
        oldest, *others = owned
        for other in others:
            self._delete(other)
        if same(oldest.body or "", body):
            return Posted("unchanged", oldest.html_url)
        path = self.publisher.path(f"/comments/{oldest.id}")
        what = f"update the comment on {self._place}"
        call = ApiCall(what, _WRITE_COMMENT, "PATCH", path, body={"body": body})
        return Posted("updated", self.publisher.client.fetch(call, Post).html_url)

    def _delete(self, comment: Post) -> None:
        path = self.publisher.path(f"/comments/{comment.id}")
        call = ApiCall(f"delete our second comment on {self._place}", _WRITE_COMMENT, "DELETE", path)
        try:
            self.publisher.client.send(call)
        except GitHubError as error:
            if error.kind != "not-found":  # a run at the same time was faster
                raise


@dataclass(frozen=True)
class Tracker:
    """The issues of a repository, and whose issue in it is ours: open, with our marker, by our token."""

    publisher: Publisher

    def close(self) -> Posted[IssueAction]:
        """Close our issue."""
        owned = self._owned()
        for issue in owned:
            self._change(issue, {"state": "closed", "state_reason": "completed"})
        return Posted("closed", owned[0].html_url) if owned else Posted("none")

    def upsert(self, title: str, text: str) -> Posted[IssueAction]:
        """Open or update our issue. The oldest stays; a second one, of a run at the same time, is closed."""
        body = f"{self.publisher.marker}\n{text}"
        owned = self._owned()
        if owned:
            return self._settle(owned, title, body)
        content = {"title": title, "body": body}
        call = ApiCall("open an issue", _WRITE_ISSUE, "POST", self.publisher.path(), body=content)
        made = self.publisher.client.create(call, Issue, lambda: next(iter(self._owned()), None))
        if made.author != self.publisher.login:
            what = f"Issue #{made.number} was opened by {made.author or 'nobody'!r}"
            raise GitHubError(
                "unexpected", f"{what}: set `author` to this login, or every run opens another issue"
            )
        owned = self._owned() or [made]
        settled = self._settle(owned, title, body)
        return Posted("opened", settled.url) if owned[0].id == made.id else settled

    def _owned(self) -> list[Issue]:
        """Our open issues, oldest first."""
        login = self.publisher.login
        query = {"state": "open", "creator": login}
        call = ApiCall("list the open issues", "issues: read", "GET", self.publisher.path(), query)
        issues = (issue for issue in self.publisher.client.pages(call, Issue) if not issue.pull_request)
        return self.publisher.owned(issues, {login})

    def _settle(self, owned: Sequence[Issue], title: str, body: str) -> Posted[IssueAction]:
        oldest, *others = owned
        for other in others:
            self._change(other, {"state": "closed", "state_reason": "not_planned"})
        if oldest.title == title and same(oldest.body or "", body):
            return Posted("unchanged", oldest.html_url)
        self._change(oldest, {"title": title, "body": body})
        return Posted("updated", oldest.html_url)

    def _change(self, issue: Issue, body: dict[str, object]) -> None:
        path = self.publisher.path(f"/{issue.number}")
        call = ApiCall(f"update issue #{issue.number}", _WRITE_ISSUE, "PATCH", path, body=body)
        self.publisher.client.send(call)


def marker(instance: str) -> str:
    """A hidden line, different for each instance. Raises ValueError for a name that could end it."""
    if not INSTANCE.fullmatch(instance) or len(instance) > 80:
        raise ValueError(
            f"{instance!r} names no instance: use at most 80 letters and digits, joined by single dots, "
            "hyphens or underscores"
        )
    return f"<!-- keras-validator:{instance} -->"


def same(old: str, new: str) -> bool:
    """Whether two bodies are equal up to line ends and the number of the run."""
    before, after = (without_stamp(_RUN.sub("", body.replace("\r\n", "\n"))).strip() for body in (old, new))
    return before == after
