"""The one way to GitHub's REST API: typed replies, bounded time, repetition only where it is safe."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from requests.auth import AuthBase
from urllib3.exceptions import ConnectTimeoutError, HTTPError, MaxRetryError, NewConnectionError

from validator import __version__
from validator.errors import ConfigurationError
from validator.github.errors import AmbiguousError, NoTokenError, UnavailableError, UnexpectedError
from validator.github.refusals import error_of, wait_of
from validator.text import plain

API_VERSION = "2022-11-28"
_REDIRECTS = (301, 302, 307, 308)


class Shape(BaseModel):
    """The part of a reply that is used. What else GitHub sends is left aside."""

    model_config = ConfigDict(frozen=True, extra="ignore")


AnyShape = TypeVar("AnyShape", bound=Shape)


@dataclass(frozen=True)
class Clock:
    """Time as an argument: seconds that only grow, seconds since 1970, and waiting."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Bounds:
    """Limits of one client. Times in seconds; `total` starts with the first request."""

    connect: float = 10
    read: float = 30
    total: float = 300
    repetitions: int = 5
    pages: int = 100
    reply_bytes: int = 32 * 1024 * 1024


@dataclass(frozen=True)
class Call:
    """One operation: what it is for, in words and as a permission, and the request.

    `repeatable` says that doing it twice equals doing it once. By default that holds for all but POST.
    """

    what: str
    permission: str
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    repeatable: bool | None = None

    @property
    def idempotent(self) -> bool:
        """Whether the request may be sent again when nobody knows what became of the first one."""
        return self.method != "POST" if self.repeatable is None else self.repeatable


@dataclass(frozen=True)
class Reply:
    """An answer, read to its end. Header names are lower case."""

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
        words = [str(parsed.get("message", ""))]
        errors = parsed.get("errors", [])
        for error in errors[:5] if isinstance(errors, list) else []:
            words.append(
                str(error.get("message") or error.get("code") or "")
                if isinstance(error, dict)
                else str(error)
            )
        return plain("; ".join(word for word in words if word), 300)


@dataclass(frozen=True)
class Lost:
    """No answer. `sent` is false when the request certainly never arrived."""

    reason: str
    sent: bool
    hopeless: bool = False


class Client:
    """A session with one GitHub, for one token.

    The token goes to the host of `api_url` and nowhere else: redirects and pages that lead elsewhere are
    refused. A GET, PATCH or DELETE is repeated after a cut, a time-out or a 5xx; a POST then raises
    `AmbiguousError`, unless its call says that it is repeatable. Rate limits are waited for within
    `bounds.total`. Every failure is a `GitHubError`.
    """

    def __init__(
        self, api_url: str, token: SecretStr | None, clock: Clock | None = None, bounds: Bounds | None = None
    ) -> None:
        self.base = _checked_url(api_url)
        self.clock = clock or Clock()
        self.bounds = bounds or Bounds()
        self._token = token
        self._deadline: float | None = None
        self._session = requests.Session()
        self._session.headers.update(
            {
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": API_VERSION,
                "User-Agent": f"keras-upgrade-validator/{__version__}",
            }
        )

    def fetch(self, call: Call, shape: type[AnyShape]) -> AnyShape:
        """Do `call` and return its reply."""
        return _parsed(call, self._exchange(call, self._url(call), call.query).body, shape)

    def send(self, call: Call) -> None:
        """Do `call`; its reply does not matter."""
        self._exchange(call, self._url(call), call.query)

    def pages(self, call: Call, shape: type[AnyShape]) -> Iterator[AnyShape]:
        """Every item of a listing, following `Link: rel="next"` as GitHub wrote it.

        A listing longer than `bounds.pages` pages raises `UnexpectedError` rather than passing for complete.
        """
        url, query = self._url(call), {"per_page": "100", **call.query}
        for _ in range(self.bounds.pages):
            reply = self._exchange(call, url, query)
            yield from _parsed_list(call, reply.body, shape)
            following = requests.utils.parse_header_links(reply.headers.get("link", ""))
            links = [str(link["url"]) for link in following if link.get("rel") == "next"]
            if not links:
                return
            url, query = urljoin(url, links[0]), {}
            if not self._own(url):
                raise UnexpectedError(
                    f"GitHub's next page to {call.what} lies on another host "
                    f"({plain(urlsplit(url).netloc, 80)}), and the token is not sent there"
                )
        raise UnexpectedError(
            f"There are more than {self.bounds.pages} pages to {call.what}; the rest was not read"
        )

    def pause(self, attempt: int) -> None:
        """Wait before an operation is looked at again: 1, 2, 4 … seconds."""
        self.clock.sleep(min(2.0**attempt, 30.0))

    def _url(self, call: Call) -> str:
        return self.base + call.path

    def _own(self, url: str) -> bool:
        return _origin(url) == _origin(self.base)

    def _exchange(self, call: Call, url: str, query: Mapping[str, str]) -> Reply:
        if self._deadline is None:
            self._deadline = self.clock.monotonic() + self.bounds.total
        attempt = 0
        while True:
            outcome = self._follow(call, url, query)
            if isinstance(outcome, Reply) and outcome.status < 300:
                return outcome
            wait = self._wait(call, outcome, attempt)
            if wait is None:
                raise _error(call, outcome, self.clock.wall())
            self.clock.sleep(wait)
            attempt += 1

    def _wait(self, call: Call, outcome: Reply | Lost, attempt: int) -> float | None:
        """Seconds until `call` may be sent again; None when it must not be, or when time is up."""
        if isinstance(outcome, Lost):
            if outcome.hopeless or (outcome.sent and not call.idempotent):
                return None
            wait: float | None = min(2.0**attempt, 30.0)
        else:
            if outcome.status >= 500 and not call.idempotent:
                return None
            wait = wait_of(outcome, attempt, self.clock.wall())
        assert self._deadline is not None  # noqa: S101 - set by the caller
        out_of_time = wait is not None and self.clock.monotonic() + wait > self._deadline
        return None if out_of_time or attempt >= self.bounds.repetitions else wait

    def _follow(self, call: Call, url: str, query: Mapping[str, str]) -> Reply | Lost:
        """One try, over redirects within the API's own host (a renamed repository)."""
        for _ in range(4):
            outcome = self._once(call, url, query)
            if isinstance(outcome, Lost) or outcome.status not in _REDIRECTS:
                return outcome
            url, query = urljoin(url, outcome.headers.get("location", "")), {}
            if not self._own(url):
                raise UnexpectedError(
                    f"GitHub redirects the request to {call.what} to another host "
                    f"({plain(urlsplit(url).netloc, 80)}), and the token is not sent there"
                )
        raise UnexpectedError(f"GitHub redirects the request to {call.what} in circles")

    def _once(self, call: Call, url: str, query: Mapping[str, str]) -> Reply | Lost:
        if self._token is None or not self._token.get_secret_value():
            raise NoTokenError(
                f"There is no token to {call.what}: give the step `GITHUB_TOKEN: ${{{{ github.token "
                f"}}}}` in its `env:`"
            )
        try:
            with self._session.request(
                call.method,
                url,
                params=dict(query),
                json=call.body,
                auth=_Bearer(self._token, self.base),
                timeout=(self.bounds.connect, self.bounds.read),
                allow_redirects=False,
                stream=True,
            ) as response:
                return self._read(response)
        except requests.exceptions.SSLError as error:
            return Lost(f"the TLS connection failed ({plain(str(error), 120)})", sent=False, hopeless=True)
        except (requests.exceptions.RequestException, HTTPError) as error:
            return Lost(_reason(error), sent=not _never_sent(error))

    def _read(self, response: requests.Response) -> Reply | Lost:
        started, parts, size = self.clock.monotonic(), [], 0
        # read1 hands over what has come; requests' own reading waits for whole blocks of a dripping reply.
        while part := response.raw.read1(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > self.bounds.reply_bytes:
                reason = f"the reply is larger than {self.bounds.reply_bytes} bytes"
                return Lost(reason, sent=True, hopeless=True)
            # The time-out of a socket starts anew with each byte; this one does not.
            if self.clock.monotonic() - started > 2 * self.bounds.read:
                return Lost("the reply came too slowly", sent=True)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, headers, b"".join(parts))


class _Bearer(AuthBase):
    """Adds the token to requests for the API's own host only. Being set, it also keeps .netrc out."""

    def __init__(self, token: SecretStr, base: str) -> None:
        self._token, self._base = token, base

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin(request.url or "") == _origin(self._base):
            request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request


def _checked_url(api_url: str) -> str:
    parts = urlsplit(api_url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if (
        not parts.hostname
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and local))
    ):
        raise ConfigurationError(
            f"GITHUB_API_URL is {plain(api_url, 100)!r}; it must be an https:// address without a user name, "
            "such as https://api.github.com or https://HOST/api/v3"
        )
    return api_url.rstrip("/")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    return parts.scheme, (parts.hostname or "").lower(), port or (443 if parts.scheme == "https" else 80)


def _never_sent(error: Exception) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _reason(error: Exception) -> str:
    if isinstance(error, requests.exceptions.Timeout | TimeoutError) or "timed out" in str(error).lower():
        return "no answer came in time"
    if _never_sent(error):
        return "no connection could be made"
    return "the connection was cut"


def _error(call: Call, outcome: Reply | Lost, now: float) -> Exception:
    if isinstance(outcome, Reply):
        if outcome.status >= 500 and not call.idempotent:
            return AmbiguousError(
                f"GitHub answered {outcome.status} when asked to {call.what}; it may have been done"
            )
        return error_of(outcome, call.what, call.permission, now)
    if outcome.sent and not outcome.hopeless and not call.idempotent:
        return AmbiguousError(f"GitHub was asked to {call.what}, and {outcome.reason}; it may have been done")
    return UnavailableError(
        f"GitHub could not be reached to {call.what}: {outcome.reason}; run the job again"
    )


def _parsed(call: Call, body: bytes, shape: type[AnyShape]) -> AnyShape:
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise _foreign(call) from error


def _parsed_list(call: Call, body: bytes, shape: type[AnyShape]) -> list[AnyShape]:
    try:
        items = json.loads(body)
        if not isinstance(items, list):
            raise _foreign(call)
        return [shape.model_validate(item) for item in items]
    except (ValueError, RecursionError) as error:  # pydantic's ValidationError is a ValueError
        raise _foreign(call) from error


def _foreign(call: Call) -> UnexpectedError:
    return UnexpectedError(
        f"The answer to the request to {call.what} is none of GitHub's API: check GITHUB_API_URL and "
        f"the proxy"
    )
