"""Files behind `https://`: one request a file, resumed by Range and If-Range."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import requests
from urllib3.exceptions import HTTPError, LocationParseError

from validator.remote.store import (
    PIECE,
    AbsentError,
    Holding,
    RefusedError,
    StoredFile,
    StoreError,
    Stream,
    TransientError,
    UnusableError,
)

_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)\Z")
_AGAIN = frozenset({408, 425, 429, *range(500, 600)})
_CUT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, HTTPError)


@dataclass(frozen=True)
class WebStore:
    """Files of web servers. `headers` go with every request; `.netrc` and proxies count as they do elsewhere.

    `connect` and `silence`: seconds until a server must answer, and must send the next bytes.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect: float = 15
    silence: float = 60

    def holding(self, place: str) -> Holding:
        """One file: the web has no folders. Nothing is asked: a signed address may allow a GET alone."""
        try:
            name = unquote(urlsplit(place).path.rsplit("/", 1)[-1])
        except ValueError:
            raise UnusableError("is no URL; correct it") from None
        if not name:
            raise UnusableError("names a folder, which the web does not list; name a file, or another store")
        return Holding((StoredFile(place, name),))

    def open(self, file: StoredFile, start: int, version: str) -> Stream:
        """GET a file, or the rest of it where the server still has the version that its start is from."""
        resumed = start > 0 and version != ""
        headers = {"Range": f"bytes={start}-", "If-Range": version} if resumed else {}
        answer = self.get(file.place, headers)
        if answer.status_code == requests.codes.requested_range_not_satisfiable:
            answer.close()
            return self.open(file, 0, "")
        begins, size = _extent(answer)
        if begins not in (0, start):
            answer.close()
            raise TransientError("answered with another part of the file than was asked for")
        encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
        return Stream(begins, None if encoded else size, _version(answer), _pieces(answer))

    def is_current(self, file: StoredFile, version: str) -> bool:
        """Ask for the file unless it is the same: 304."""
        if not version:
            return False
        condition = "If-None-Match" if version.startswith('"') else "If-Modified-Since"
        with self.get(file.place, {condition: version}) as answer:
            return bool(answer.status_code == requests.codes.not_modified)

    def get(self, place: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """The answer to a GET whose body is not read yet; an error status is raised as its error."""
        every = {"Accept-Encoding": "identity", **self.headers, **(headers or {})}
        try:
            answer = requests.get(place, headers=every, stream=True, timeout=(self.connect, self.silence))
        except requests.exceptions.SSLError as error:
            raise _tls(str(error)) from None
        except _CUT as error:
            raise TransientError(_why(error)) from None
        except (requests.RequestException, LocationParseError, ValueError):  # no URL, too many redirects
            raise UnusableError("is no URL that leads to a file; correct it") from None
        _check_status(answer)
        return answer


def _tls(text: str) -> StoreError:
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return UnusableError(
            "has a certificate that is not trusted; name its authority in REQUESTS_CA_BUNDLE"
        )
    if "EOF" in text:
        return TransientError("breaks the connection")
    return UnusableError("has a server that speaks no TLS; correct the address")


def _check_status(answer: requests.Response) -> None:
    status = answer.status_code
    if status < 400 or status == requests.codes.requested_range_not_satisfiable:
        return
    answer.close()
    if status in (404, 410):
        raise AbsentError(f"answers {status}: there is no such file")
    if status in (401, 403, 407):
        raise RefusedError(f"answers {status}: access is refused")
    if status in _AGAIN:
        raise TransientError(f"answers {status}")
    raise UnusableError(f"answers {status}; correct the address")


def _extent(answer: requests.Response) -> tuple[int, int | None]:
    """The first byte that comes, and the size of the whole file."""
    if answer.status_code == requests.codes.partial_content:
        match = _RANGE.match(answer.headers.get("Content-Range", ""))
        if match is None:
            raise TransientError("answered with a part of the file, and does not say which")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = answer.headers.get("Content-Length", "")
    return 0, int(length) if length.isascii() and length.isdigit() else None


def _version(answer: requests.Response) -> str:
    """A strong ETag, or when the file was changed: what If-Range takes."""
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    with contextlib.closing(answer):
        try:
            while piece := answer.raw.read1(PIECE):  # what is there: a slow server must not hold the clock
                yield piece
        except (*_CUT, requests.RequestException) as error:
            raise TransientError(_why(error)) from None


def _why(error: Exception) -> str:
    """What happened to a connection, without the address that the library's words repeat."""
    text = str(error)
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return "does not answer in time"
    if "Name or service not known" in text or "getaddrinfo" in text or "resolve" in text:
        return "has a host that cannot be resolved"
    if "refused" in text:
        return "has a host that refuses connections"
    if isinstance(error, requests.exceptions.ProxyError):
        return "cannot be reached through the proxy"
    return "breaks the connection"
