"""The fake itself: that it is strict, and that it runs as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import requests

from tests.github.cases import HEAD
from tests.github.fake import DESCRIPTION, REPOSITORY, TOKEN, FakeGitHub, pull

ROOT = Path(__file__).parents[2]
HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "Accept": "application/vnd.github+json",
    "X-GitHub-Api-Version": "2022-11-28",
    "User-Agent": "test",
}


def test_what_does_not_follow_the_description_is_a_violation() -> None:
    with FakeGitHub() as github:
        comments = f"{github.url}/repos/{REPOSITORY}/issues/3/comments"
        github.pulls = [pull(3, HEAD)]
        assert requests.post(comments, json={"body": "x"}, headers=HEADERS, timeout=9).status_code == 201
        assert github.violations == []
        requests.post(comments, json={"body": 7}, headers=HEADERS, timeout=9)
        requests.get(comments, headers={**HEADERS, "Accept": "text/html"}, timeout=9)
        requests.get(comments, headers={**HEADERS, "User-Agent": "python-requests/2"}, timeout=9)
        requests.get(f"{github.url}/nowhere", headers=HEADERS, timeout=9)
        assert len(github.violations) == 4


def test_it_does_what_github_does() -> None:
    with FakeGitHub() as github:
        base = f"{github.url}/repos/{REPOSITORY}"
        github.pulls = [pull(3, HEAD)]
        anonymous = {name: value for name, value in HEADERS.items() if name != "Authorization"}
        assert requests.get(f"{base}/pulls/3", headers=anonymous, timeout=9).status_code == 200
        body = {"body": "x"}
        created = requests.post(f"{base}/issues/3/comments", json=body, headers=anonymous, timeout=9)
        assert (created.status_code, created.json()["message"]) == (401, "Requires authentication")
        long = requests.post(
            f"{base}/issues/3/comments", json={"body": "x" * 65_537}, headers=HEADERS, timeout=9
        )
        assert long.status_code == 422
        assert requests.get(f"{github.url}/user", headers=HEADERS, timeout=9).status_code == 403
        other = f"{github.url}/repos/other/place/pulls/3"
        assert requests.get(other, headers=HEADERS, timeout=9).status_code == 404
        github.private = True
        github.allow()
        refused = requests.get(f"{base}/pulls/3", headers=HEADERS, timeout=9)
        assert refused.status_code == 403
        assert refused.headers["X-Accepted-GitHub-Permissions"] == "pull_requests=read"


def test_it_runs_as_a_process_and_keeps_its_state_in_a_file(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"pulls": [pull(3, HEAD)]}), encoding="utf-8")
    command = [sys.executable, "-m", "tests.github.fake", "--port", "0", "--state", str(state)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            url = f"http://127.0.0.1:{port}/repos/{REPOSITORY}/issues/3/comments"
            assert requests.post(url, json={"body": "hello"}, headers=HEADERS, timeout=9).status_code == 201
        finally:
            server.terminate()
    kept = json.loads(state.read_text(encoding="utf-8"))
    assert [item["body"] for item in kept["comments"]] == ["hello"]
    assert [(item["method"], item["status"]) for item in kept["requests"]] == [("POST", 201)]
    assert kept["violations"] == []


def test_the_description_is_a_cut_with_nothing_missing() -> None:
    text = json.dumps(DESCRIPTION)
    for kind, components in DESCRIPTION["components"].items():
        for name in components:
            assert f'"#/components/{kind}/{name}"' in text
    assert len(text) < 250_000
