"""What GitHub can answer instead of what was asked: one class each, one sentence each."""

from __future__ import annotations

from validator.errors import ValidatorError


class GitHubError(ValidatorError):
    """GitHub did not do what was asked. The text is one sentence that says what to do."""


class NoTokenError(GitHubError):
    """There is no token, or it cannot be sent."""


class BadTokenError(GitHubError):
    """401: the token is wrong, expired or revoked."""


class MissingPermissionError(GitHubError):
    """403: the token is good and may not do this. Repeating never helps.

    `permission` is the line of a workflow's `permissions:` block that allows it, such as `statuses: write`.
    """

    def __init__(self, message: str, permission: str) -> None:
        super().__init__(message)
        self.permission = permission


class ForbiddenError(GitHubError):
    """403 for a reason no permission mends: a locked conversation, an archive, SAML, an IP list."""


class NotFoundError(GitHubError):
    """404, and 410 for what is gone or switched off."""


class RejectedError(GitHubError):
    """422 or another 4xx: GitHub understood the request and refuses its content."""


class RateLimitedError(GitHubError):
    """A primary or secondary limit that outlasts the time there is."""


class UnavailableError(GitHubError):
    """5xx, time-outs and cut connections, after every repetition."""


class AmbiguousError(GitHubError):
    """The answer to a create got lost: it may have been done. Look before doing it again."""


class UnexpectedError(GitHubError):
    """An answer that is no answer of GitHub's API: a proxy's page, a redirect elsewhere, broken JSON."""
