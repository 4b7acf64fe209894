"""How an answer that is not a success is understood: wait and repeat, or which error it is.

https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Protocol

from validator.github.errors import (
    BadTokenError,
    ForbiddenError,
    GitHubError,
    MissingPermissionError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    UnavailableError,
    UnexpectedError,
)
from validator.text import plain

#: GitHub asks for at least this when a limit is hit and no header says how long.
SECONDARY_WAIT = 60.0
_NOT_ALLOWED = (
    "not accessible by",
    "must have admin rights",
    "must have push access",
    "write access to repository",
)
_LIMIT_WORDS = ("secondary rate limit", "abuse detection", "api rate limit exceeded")


class Answer(Protocol):
    """What is judged: a reply of the client."""

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, names in lower case."""

    @property
    def message(self) -> str:
        """GitHub's own words on one line."""


def limited(reply: Answer) -> bool:
    """Whether a 403 or 429 is a rate limit, primary or secondary, and not a refusal."""
    if reply.status not in (403, 429):
        return False
    words = reply.message.lower()
    if any(phrase in words for phrase in _NOT_ALLOWED):
        return False
    if reply.status == 429 or any(phrase in words for phrase in _LIMIT_WORDS):
        return True
    return "retry-after" in reply.headers or reply.headers.get("x-ratelimit-remaining") == "0"


def wait_of(reply: Answer, attempt: int, now: float) -> float | None:
    """Seconds after which the same request may succeed; None when it never will.

    `now` is seconds since 1970, `attempt` counts from 0.
    """
    asked = _retry_after(reply.headers.get("retry-after"), now)
    if reply.status >= 500:
        return asked if asked is not None else min(2.0**attempt, 30.0)
    if not limited(reply):
        return None
    if asked is not None:
        return asked
    if reply.headers.get("x-ratelimit-remaining") == "0":
        reset = _number(reply.headers.get("x-ratelimit-reset"))
        if reset is not None:
            return max(reset - now, 0.0) + 1.0
    return SECONDARY_WAIT * 2.0**attempt


def error_of(reply: Answer, what: str, permission: str, now: float) -> GitHubError:
    """The error an answer means when asked to `what`, which needs `permission`."""
    said = f" (“{reply.message}”)" if reply.message else ""
    if limited(reply):
        wait = wait_of(reply, 0, now) or 0.0
        return RateLimitedError(
            f"GitHub's rate limit stopped the request to {what}{said}: it asks to wait {wait:.0f} s; "
            "run the job again later"
        )
    if reply.status == 401:
        return BadTokenError(
            f"GitHub does not accept the token to {what}{said}: it is wrong, expired or revoked; "
            "pass `${{ github.token }}` of this very job"
        )
    if reply.status == 403:
        return _forbidden(reply, what, permission, said)
    return _other(reply, what, permission, said)


def _forbidden(reply: Answer, what: str, permission: str, said: str) -> GitHubError:
    words = reply.message.lower()
    if any(phrase in words for phrase in _NOT_ALLOWED):
        accepted = reply.headers.get("x-accepted-github-permissions", "")
        hint = f"; GitHub names {plain(accepted, 100)}" if accepted else ""
        return MissingPermissionError(f"The token may not {what}: it lacks `{permission}`{hint}", permission)
    advice = f"the token may lack `{permission}`"
    if "saml" in words or "x-github-sso" in reply.headers:
        advice = "authorise the token for the organization's SAML sign-on"
    elif "ip allow list" in words:
        advice = "allow this runner's address in the organization's IP allow list"
    elif "is locked" in words:
        advice = "the conversation is locked; unlock it"
    elif "archived" in words:
        advice = "the repository is archived and takes no writes"
    return ForbiddenError(f"GitHub refused (403) to {what}{said}: {advice}")


def _other(reply: Answer, what: str, permission: str, said: str) -> GitHubError:
    if reply.status in (404, 410):
        return NotFoundError(
            f"GitHub found nothing when asked to {what}{said}: it was deleted or switched off, "
            f"or the token may not see it (`{permission}`)"
        )
    if reply.status >= 500:
        return UnavailableError(
            f"GitHub answered {reply.status} when asked to {what}{said}: run the job again"
        )
    if reply.status >= 400:
        return RejectedError(f"GitHub refused ({reply.status}) the request to {what}{said}")
    return UnexpectedError(f"GitHub answered {reply.status} when asked to {what}{said}: check GITHUB_API_URL")


def _retry_after(value: str | None, now: float) -> float | None:
    """The header's seconds or HTTP date, as seconds from now, never negative."""
    seconds = _number(value)
    if seconds is not None:
        return max(seconds, 0.0)
    try:
        return max(parsedate_to_datetime(value or "").timestamp() - now, 0.0)
    except (TypeError, ValueError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    """A header's whole number. Nothing else counts: `float` would take "nan" and "inf"."""
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 15:
        return None
    return float(value)
