"""A GitLab on 127.0.0.1 with one project and its merge requests: what python-gitlab asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TOKEN = "glpat-project"
BOT, STRANGER = 50, 60
_NOTES = "/api/v4/projects/12/merge_requests/7/notes"


@dataclass
class FakeGitLab:
    """Merge request 7 of project 12. `status` is what writing answers instead, where it is set."""

    server: HTTPServer
    head: str
    notes: list[dict[str, Any]] = field(default_factory=list)
    status: int = 0
    writes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.expect_request("/api/v4/user").respond_with_handler(self._user)
        self.server.expect_request("/api/v4/projects/12/merge_requests/7").respond_with_handler(self._request)
        self.server.expect_request(_NOTES).respond_with_handler(self._list)
        for number in range(1, 500):
            self.server.expect_request(f"{_NOTES}/{number}").respond_with_handler(self._one)

    @property
    def url(self) -> str:
        return self.server.url_for("").rstrip("/")

    def add(self, body: str, author: int = BOT, **more: Any) -> dict[str, Any]:
        """Write a note, as whoever `author` is."""
        note = {"id": len(self.notes) + 1, "body": body, "author": {"id": author}, "system": False, **more}
        self.notes.append(note)
        return note

    def _user(self, request: Request) -> Response:
        return self._answer(request, {"id": BOT, "username": "project_12_bot"})

    def _request(self, request: Request) -> Response:
        web = f"{self.url}/acme/widget/-/merge_requests/7"
        return self._answer(
            request, {"id": 700, "iid": 7, "project_id": 12, "sha": self.head, "web_url": web}
        )

    def _list(self, request: Request) -> Response:
        if request.method == "POST":
            return self._write(request, lambda: self.add(request.get_json()["body"]), 201)
        page, size = int(request.args.get("page", 1)), int(request.args.get("per_page", 20))
        part = self.notes[(page - 1) * size : page * size]
        answer = self._answer(request, part)
        if page * size < len(self.notes):
            answer.headers["Link"] = f'<{self.url}{_NOTES}?page={page + 1}&per_page={size}>; rel="next"'
        return answer

    def _one(self, request: Request) -> Response:
        number = int(request.path.rpartition("/")[2])
        note = next((note for note in self.notes if note["id"] == number), None)
        if note is None:
            return Response('{"message": "404 Not found"}', 404, content_type="application/json")
        if request.method == "PUT":
            return self._write(request, lambda: note.update(body=request.get_json()["body"]) or note, 200)
        return self._write(request, lambda: self.notes.remove(note), 204)

    def _write(self, request: Request, change: Any, status: int) -> Response:
        if self.status:
            return Response('{"message": "403 Forbidden"}', self.status, content_type="application/json")
        self.writes.append(f"{request.method} {request.path}")
        return self._answer(request, change(), status)

    def _answer(self, request: Request, content: Any, status: int = 200) -> Response:
        if request.headers.get("PRIVATE-TOKEN") != TOKEN:
            return Response('{"message": "401 Unauthorized"}', 401, content_type="application/json")
        return Response(json.dumps(content) if status != 204 else "", status, content_type="application/json")
