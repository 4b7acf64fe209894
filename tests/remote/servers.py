"""Real servers of the tests: a web server with ranges and faults, and the paths of the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Fault:
    """What goes wrong with the next `times` answers that have a body.

    `cut`: bytes after which the connection breaks; `status`: an error instead; `announced`: bytes that the
    Content-Length is too large by; `slow`: seconds before every kilobyte; `etag`, `ranges`: what there is.
    """

    times: int = 1
    cut: int | None = None
    status: int | None = None
    announced: int = 0
    slow: float = 0.0
    etag: bool = True
    ranges: bool = True


@dataclass
class Request:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Web:
    """A running server: path → content, what goes wrong, and what was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    login: str = ""

    def fault(self) -> Fault:
        """What happens to this answer."""
        for fault in self.faults:
            if fault.times > 0:
                fault.times -= 1
                return fault
        return Fault()


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with ranges, ETags and conditions, as web servers do."""

    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on stderr."""

    def note(self) -> None:
        """Keep the request for the test."""
        self.web.requests.append(Request(self.command, self.path, dict(self.headers)))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.note()
        fault = self.web.fault()
        content = self.web.files.get(unquote(urlsplit(self.path).path))
        if self.web.login and self.headers.get("Authorization") != self.web.login:
            self.fail(401)
        elif fault.status or content is None:
            self.fail(fault.status or 404)
        else:
            self.give(content, fault)

    def fail(self, status: int) -> None:
        """An error without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def give(self, content: bytes, fault: Fault, **headers: str) -> None:
        """The content, the rest of it, or 304."""
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        if fault.etag and self.headers.get("If-None-Match") == etag:
            self.send_response(304)
            self.end_headers()
            return
        wanted = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end, status = 0, len(content), 200
        if wanted and fault.ranges and self.headers.get("If-Range", etag) == etag:
            start, status = int(wanted[1]), 206
            end = int(wanted[2]) + 1 if wanted[2] else end
        if status == 206 and start >= len(content):
            self.fail(416)
            return
        body = content[start:end]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{start + len(body) - 1}/{len(content)}")
        if fault.etag:
            self.send_header("ETag", etag)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) + fault.announced))
        self.end_headers()
        if self.command != "HEAD":
            self.send(body, fault)

    def send(self, body: bytes, fault: Fault) -> None:
        """The body, or a part of it."""
        for at in range(0, len(body), 1024):
            if fault.cut is not None and at >= fault.cut:
                break
            time.sleep(fault.slow)
            self.wfile.write(body[at : at + 1024])
        if fault.cut is not None or fault.announced:
            self.close_connection = True


@dataclass
class Hub(Web):
    """A repository of the Hub: `files` by path in it. `token`: what a request must bring, if anything."""

    repository: str = "acme/digits"
    commit: str = "0123456789abcdef0123456789abcdef01234567"
    token: str = ""


class HubHandler(Handler):
    """The paths of the Hub's API that `huggingface_hub` asks: repository, tree, paths-info, resolve."""

    web: Hub

    def do_GET(self) -> None:
        self.note()
        hub, path = self.web, unquote(urlsplit(self.path).path)
        if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
            self.hidden(401)
        elif path.startswith(f"/{hub.repository}/resolve/"):
            name = path.removeprefix(f"/{hub.repository}/resolve/").partition("/")[2]
            if name not in hub.files:
                self.hidden(404, "EntryNotFound")
            else:
                self.give(hub.files[name], hub.fault(), X_Repo_Commit=hub.commit)
        elif path.startswith(f"/api/models/{hub.repository}/tree/"):
            self.answer(self.tree(path.split("/tree/")[1].partition("/")[2]))
        elif path.startswith(f"/api/models/{hub.repository}"):
            self.answer({"id": hub.repository, "sha": hub.commit, "siblings": [], "tags": []})
        else:
            self.hidden(404, "RepoNotFound")

    def do_POST(self) -> None:
        self.note()
        length = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(length).decode()
        if self.web.token and self.headers.get("Authorization") != f"Bearer {self.web.token}":
            self.hidden(401)
            return
        paths = json.loads(text)["paths"] if text.startswith("{") else _form(text)
        found = [entry for path in paths for entry in self.tree("") if entry["path"] == path]
        self.answer(found)

    def tree(self, below: str) -> list[dict[str, Any]]:
        """Every file and folder."""
        inside = [name for name in sorted(self.web.files) if name.startswith(below)]
        parents = {name.rpartition("/")[0] for name in inside} - {"", below}
        folders = [
            {"type": "directory", "path": name, "oid": "0" * 40, "size": 0} for name in sorted(parents)
        ]
        return folders + [
            {
                "type": "file",
                "path": name,
                "size": len(self.web.files[name]),
                "oid": hashlib.sha256(self.web.files[name]).hexdigest()[:40],
            }
            for name in inside
        ]

    def answer(self, value: object) -> None:
        """JSON."""
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def hidden(self, status: int, code: str = "") -> None:
        """An error as the Hub has it."""
        self.send_response(status)
        self.send_header("X-Error-Code", code or "RepoNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()


def _form(text: str) -> list[str]:
    pairs = (part.partition("=") for part in text.split("&"))
    return [unquote(value.replace("+", " ")) for name, _, value in pairs if name == "paths"]


@contextmanager
def serving(web: Web, tls: ssl.SSLContext | None = None) -> Iterator[Web]:
    """Run a server on a free port."""
    base = HubHandler if isinstance(web, Hub) else Handler
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (base,), {"web": web}))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
