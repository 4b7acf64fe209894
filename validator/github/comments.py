"""The one comment on a pull request: found by marker and author, written once, then edited."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from validator.github.client import Call, Client, Shape
from validator.github.errors import (
    AmbiguousError,
    ForbiddenError,
    MissingPermissionError,
    NotFoundError,
    UnavailableError,
)

#: Who the token of a workflow speaks as.
ACTIONS_LOGIN = "github-actions[bot]"
#: No two separators in a row: two hyphens could end the hidden line.
INSTANCE = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
Action = Literal["created", "updated", "unchanged", "none"]
_WRITE = "pull-requests: write"
_RUN = re.compile(r"/actions/runs/\d+(?:/attempts/\d+|/job/\d+)?")


class User(Shape):
    """Who wrote something."""

    login: str


class Comment(Shape):
    """One comment of a conversation."""

    id: int
    html_url: str
    body: str | None = None
    user: User | None = None


@dataclass(frozen=True)
class Thread:
    """The conversation of one pull request, and which comment in it is ours."""

    repository: str
    number: int
    instance: str
    author: str | None = None

    @property
    def marker(self) -> str:
        """The hidden first line of our comment."""
        return marker(self.instance)


@dataclass(frozen=True)
class Outcome:
    """What became of the comment. `url` is empty when there is none."""

    action: Action
    url: str = ""


def marker(instance: str) -> str:
    """A hidden line that no other instance's is equal to. Raises ValueError for a name that could end it."""
    if not INSTANCE.fullmatch(instance) or len(instance) > 80:
        raise ValueError(
            f"{instance!r} names no instance: use at most 80 letters and digits, joined by single dots, "
            "hyphens or underscores"
        )
    return f"<!-- keras-validator:{instance} -->"


def same(old: str, new: str) -> bool:
    """Whether two bodies say the same: line ends and the number of the run do not count."""
    return _RUN.sub("", old.replace("\r\n", "\n")).strip() == _RUN.sub("", new.replace("\r\n", "\n")).strip()


def logins(client: Client, author: str | None) -> frozenset[str]:
    """The logins this token writes as, lower case.

    A person's token says so itself. A workflow's or an app's cannot ask (403): then it is `author`, or GitHub
    Actions.
    """
    try:
        user = client.fetch(Call("see whose token this is", "metadata: read", "GET", "/user"), User)
    except (MissingPermissionError, ForbiddenError, NotFoundError):
        return frozenset({(author or ACTIONS_LOGIN).casefold()})
    return frozenset({user.login.casefold()})


def upsert(client: Client, thread: Thread, text: str, create: bool) -> Outcome:
    """Bring our comment up to date; make one if there is none and `create` says so.

    A comment is ours when it begins with our marker and we wrote it. The oldest of ours stays, others are
    deleted: after creating, the conversation is read again, so that of two runs at once one comment remains.
    An answer that got lost is looked for before anything is created again.
    """
    body = f"{thread.marker}\n{text}"
    marked = _marked(client, thread)
    us: frozenset[str] = logins(client, thread.author) if marked else frozenset()
    ours = _ours(marked, us)
    if ours:
        return _settle(client, thread, ours, body)
    if not create:
        return Outcome("none")
    made = _create(client, thread, body)
    # The reply says who we are, which an app's token cannot ask for.
    us = (us or logins(client, thread.author)) | ({made.user.login.casefold()} if made.user else set())
    ours = _ours(_marked(client, thread), us) or [made]
    settled = _settle(client, thread, ours, body)
    return Outcome("created", settled.url) if ours[0].id == made.id else settled


def _settle(client: Client, thread: Thread, ours: Sequence[Comment], body: str) -> Outcome:
    oldest, *others = ours
    for other in others:
        _delete(client, thread, other)
    if same(oldest.body or "", body):
        return Outcome("unchanged", oldest.html_url)
    call = Call(
        f"update the comment on pull request #{thread.number}",
        _WRITE,
        "PATCH",
        f"/repos/{thread.repository}/issues/comments/{oldest.id}",
        body={"body": body},
    )
    return Outcome("updated", client.fetch(call, Comment).html_url)


def _create(client: Client, thread: Thread, body: str) -> Comment:
    call = Call(
        f"comment on pull request #{thread.number}",
        _WRITE,
        "POST",
        f"/repos/{thread.repository}/issues/{thread.number}/comments",
        body={"body": body},
    )
    for attempt in range(3):
        try:
            return client.fetch(call, Comment)
        except AmbiguousError as error:
            lost = error
            client.pause(attempt)
            # Ours alone has this very body, and a stranger cannot have known it.
            us = logins(client, thread.author)
            found = [item for item in _ours(_marked(client, thread), us) if same(item.body or "", body)]
            if found:
                return found[0]
    raise UnavailableError(f"{lost}; it was tried three times: run the job again")


def _delete(client: Client, thread: Thread, comment: Comment) -> None:
    call = Call(
        f"delete the second comment of ours on pull request #{thread.number}",
        _WRITE,
        "DELETE",
        f"/repos/{thread.repository}/issues/comments/{comment.id}",
    )
    with suppress(NotFoundError):  # the other run was faster
        client.send(call)


def _marked(client: Client, thread: Thread) -> list[Comment]:
    """Every comment that begins with our marker, whoever wrote it."""
    call = Call(
        f"list the comments of pull request #{thread.number}",
        "pull-requests: read",
        "GET",
        f"/repos/{thread.repository}/issues/{thread.number}/comments",
    )
    found = client.pages(call, Comment)
    return [comment for comment in found if (comment.body or "").lstrip().startswith(thread.marker)]


def _ours(marked: Sequence[Comment], us: frozenset[str]) -> list[Comment]:
    """Those we wrote, oldest first."""
    mine = [comment for comment in marked if comment.user is not None and comment.user.login.casefold() in us]
    return sorted(mine, key=lambda comment: comment.id)
