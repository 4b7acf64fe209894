"""What GitHub can answer instead of what was asked: one class each, one sentence each."""

from __future__ import annotations

import re

from validator.errors import ValidatorError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


class GitHubError(ValidatorError):
    """GitHub did not do what was asked. The text is one sentence that says what to do."""


class NoToken(GitHubError):
    """There is no token, or it cannot be sent."""


class BadToken(GitHubError):
    """401: the token is wrong, expired or revoked."""


class MissingPermission(GitHubError):
    """403: the token is good and may not do this. Repeating never helps.

    `permission` is the line of a workflow's `permissions:` block that allows it, such as `statuses: write`.
    """

    def __init__(self, message: str, permission: str) -> None:
        super().__init__(message)
        self.permission = permission


class Forbidden(GitHubError):
    """403 for a reason no permission mends: a locked conversation, an archived repository, SAML, an IP list."""


class NotFound(GitHubError):
    """404, and 410 for what is gone or switched off."""


class Rejected(GitHubError):
    """422 or another 4xx: GitHub understood the request and refuses its content."""


class RateLimited(GitHubError):
    """A primary or secondary limit that outlasts the time there is."""


class Unavailable(GitHubError):
    """5xx, time-outs and cut connections, after every repetition."""


class Ambiguous(GitHubError):
    """The answer to a create got lost: it may have been done. Look before doing it again."""


class Unexpected(GitHubError):
    """An answer that is no answer of GitHub's API: a proxy's page, a redirect elsewhere, broken JSON."""


def one_line(text: str, limit: int = 300) -> str:
    """Foreign text made fit for a sentence: one line, no control or direction characters, at most `limit`."""
    flat = " ".join(_CONTROL.sub(" ", text[: limit * 8]).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"
