"""The one issue of a nightly run: opened when something breaks, kept up to date, closed when all is well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from validator.github.client import Call, Client, Shape
from validator.github.comments import User, logins, marker, same
from validator.github.errors import AmbiguousError, GitHubError, UnavailableError

Action = Literal["opened", "updated", "unchanged", "closed", "none"]
_WRITE = "issues: write"


class _Linked(Shape):
    """Present on an issue that is a pull request."""


class _Issue(Shape):
    number: int
    html_url: str
    title: str
    body: str | None = None
    user: User | None = None
    pull_request: _Linked | None = None


@dataclass(frozen=True)
class Tracker:
    """The repository, and which issue in it is ours."""

    repository: str
    instance: str
    author: str | None = None


@dataclass(frozen=True)
class News:
    """What the nightly run says. `green` closes the issue; `title` and `text` are what an open one shows."""

    green: bool
    title: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What became of the issue. `url` is empty when there is none."""

    action: Action
    url: str = ""


def track(client: Client, tracker: Tracker, news: News) -> Outcome:
    """Open, update or close our issue.

    Ours is an open issue that we wrote and whose text begins with our marker. The oldest stays; a second
    one, made by two runs at once, is closed. Raises GitHubError.
    """
    body = f"{marker(tracker.instance)}\n{news.text}"
    us = logins(client, tracker.author)
    ours = _ours(client, tracker, us)
    if news.green:
        return _close(client, tracker, ours)
    if ours:
        return _settle(client, tracker, ours, News(False, news.title, body))
    made = _open(client, tracker, us, News(False, news.title, body))
    if made.user is None or made.user.login.casefold() not in us:
        name = made.user.login if made.user else "nobody"
        raise GitHubError(
            f"Issue #{made.number} was opened by {name!r}, who is not expected: name that author, "
            "or every night opens another issue"
        )
    ours = _ours(client, tracker, us) or [made]
    _settle(client, tracker, ours, News(False, news.title, body))
    return Outcome("opened" if ours[0].number == made.number else "updated", ours[0].html_url)


def _ours(client: Client, tracker: Tracker, us: frozenset[str]) -> list[_Issue]:
    """Our open issues, oldest first."""
    found: list[_Issue] = []
    for login in sorted(us):
        call = Call(
            "list the open issues",
            "issues: read",
            "GET",
            f"/repos/{tracker.repository}/issues",
            query={"state": "open", "creator": login},
        )
        found.extend(client.pages(call, _Issue))
    sign = marker(tracker.instance)
    ours = [
        issue
        for issue in found
        if issue.pull_request is None and (issue.body or "").lstrip().startswith(sign)
    ]
    mine = [issue for issue in ours if issue.user is not None and issue.user.login.casefold() in us]
    return sorted(mine, key=lambda issue: issue.number)


def _open(client: Client, tracker: Tracker, us: frozenset[str], news: News) -> _Issue:
    call = Call(
        "open an issue",
        _WRITE,
        "POST",
        f"/repos/{tracker.repository}/issues",
        body={"title": news.title, "body": news.text},
    )
    for attempt in range(3):
        try:
            return client.fetch(call, _Issue)
        except AmbiguousError as error:
            lost = error
            client.pause(attempt)
            found = _ours(client, tracker, us)
            if found:
                return found[0]
    raise UnavailableError(f"{lost}; it was tried three times: run the job again")


def _settle(client: Client, tracker: Tracker, ours: Sequence[_Issue], news: News) -> Outcome:
    oldest, *others = ours
    for other in others:
        _change(client, tracker, other, {"state": "closed", "state_reason": "not_planned"})
    if oldest.title == news.title and same(oldest.body or "", news.text):
        return Outcome("unchanged", oldest.html_url)
    _change(client, tracker, oldest, {"title": news.title, "body": news.text})
    return Outcome("updated", oldest.html_url)


def _close(client: Client, tracker: Tracker, ours: Sequence[_Issue]) -> Outcome:
    for issue in ours:
        _change(client, tracker, issue, {"state": "closed", "state_reason": "completed"})
    return Outcome("closed", ours[0].html_url) if ours else Outcome("none")


def _change(client: Client, tracker: Tracker, issue: _Issue, body: dict[str, object]) -> None:
    path = f"/repos/{tracker.repository}/issues/{issue.number}"
    client.send(Call(f"update issue #{issue.number}", _WRITE, "PATCH", path, body=body))
