"""The client of GitHub's REST API: typed replies, bounded time, repetition only where it is safe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from pydantic import SecretStr, TypeAdapter, ValidationError
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from validator import __version__
from validator.errors import ConfigurationError
from validator.github.answers import ApiCall, GitHubError, Lost, Reply, backoff, error_of, wait_of
from validator.text import plain

_REDIRECTS = (301, 302, 307, 308)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Clock:
    """Time as an argument: seconds that only grow, seconds since 1970, and waiting."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class ClientLimits:
    """Limits of one client. Times in seconds; `total` starts with the first request."""

    connect: float = 10
    read: float = 30
    total: float = 300
    repetitions: int = 5
    pages: int = 100
    reply_bytes: int = 32 * 1024 * 1024


class Client:
    """A session with one GitHub, for one token.

    The token goes to the host of `api_url` and nowhere else: redirects and pages that lead elsewhere are
    refused. A GET, PATCH or DELETE is repeated after a cut, a time-out or a 5xx; a POST then raises an
    `ambiguous` error, unless its call says that it is repeatable. Rate limits are waited for within
    `limits.total`. Every failure is a `GitHubError`.
    """

    def __init__(
        self,
        api_url: str,
        token: SecretStr | None,
        clock: Clock | None = None,
        limits: ClientLimits | None = None,
    ) -> None:
        self.base = _checked_url(api_url)
        self.clock, self.limits = clock or Clock(), limits or ClientLimits()
        self._token = token.get_secret_value() if token else ""
        self._deadline: float | None = None
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/vnd.github+json"
        self._session.headers["X-GitHub-Api-Version"] = "2022-11-28"
        self._session.headers["User-Agent"] = f"keras-upgrade-validator/{__version__}"

    def fetch(self, call: ApiCall, shape: type[_T]) -> _T:
        """Do `call` and return its reply."""
        reply = self._exchange(call, self.base + call.path, call.query)
        return _parsed(call, reply, TypeAdapter(shape))

    def send(self, call: ApiCall) -> None:
        """Do `call` and ignore its reply."""
        self._exchange(call, self.base + call.path, call.query)

    def pages(self, call: ApiCall, shape: type[_T]) -> Iterator[_T]:
        """Every item of a listing, following `Link: rel="next"` as GitHub wrote it.

        A listing longer than `limits.pages` pages is an error rather than passing for complete.
        """
        url, query = self.base + call.path, {"per_page": "100", **call.query}
        for _ in range(self.limits.pages):
            reply = self._exchange(call, url, query)
            yield from _parsed(call, reply, TypeAdapter(list[shape]))  # type: ignore[valid-type]
            following = requests.utils.parse_header_links(reply.headers.get("link", ""))
            links = [str(link["url"]) for link in following if link.get("rel") == "next"]
            if not links:
                return
            url, query = self._next(url, links[0], f"GitHub's next page to {call.what}"), {}
        what = f"The request to {call.what} has more than {self.limits.pages} pages"
        raise GitHubError("unexpected", f"{what}; the rest was not read")

    def create(self, call: ApiCall, shape: type[_T], existing: Callable[[], _T | None]) -> _T:
        """Create something with a POST, so that one is left even when a reply is lost.

        `existing` finds what an earlier attempt created. After three lost replies the error is `unavailable`.
        """
        for attempt in range(3):
            try:
                return self.fetch(call, shape)
            except GitHubError as error:
                if error.kind != "ambiguous":
                    raise
                lost = error
            self.clock.sleep(backoff(attempt))
            made = existing()
            if made is not None:
                return made
        raise GitHubError("unavailable", f"{lost}; three attempts failed: run the job again")

    def _next(self, url: str, link: str, what: str) -> str:
        """Where a link leads. An error for another host: the token must not go there."""
        target = urljoin(url, link)
        if _origin(target) != _origin(self.base):
            where = f"{what} is on another host ({plain(urlsplit(target).netloc, 80)})"
            raise GitHubError("unexpected", f"{where}; the token is not sent there")
        return target

    def _exchange(self, call: ApiCall, url: str, query: Mapping[str, str]) -> Reply:
        if self._deadline is None:
            self._deadline = self.clock.monotonic() + self.limits.total
        for attempt in range(self.limits.repetitions + 1):
            outcome = self._follow(call, url, query)
            if isinstance(outcome, Reply) and outcome.status < 300:
                return outcome
            if isinstance(outcome, Reply) and outcome.status >= 500 and not call.idempotent:
                outcome = Lost(f"it answered {outcome.status}", sent=True)
            wait = wait_of(call, outcome, attempt, self.clock.wall())
            late = wait is not None and self.clock.monotonic() + wait > self._deadline
            if wait is None or late or attempt == self.limits.repetitions:
                break
            self.clock.sleep(wait)
        raise error_of(call, outcome, self.clock.wall())

    def _follow(self, call: ApiCall, url: str, query: Mapping[str, str]) -> Reply | Lost:
        """One attempt, over redirects within the API's own host (a renamed repository)."""
        for _ in range(4):
            outcome = self._once(call, url, query)
            if isinstance(outcome, Lost) or outcome.status not in _REDIRECTS:
                return outcome
            location = outcome.headers.get("location", "")
            url, query = self._next(url, location, f"The redirect of the request to {call.what}"), {}
        raise GitHubError("unexpected", f"GitHub redirects the request to {call.what} in circles")

    def _once(self, call: ApiCall, url: str, query: Mapping[str, str]) -> Reply | Lost:
        if not self._token:
            raise GitHubError(
                "no-token",
                f"There is no token to {call.what}: set `GITHUB_TOKEN: ${{{{ github.token }}}}` "
                "in the `env:` of the step",
            )
        try:
            with self._session.request(
                call.method,
                url,
                params=dict(query),
                json=call.body,
                auth=self._authorize,
                timeout=(self.limits.connect, self.limits.read),
                allow_redirects=False,
                stream=True,
            ) as response:
                return self._read(response)
        except (requests.exceptions.RequestException, HTTPError) as error:
            return _lost(error)

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token. Being set, this also keeps .netrc out."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _read(self, response: requests.Response) -> Reply | Lost:
        started, parts, size = self.clock.monotonic(), [], 0
        # read1 hands over what has come; requests' own reading waits for whole blocks of a dripping reply.
        while part := response.raw.read1(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if size > self.limits.reply_bytes:
                reason = f"the reply is larger than {self.limits.reply_bytes} bytes"
                return Lost(reason, sent=True, hopeless=True)
            # The time-out of a socket starts anew with each byte; this one does not.
            if self.clock.monotonic() - started > 2 * self.limits.read:
                return Lost("the reply came too slowly", sent=True)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status_code, headers, b"".join(parts))


def _checked_url(api_url: str) -> str:
    parts = urlsplit(api_url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    safe = parts.scheme == "https" or (parts.scheme == "http" and local)
    if not parts.hostname or parts.username or not safe:
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


def _lost(error: Exception) -> Lost:
    if isinstance(error, requests.exceptions.SSLError):
        return Lost(f"the TLS connection failed ({plain(str(error), 120)})", sent=False, hopeless=True)
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    never_sent = isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(
        reason, NewConnectionError
    )
    if isinstance(error, requests.exceptions.Timeout) or "timed out" in str(error).lower():
        return Lost("no reply came in time", sent=not never_sent)
    return Lost(
        "no connection could be made" if never_sent else "the connection was cut", sent=not never_sent
    )


def _parsed(call: ApiCall, reply: Reply, shape: TypeAdapter[_T]) -> _T:
    try:
        return shape.validate_json(reply.body)
    except ValidationError as error:
        what = f"The reply to the request to {call.what} is not from GitHub's API"
        raise GitHubError("unexpected", f"{what}: check GITHUB_API_URL and proxy") from error
