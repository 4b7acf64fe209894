"""A GitHub on 127.0.0.1: stateful, scriptable, and strict.

Every request and every reply is validated against GitHub's own OpenAPI description (`openapi.json`, see
`cut_openapi.py`); what does not conform is listed in `violations`, and whoever uses the fake asserts that
there are none. In a test:

    with FakeGitHub() as github:
        github.pulls.append(pull(3, head_sha=SHA))
        ... github.url ...

As a process of its own, for tests that run the action from outside:

    python -m tests.github.fake --port 0 --state state.json

prints the port, starts from `state.json` if it exists, and rewrites the file after each request.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from openapi_core import OpenAPI
from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse
from openapi_core.exceptions import OpenAPIError
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

Json = dict[str, Any]
DESCRIPTION: Json = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
EXAMPLES = {name: example["value"] for name, example in DESCRIPTION["components"]["examples"].items()}
REPOSITORY = "acme/widget"
TOKEN = "ghs_workflow"
BODY_LIMIT = 65_536
#: Where GitHub does not follow its description: a run of a deleted fork has no head repository.
DEVIATIONS = ("head_repository: None",)
#: What a workflow may do that says `permissions: write-all`.
ALL_WRITE = dict.fromkeys(("actions", "checks", "contents", "issues", "pull_requests", "statuses"), "write")

_REPO = "/repos/<owner>/<repo>"
_ROUTES = (
    ("GET", "/user", "user"),
    ("GET", f"{_REPO}/pulls", "list_pulls"),
    ("GET", f"{_REPO}/pulls/<int:number>", "get_pull"),
    ("GET", f"{_REPO}/actions/runs/<int:run>", "get_run"),
    ("GET", f"{_REPO}/issues/<int:number>/comments", "list_comments"),
    ("POST", f"{_REPO}/issues/<int:number>/comments", "create_comment"),
    ("PATCH", f"{_REPO}/issues/comments/<int:comment>", "update_comment"),
    ("DELETE", f"{_REPO}/issues/comments/<int:comment>", "delete_comment"),
    ("GET", f"{_REPO}/issues", "list_issues"),
    ("POST", f"{_REPO}/issues", "create_issue"),
    ("PATCH", f"{_REPO}/issues/<int:number>", "update_issue"),
    ("POST", f"{_REPO}/statuses/<sha>", "create_status"),
    ("POST", f"{_REPO}/check-runs", "create_check"),
    ("PATCH", f"{_REPO}/check-runs/<int:check>", "update_check"),
    ("GET", f"{_REPO}/commits/<ref>/check-runs", "list_checks"),
)
#: Any one of these is enough. Reading a public repository needs none.
_NEEDS = {
    "list_pulls": ("pull_requests=read",),
    "get_pull": ("pull_requests=read",),
    "get_run": ("actions=read",),
    "list_comments": ("issues=read", "pull_requests=read"),
    "create_comment": ("issues=write", "pull_requests=write"),
    "update_comment": ("issues=write", "pull_requests=write"),
    "delete_comment": ("issues=write", "pull_requests=write"),
    "list_issues": ("issues=read",),
    "create_issue": ("issues=write",),
    "update_issue": ("issues=write",),
    "create_status": ("statuses=write",),
    "create_check": ("checks=write",),
    "update_check": ("checks=write",),
    "list_checks": ("checks=read",),
}


def pull(
    number: int, head_sha: str, branch: str = "dependabot/pip/keras-3.5.0", repo: str = REPOSITORY
) -> Json:
    """An open pull request from `branch` of `repo`."""
    return {"number": number, "head_sha": head_sha, "branch": branch, "repo": repo, "state": "open"}


def run(
    identity: int, head_sha: str, branch: str, repo: str = REPOSITORY, event: str = "pull_request"
) -> Json:
    """A finished workflow run for `branch` of `repo`."""
    return {
        "id": identity,
        "head_sha": head_sha,
        "branch": branch,
        "repo": repo,
        "event": event,
        "pull_requests": [],
    }


def comment(identity: int, number: int, body: str, login: str = "github-actions[bot]") -> Json:
    """A comment on pull request `number`."""
    return {"id": identity, "number": number, "body": body, "login": login}


class _RefusalError(Exception):
    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.body = {"message": message, "documentation_url": "https://docs.github.com/rest", **more}


class FakeGitHub:
    """The server and everything it knows. The lists may be filled and read at any time.

    `tokens` maps a token to what GitHub knows about it: `login`, `kind` (`installation` or `user`),
    `permissions`, `expired`. `faults` are consumed in order by the requests they match:

    - `match`: a pattern for "METHOD /path"; `times`: how often (1); `skip`: matches let through before (0)
    - `do`: `reply` with `status`, `message` (or `json`), `headers` · `cut` the reply in its body · `drop` it
      whole · `slow` by `seconds` · `drip` a byte every `seconds` · `garbage`, no JSON · `redirect` to `to`
      with `status` · `meet`: the reply waits until `parties` requests are in
    - `done`: whether the operation is carried out before (default: for cut, drip, slow, meet and garbage)
    """

    def __init__(self, port: int = 0, prefix: str = "", state_file: Path | None = None) -> None:
        self.prefix, self.state_file = prefix, state_file
        self.reset()
        self._lock = threading.RLock()
        self._api = _description(prefix)
        rules = [Rule(prefix + path, methods=[method], endpoint=name) for method, path, name in _ROUTES]
        self._urls = Map(rules, strict_slashes=False)
        self._server = HTTPServer(host="127.0.0.1", port=port, threaded=True)
        self._server.expect_request(re.compile(".*")).respond_with_handler(self._handle)
        if state_file is not None and state_file.exists():
            self._load(state_file)

    def reset(self) -> None:
        """Forget everything: an empty public repository, and a workflow that may do anything."""
        self.private = False
        self.tokens: dict[str, Json] = {TOKEN: _installation(ALL_WRITE)}
        self.pulls: list[Json] = []
        self.runs: list[Json] = []
        self.comments: list[Json] = []
        self.issues: list[Json] = []
        self.statuses: list[Json] = []
        self.checks: list[Json] = []
        self.faults: list[Json] = []
        self.requests: list[Json] = []
        self.violations: list[str] = []
        self._barriers: dict[int, threading.Barrier] = {}

    def __enter__(self) -> FakeGitHub:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.clear()
        self._server.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    @property
    def url(self) -> str:
        """What GITHUB_API_URL is set to."""
        return f"http://127.0.0.1:{self._server.port}{self.prefix}"

    def allow(self, **permissions: str) -> None:
        """Give the workflow's token these permissions and no others."""
        self.tokens[TOKEN] = _installation(permissions)

    def writes(self) -> list[str]:
        """Every request that would change something, as "METHOD /path", in order."""
        return [f"{r['method']} {r['path']}" for r in self.requests if r["method"] != "GET"]

    # -- the state as a file ---------------------------------------------

    _KEPT = (
        "private",
        "tokens",
        "pulls",
        "runs",
        "comments",
        "issues",
        "statuses",
        "checks",
        "faults",
        "requests",
        "violations",
    )

    def _load(self, path: Path) -> None:
        state = json.loads(path.read_text(encoding="utf-8"))
        unknown = state.keys() - set(self._KEPT)
        if unknown:
            raise SystemExit(
                f"{path} has the unknown keys {sorted(unknown)}; known are {', '.join(self._KEPT)}"
            )
        for name, value in state.items():
            setattr(self, name, value)

    def save(self) -> None:
        """Write the state beside and rename, so that a reader never sees half of it."""
        if self.state_file is None:
            return
        beside = self.state_file.with_suffix(".tmp")
        state = {name: getattr(self, name) for name in self._KEPT}
        beside.write_text(json.dumps(state, indent=1), encoding="utf-8")
        os.replace(beside, self.state_file)

    # -- one request ---------------------------------------------

    def _handle(self, request: Request) -> Response:
        request.get_data()
        with self._lock:
            fault = self._fault(request)
            done = fault.get("done", fault.get("do") in (None, "cut", "drip", "slow", "meet", "garbage"))
            response = self._answer(request) if done else Response(status=500)
        response = self._spoilt(request, response, fault)
        with self._lock:
            self.requests.append(
                {
                    "method": request.method,
                    "path": request.path,
                    "query": request.query_string.decode(),
                    "authorized": "Authorization" in request.headers,
                    "status": response.status_code,
                    "fault": fault.get("do"),
                }
            )
            self.save()
        return response

    def _answer(self, request: Request) -> Response:
        self._check_request(request)
        try:
            name, arguments = self._urls.bind("github").match(request.path, request.method)
            login = self._authorize(request, name)
            if arguments and f"{arguments.pop('owner')}/{arguments.pop('repo')}" != REPOSITORY:
                raise _RefusalError(404, "Not Found")
            response: Response = getattr(self, f"_{name}")(request, login, **arguments)
        except HTTPException as error:
            response = _json({"message": "Not Found"}, error.code or 404)
        except _RefusalError as refusal:
            response = _json(refusal.body, refusal.status, refusal.headers)
        self._check_response(request, response)
        return response

    def _authorize(self, request: Request, name: str) -> str:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            if request.method == "GET" and name != "user" and not self.private:
                return ""
            raise _RefusalError(401, "Requires authentication")
        token = self.tokens.get(secret)
        if scheme != "Bearer" or token is None or token.get("expired"):
            raise _RefusalError(401, "Bad credentials")
        if name == "user":
            if token["kind"] != "user":
                raise _RefusalError(403, "Resource not accessible by integration")
            return str(token["login"])
        needs = _NEEDS[name]
        public_read = request.method == "GET" and not self.private
        if not public_read and not any(_grants(token["permissions"], need) for need in needs):
            who = "personal access token" if token["kind"] == "user" else "integration"
            accepted = {"X-Accepted-GitHub-Permissions": "; ".join(needs)}
            raise _RefusalError(403, f"Resource not accessible by {who}", accepted)
        return str(token["login"])

    def _check_request(self, request: Request) -> None:
        for header, value in (
            ("Accept", "application/vnd.github+json"),
            ("X-GitHub-Api-Version", "2022-11-28"),
        ):
            if request.headers.get(header) != value:
                self._violation(request, f"{header} is {request.headers.get(header)!r}")
        if "python-requests" in request.headers.get("User-Agent", "python-requests"):
            self._violation(request, "User-Agent does not name the tool")
        try:
            self._api.validate_request(WerkzeugOpenAPIRequest(request))
        except OpenAPIError as error:
            self._violation(request, f"request: {_why(error)}")

    def _check_response(self, request: Request, response: Response) -> None:
        path = next((p for p in DESCRIPTION["paths"] if _matches(self.prefix + p, request.path)), None)
        if path is None:
            return
        documented = DESCRIPTION["paths"][path].get(request.method.lower(), {}).get("responses", {})
        if str(response.status_code) not in documented and response.status_code >= 400:
            return  # GitHub documents few of its errors
        try:
            self._api.validate_response(WerkzeugOpenAPIRequest(request), WerkzeugOpenAPIResponse(response))
        except OpenAPIError as error:
            self._violation(request, f"reply: {_why(error)}")

    def _violation(self, request: Request, text: str) -> None:
        if not any(known in text for known in DEVIATIONS):
            self.violations.append(f"{request.method} {request.path}: {text[:2000]}")

    # -- scripted faults ---------------------------------------------

    def _fault(self, request: Request) -> Json:
        for fault in self.faults:
            if fault.get("times", 1) < 1:
                continue
            if not re.search(fault["match"], f"{request.method} {request.path}"):
                continue
            if fault.get("skip", 0) > 0:
                fault["skip"] -= 1
                continue
            fault["times"] = fault.get("times", 1) - 1
            return fault
        return {}

    def _spoilt(self, request: Request, response: Response, fault: Json) -> Response:
        kind = fault.get("do")
        if kind == "reply":
            body = fault.get("json") or {"message": fault.get("message", "scripted"), **fault.get("body", {})}
            return _json(body, fault["status"], fault.get("headers", {}))
        if kind == "redirect":
            return _json({"message": "Moved"}, fault.get("status", 307), {"Location": fault["to"]})
        if kind == "garbage":
            return Response("<html>Welcome to the hotel</html>", 200, content_type="text/html")
        if kind == "slow":
            time.sleep(fault["seconds"])
        if kind == "meet":
            with self._lock:
                barrier = self._barriers.setdefault(id(fault), threading.Barrier(fault["parties"]))
            barrier.wait(20)
        if kind in ("cut", "drop", "drip"):
            return _broken(request, response, fault)
        return response

    # -- what GitHub does ---------------------------------------------

    def _user(self, request: Request, login: str) -> Response:
        example = EXAMPLES["private-user-response-with-public-and-private-profile-information"]
        return _json({**example, "login": login, "user_view_type": "private"})

    def _list_pulls(self, request: Request, login: str) -> Response:
        state, head = request.args.get("state", "open"), request.args.get("head", "")
        owner, _, branch = head.partition(":")
        found = [
            item
            for item in self.pulls
            if state in (item["state"], "all")
            and (not head or (item["branch"] == branch and str(item["repo"]).split("/")[0] == owner))
        ]
        return self._page(request, [self._pull_body(item, simple=True) for item in found])

    def _get_pull(self, request: Request, login: str, number: int) -> Response:
        return _json(self._pull_body(_find(self.pulls, "number", number), simple=False))

    def _get_run(self, request: Request, login: str, run: int) -> Response:
        found = _find(self.runs, "id", run)
        body = copy.deepcopy(EXAMPLES["workflow-run"])
        body.update(
            id=found["id"], head_sha=found["head_sha"], head_branch=found["branch"], event=found["event"]
        )
        body["pull_requests"] = [_linked(self.pulls, number) for number in found["pull_requests"]]
        if found["repo"] is None:
            body["head_repository"] = None
        else:
            body["head_repository"]["full_name"] = found["repo"]
            body["head_repository"]["owner"]["login"] = str(found["repo"]).split("/")[0]
        return _json(body)

    def _list_comments(self, request: Request, login: str, number: int) -> Response:
        _find(self.pulls, "number", number)
        found = sorted((c for c in self.comments if c["number"] == number), key=lambda c: int(c["id"]))
        return self._page(request, [self._comment_body(item) for item in found])

    def _create_comment(self, request: Request, login: str, number: int) -> Response:
        if _find(self.pulls, "number", number).get("locked"):
            raise _RefusalError(403, "Unable to create comment because issue is locked.")
        made = comment(self._next(self.comments), number, _text(request), login)
        self.comments.append(made)
        body = self._comment_body(made)
        return _json(body, 201, {"Location": body["url"]})

    def _update_comment(self, request: Request, login: str, comment: int) -> Response:
        found = _find(self.comments, "id", comment)
        found["body"] = _text(request)
        return _json(self._comment_body(found))

    def _delete_comment(self, request: Request, login: str, comment: int) -> Response:
        self.comments.remove(_find(self.comments, "id", comment))
        return Response(status=204)

    def _list_issues(self, request: Request, login: str) -> Response:
        state, creator = request.args.get("state", "open"), request.args.get("creator")
        found = [i for i in self.issues if state in (i["state"], "all") and creator in (None, i["login"])]
        return self._page(request, [_issue_body(item) for item in found])

    def _create_issue(self, request: Request, login: str) -> Response:
        sent = request.get_json()
        number = max([0, *(int(i["number"]) for i in [*self.issues, *self.pulls])]) + 1
        made = {
            "number": number,
            "title": sent["title"],
            "body": _text(request),
            "login": login,
            "state": "open",
        }
        self.issues.append(made)
        body = _issue_body(made)
        return _json(body, 201, {"Location": body["url"]})

    def _update_issue(self, request: Request, login: str, number: int) -> Response:
        found = _find(self.issues, "number", number)
        found.update(request.get_json())
        return _json(_issue_body(found))

    def _create_status(self, request: Request, login: str, sha: str) -> Response:
        sent = request.get_json()
        if len(sent.get("description") or "") > 140:
            raise _RefusalError(422, "Validation Failed", errors=[{"code": "custom", "field": "description"}])
        self.statuses.append({"sha": sha, **sent})
        location = f"{self.url}/repos/{REPOSITORY}/statuses/{sha}"
        return _json({**EXAMPLES["status"], **sent, "url": location}, 201, {"Location": location})

    def _create_check(self, request: Request, login: str) -> Response:
        made = {"id": self._next(self.checks), **request.get_json()}
        self.checks.append(made)
        body = _check_body(made)
        return _json(body, 201)

    def _update_check(self, request: Request, login: str, check: int) -> Response:
        found, sent = _find(self.checks, "id", check), request.get_json()
        found["output"]["annotations"].extend(sent["output"].get("annotations", []))
        return _json(_check_body(found))

    def _list_checks(self, request: Request, login: str, ref: str) -> Response:
        name = request.args.get("check_name")
        found = [c for c in self.checks if c["head_sha"] == ref and name in (None, c["name"])]
        return _json({"total_count": len(found), "check_runs": [_check_body(item) for item in found]})

    # -- bodies ---------------------------------------------

    def _page(self, request: Request, items: list[Json]) -> Response:
        size = min(int(request.args.get("per_page", 30)), 100)
        number = int(request.args.get("page", 1))
        headers = {}
        if number * size < len(items):
            # Whatever stands in the link, clients must follow it as it is.
            following = f"{self.url}{request.path[len(self.prefix) :]}?{request.query_string.decode()}"
            following = re.sub(r"([?&])page=\d+&?", r"\1", following).rstrip("&")
            last = -(-len(items) // size)
            headers["Link"] = (
                f'<{following}&page={number + 1}>; rel="next", <{following}&page={last}>; rel="last"'
            )
        return _json(items[(number - 1) * size : number * size], 200, headers)

    def _pull_body(self, item: Json, simple: bool) -> Json:
        examples = EXAMPLES["pull-request-simple-items"][0] if simple else EXAMPLES["pull-request"]
        body: Json = copy.deepcopy(examples)
        body.update(number=item["number"], state=item["state"], locked=bool(item.get("locked")))
        body["head"].update(sha=item["head_sha"], ref=item["branch"])
        body["base"]["repo"]["full_name"] = REPOSITORY
        body["requested_teams"] = []  # the example's lacks what its own description requires
        if item["repo"] is None:
            body["head"]["repo"] = None
        else:
            body["head"]["repo"]["full_name"] = item["repo"]
        return body

    def _comment_body(self, item: Json) -> Json:
        body: Json = copy.deepcopy(EXAMPLES["issue-comment"])
        body["user"]["login"] = item["login"]
        url = f"{self.url}/repos/{REPOSITORY}/issues/comments/{item['id']}"
        page = f"https://github.com/{REPOSITORY}/pull/{item['number']}#issuecomment-{item['id']}"
        body.update(id=item["id"], body=item["body"], url=url, html_url=page)
        return body

    def _next(self, items: list[Json]) -> int:
        return max([1000, *(int(item["id"]) for item in items)]) + 1


@lru_cache
def _description(prefix: str) -> OpenAPI:
    return OpenAPI.from_dict({**DESCRIPTION, "servers": [{"url": prefix or "/"}]})


def _installation(permissions: dict[str, str]) -> Json:
    return {"login": "github-actions[bot]", "kind": "installation", "permissions": dict(permissions)}


def _grants(permissions: dict[str, str], need: str) -> bool:
    name, _, level = need.partition("=")
    return permissions.get(name) in (level, "write")


def _why(error: OpenAPIError) -> str:
    """Which part of a body does not follow the description, instead of the whole body."""
    found = getattr(error.__cause__, "schema_errors", ())
    details = [f"{'/'.join(map(str, item.absolute_path))}: {item.message[:300]}" for item in found]
    return "; ".join(details) or f"{error} {error.__cause__}"


def _find(items: list[Json], key: str, value: int) -> Json:
    for item in items:
        if item[key] == value:
            return item
    raise _RefusalError(404, "Not Found")


def _matches(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path) is not None


def _text(request: Request) -> str:
    """The body of a comment or issue, under GitHub's limit."""
    text = str(request.get_json()["body"])
    if len(text) > BODY_LIMIT:
        error = {
            "resource": "IssueComment",
            "code": "unprocessable",
            "field": "data",
            "message": "Body is too long (maximum is 65536 characters)",
        }
        raise _RefusalError(422, "Validation Failed", errors=[error])
    return text


def _issue_body(item: Json) -> Json:
    body: Json = copy.deepcopy(EXAMPLES["issue"])
    body.pop("pull_request", None)
    if item.get("pull"):
        body["pull_request"] = {"url": "", "html_url": "", "diff_url": "", "patch_url": ""}
    page = f"https://github.com/{REPOSITORY}/issues/{item['number']}"
    body.update(
        number=item["number"], title=item["title"], body=item["body"], state=item["state"], html_url=page
    )
    body["user"]["login"] = item["login"]
    return body


def _check_body(item: Json) -> Json:
    body: Json = copy.deepcopy(EXAMPLES["check-run"])
    page = f"https://github.com/{REPOSITORY}/runs/{item['id']}"
    body.update(
        id=item["id"],
        name=item["name"],
        head_sha=item["head_sha"],
        external_id=item.get("external_id"),
        html_url=page,
    )
    return body


def _linked(pulls: list[Json], number: int) -> Json:
    """A pull request as a workflow run lists it."""
    item = _find(pulls, "number", number)
    repository = {"id": 1, "url": "https://api.github.com/repos/x/y", "name": "y"}
    side = {"ref": item["branch"], "sha": item["head_sha"], "repo": repository}
    return {"id": number, "number": number, "url": "https://api.github.com/x", "head": side, "base": side}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json; charset=utf-8")


def _broken(request: Request, response: Response, fault: Json) -> Response:
    """The reply promises its whole length; the connection ends before (or takes its time)."""
    content = response.get_data()
    connection: socket.socket = request.environ["werkzeug.socket"]

    def parts() -> Iterator[bytes]:
        if fault["do"] == "drip":
            for start in range(len(content)):
                yield content[start : start + 1]
                time.sleep(fault["seconds"])
            return
        yield content[: len(content) // 2]
        connection.shutdown(socket.SHUT_RDWR)
        yield content[len(content) // 2 :]

    if fault["do"] == "drop":
        connection.shutdown(socket.SHUT_RDWR)
    headers = {**dict(response.headers), "Content-Length": str(len(content))}
    return Response(parts(), response.status_code, headers)


def main() -> None:
    """Serve until killed. The first line on stdout is the port."""
    parser = argparse.ArgumentParser(description="A fake GitHub for tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--prefix", default="", help="/api/v3 for a GitHub Enterprise Server")
    parser.add_argument("--state", type=Path, help="JSON: read at the start, rewritten after each request")
    arguments = parser.parse_args()
    with FakeGitHub(arguments.port, arguments.prefix, arguments.state) as github:
        github.save()
        print(github.port, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
