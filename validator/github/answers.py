"""Requests to GitHub and what an outcome means: success, wait and repeat, or which error.

`now` is seconds since 1970, `attempt` counts from 0.
https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Literal

from validator.errors import ValidatorError
from validator.text import plain

#: `permission`: the token is valid and may not do this; repeating never helps. `forbidden`: a 403 that no
#: permission fixes, such as a locked conversation, an archive, SAML or an IP list. `not-found`: also 410.
#: `rejected`: GitHub refuses the content. `rate-limit`: one that outlasts the time left. `unavailable`: after
#: every repetition. `ambiguous`: the reply to a create got lost, so look before doing it again.
#: `unexpected`: a reply that is not from GitHub's API: a proxy's page, a redirect elsewhere, broken JSON.
ErrorKind = Literal[
    "no-token",
    "bad-token",
    "permission",
    "forbidden",
    "not-found",
    "rejected",
    "rate-limit",
    "unavailable",
    "ambiguous",
    "unexpected",
]


class GitHubError(ValidatorError):
    """GitHub did not do what was asked. The text is one sentence that says what to do.

    `permission` is the line of a workflow's `permissions:` block that allows it, such as `statuses: write`;
    empty unless the kind is `permission`.
    """

    def __init__(self, kind: ErrorKind, message: str, permission: str = "") -> None:
        super().__init__(message)
        self.kind, self.permission = kind, permission


#: GitHub asks for at least this when a limit is hit and no header says how long.
SECONDARY_WAIT = 60.0
_NOT_ALLOWED = (
    "not accessible by",
    "must have admin rights",
    "must have push access",
    "write access to repository",
)
_LIMIT_WORDS = ("secondary rate limit", "abuse detection", "api rate limit exceeded")
#: What GitHub's message about a 403 holds, and what to do then.
_ADVICE = {
    "saml": "authorise the token for the organization's SAML sign-on",
    "ip allow list": "allow this runner's address in the organization's IP allow list",
    "is locked": "the conversation is locked; unlock it",
    "archived": "the repository is archived and read-only",
}
#: By status, then by its first digit.
_KINDS: dict[int, ErrorKind] = {
    401: "bad-token",
    403: "forbidden",
    404: "not-found",
    410: "not-found",
    4: "rejected",
    5: "unavailable",
}
_REFUSALS: dict[ErrorKind, str] = {
    "bad-token": "GitHub does not accept the token to {what}: it is wrong, expired or revoked; "
    "pass `${{{{ github.token }}}}` of this job",
    "forbidden": "GitHub refused (403) to {what}: {advice}",
    "not-found": "GitHub answered {status} when asked to {what}: it was deleted or switched off, "
    "or the token may not see it (`{permission}`)",
    "rejected": "GitHub refused ({status}) the request to {what}",
    "rate-limit": "GitHub's rate limit stopped the request to {what}: it asks to wait {wait:.0f} s; "
    "run the job again later",
    "unavailable": "GitHub answered {status} when asked to {what}: run the job again",
    "unexpected": "GitHub answered {status} when asked to {what}: check GITHUB_API_URL",
}


@dataclass(frozen=True)
class ApiCall:
    """One operation: its purpose in words, the permission it needs, and the request."""

    what: str
    permission: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    #: Whether doing it twice equals doing it once; None: as its method says.
    repeatable: bool | None = None

    @property
    def idempotent(self) -> bool:
        """Whether the request may be sent again when the fate of the first one is unknown."""
        return self.method != "POST" if self.repeatable is None else self.repeatable


@dataclass(frozen=True)
class Reply:
    """A reply, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> str:
        """GitHub's own words about an error, on one line."""
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        if not isinstance(parsed, dict):
            return ""
        errors = parsed.get("errors")
        words = [parsed.get("message")]
        for error in errors[:5] if isinstance(errors, list) else []:
            words.append((error.get("message") or error.get("code")) if isinstance(error, dict) else error)
        return plain("; ".join(str(word) for word in words if word), 300)

    @property
    def limited(self) -> bool:
        """Whether a 403 or 429 is a rate limit, primary or secondary, and not a refusal."""
        if self.status not in (403, 429) or self.says(*_NOT_ALLOWED):
            return False
        return (
            self.status == 429
            or self.says(*_LIMIT_WORDS)
            or "retry-after" in self.headers
            or self.headers.get("x-ratelimit-remaining") == "0"
        )

    def says(self, *phrases: str) -> bool:
        """Whether GitHub's message holds one of `phrases`, which are lower case."""
        words = self.message.lower()
        return any(phrase in words for phrase in phrases)


@dataclass(frozen=True)
class Lost:
    """No reply. `sent` is false when the request certainly never arrived."""

    reason: str
    sent: bool
    hopeless: bool = False


def backoff(attempt: int) -> float:
    """Seconds before another attempt: 1, 2, 4 … 30."""
    return min(2.0**attempt, 30.0)


def wait_of(call: ApiCall, outcome: Reply | Lost, attempt: int, now: float) -> float | None:
    """Seconds after which `call` may be sent again; None when it must not be, or never will succeed."""
    if isinstance(outcome, Lost):
        return None if outcome.hopeless or (outcome.sent and not call.idempotent) else backoff(attempt)
    if outcome.status >= 500:
        return _asked(outcome, now, backoff(attempt))
    return _asked(outcome, now, SECONDARY_WAIT * 2.0**attempt) if outcome.limited else None


def _asked(reply: Reply, now: float, default: float) -> float:
    """Seconds that GitHub asks to wait, by whichever header says it, or `default`."""
    asked = reply.headers.get("retry-after", "")
    seconds = _number(asked)
    if seconds is not None:
        return seconds
    try:
        return max(parsedate_to_datetime(asked).timestamp() - now, 0.0)
    except (TypeError, ValueError, OverflowError):
        pass
    reset = _number(reply.headers.get("x-ratelimit-reset", ""))
    if reply.limited and reply.headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return max(reset - now, 0.0) + 1.0
    return default


def _number(value: str) -> float | None:
    """A header's whole number. Nothing else counts: `float` would take "nan" and "inf"."""
    return float(value) if value.isascii() and value.isdigit() and len(value) <= 15 else None


def error_of(call: ApiCall, outcome: Reply | Lost, now: float) -> GitHubError:
    """The error that the outcome of `call` means."""
    what = call.what
    if isinstance(outcome, Lost):
        why = outcome.reason
        if outcome.sent and not outcome.hopeless and not call.idempotent:
            return GitHubError("ambiguous", f"GitHub was asked to {what}, but {why}; it may have been done")
        return GitHubError("unavailable", f"GitHub could not be reached to {what}: {why}; run the job again")
    if outcome.status == 403 and outcome.says(*_NOT_ALLOWED):
        accepted = outcome.headers.get("x-accepted-github-permissions", "")
        hint = f"; GitHub names {plain(accepted, 100)}" if accepted else ""
        message = f"The token may not {what}: it lacks `{call.permission}`{hint}"
        return GitHubError("permission", message, call.permission)
    saml = "saml" if "x-github-sso" in outcome.headers else ""
    advice = _ADVICE.get(saml or next(filter(outcome.says, _ADVICE), ""))
    kind = _KINDS.get(outcome.status) or _KINDS.get(outcome.status // 100, "unexpected")
    if outcome.limited:
        kind = "rate-limit"
    sentence = _REFUSALS[kind].format(
        status=outcome.status,
        what=f"{what} (“{outcome.message}”)" if outcome.message else what,
        wait=_asked(outcome, now, SECONDARY_WAIT),
        permission=call.permission,
        advice=advice or f"the token may lack `{call.permission}`",
    )
    return GitHubError(kind, sentence)
