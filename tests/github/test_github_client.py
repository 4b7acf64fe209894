from __future__ import annotations

import socket

import pytest
from pydantic import SecretStr

from tests.github.cases import FakeTime, client, refused
from tests.github.fake import REPOSITORY, TOKEN, FakeGitHub, comment
from validator.errors import ConfigurationError
from validator.github.answers import ApiCall, ErrorKind
from validator.github.client import Client, ClientLimits
from validator.github.posts import Post

LIST = ApiCall("list comments", "pull-requests: read", "GET", f"/repos/{REPOSITORY}/issues/3/comments")
CREATE = ApiCall(
    "comment",
    "pull-requests: write",
    "POST",
    f"/repos/{REPOSITORY}/issues/3/comments",
    body={"body": "hello"},
)
UPDATE = ApiCall(
    "edit", "pull-requests: write", "PATCH", f"/repos/{REPOSITORY}/issues/comments/5", body={"body": "hello"}
)
GET = "GET .*/comments"
POST = "POST .*/comments"


def test_all_pages_are_read(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(number, 3, f"number {number}") for number in range(1, 251)]
    assert [item.id for item in client(github, time).pages(LIST, Post)] == list(range(1, 251))
    assert len(github.requests) == 3


def test_enterprise_server_lives_below_a_path(time: FakeTime) -> None:
    with FakeGitHub(prefix="/api/v3") as github:
        github.pulls.append(
            {"number": 3, "head_sha": "a" * 40, "branch": "b", "repo": REPOSITORY, "state": "open"}
        )
        github.comments = [comment(number, 3, "x") for number in range(1, 151)]
        assert len(list(client(github, time).pages(LIST, Post))) == 150
        assert all(request["path"].startswith("/api/v3/") for request in github.requests)
        assert github.violations == []


def test_a_listing_without_end_is_not_taken_for_complete(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(number, 3, "x") for number in range(1, 301)]
    with refused("unexpected", match="more than 2 pages"):
        list(client(github, time, pages=2).pages(LIST, Post))


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_no_request(github: FakeGitHub, time: FakeTime, token: str | None) -> None:
    with refused("no-token", match=r"GITHUB_TOKEN: \$\{\{ github\.token \}\}"):
        client(github, time, token).send(CREATE)
    assert github.requests == []


@pytest.mark.parametrize("token", ["ghs_wrong", "ghs_expired"])
def test_a_bad_token_is_tried_once(github: FakeGitHub, time: FakeTime, token: str) -> None:
    github.tokens["ghs_expired"] = {**github.tokens[TOKEN], "expired": True}
    with refused("bad-token", match="expired or revoked") as caught:
        client(github, time, token).send(CREATE)
    assert token not in str(caught.value)
    assert len(github.requests) == 1


def test_a_read_only_token_names_the_permission_and_is_not_repeated(
    github: FakeGitHub, time: FakeTime
) -> None:
    github.allow(contents="read", pull_requests="read")
    with refused("permission") as caught:
        client(github, time).send(CREATE)
    assert caught.value.permission == "pull-requests: write"
    assert "`pull-requests: write`" in str(caught.value)
    assert "issues=write; pull_requests=write" in str(caught.value)
    assert (len(github.requests), time.waits) == (1, [])


def test_not_accessible_wins_over_a_header_that_says_wait(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [
        {
            "match": POST,
            "do": "reply",
            "status": 403,
            "message": "Resource not accessible by integration",
            "headers": {"Retry-After": "1", "X-RateLimit-Remaining": "0"},
        }
    ]
    with refused("permission"):
        client(github, time).send(CREATE)
    assert time.waits == []


@pytest.mark.parametrize(
    ("message", "headers", "words"),
    [
        ("Unable to create comment because issue is locked.", {}, "unlock it"),
        ("Repository was archived so is read-only.", {}, "archived"),
        ("Resource protected by organization SAML enforcement.", {}, "SAML"),
        ("Sorry", {"X-GitHub-SSO": "required; url=https://github.com/x"}, "SAML"),
        ("The acme organization has an IP allow list enabled", {}, "IP allow list"),
        ("User is blocked", {}, "may lack `pull-requests: write`"),
        ("", {}, "may lack `pull-requests: write`"),
    ],
)
def test_each_other_403_has_its_own_sentence(
    github: FakeGitHub, time: FakeTime, message: str, headers: dict[str, str], words: str
) -> None:
    github.faults = [{"match": POST, "do": "reply", "status": 403, "message": message, "headers": headers}]
    with refused("forbidden", match=words):
        client(github, time).send(CREATE)
    assert len(github.requests) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, "not-found"), (410, "not-found"), (422, "rejected"), (400, "rejected")],
)
def test_other_refusals_are_not_repeated(
    github: FakeGitHub, time: FakeTime, status: int, error: ErrorKind
) -> None:
    body = {"errors": [{"code": "custom", "message": "Body is too long"}, "and text", 7]}
    github.faults = [{"match": POST, "do": "reply", "status": status, "message": "No", "body": body}]
    with refused(error, match="No; Body is too long; and text; 7"):
        client(github, time).send(CREATE)
    assert len(github.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_waited_out(github: FakeGitHub, time: FakeTime, status: int) -> None:
    github.comments = [comment(5, 3, "x")]
    github.faults = [{"match": ".", "do": "reply", "status": status, "times": 3}]
    client(github, time).send(UPDATE)
    assert github.comments[0]["body"] == "hello"
    assert time.waits == [1, 2, 4]


def test_a_server_error_that_lasts_ends(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": ".", "do": "reply", "status": 503, "times": 99}]
    with refused("unavailable", match="503"):
        list(client(github, time).pages(LIST, Post))
    assert len(github.requests) == 6


@pytest.mark.parametrize(
    ("refusal", "wait"),
    [
        ((429, "slow down", {"Retry-After": "17"}), 17),
        ((429, "slow down", {}), 60),
        ((403, "You have exceeded a secondary rate limit", {"Retry-After": "60"}), 60),
        ((403, "You have exceeded a secondary rate limit. Please wait", {}), 60),
        ((403, "You have triggered an abuse detection mechanism", {}), 60),
        ((403, "nothing known", {"Retry-After": "3"}), 3),
        ((403, "x", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000030"}), 31),
        ((403, "API rate limit exceeded", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}), 1),
        ((429, "x", {"Retry-After": "-5"}), 60),
        ((429, "x", {"Retry-After": "nan"}), 60),
        ((429, "x", {"Retry-After": "soon"}), 60),
        ((429, "x", {"Retry-After": "Tue, 14 Nov 2023 22:13:29 GMT"}), 9),
    ],
)
def test_a_limit_is_waited_for_as_long_as_github_asks(
    github: FakeGitHub, time: FakeTime, refusal: tuple[int, str, dict[str, str]], wait: float
) -> None:
    status, message, headers = refusal
    github.faults = [{"match": POST, "do": "reply", "status": status, "message": message, "headers": headers}]
    client(github, time).send(CREATE)  # a limit means it was not done: even a create may be repeated
    assert (time.waits, len(github.comments)) == ([wait], 1)


def test_a_limit_longer_than_the_time_there_is_ends_at_once(github: FakeGitHub, time: FakeTime) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.now) + 1800)}
    github.faults = [
        {"match": ".", "do": "reply", "status": 403, "message": "x", "headers": headers, "times": 9}
    ]
    with refused("rate-limit", match="1801 s"):
        client(github, time).send(CREATE)
    assert (time.waits, len(github.requests)) == ([], 1)


def test_all_waiting_together_is_bounded(github: FakeGitHub, time: FakeTime) -> None:
    headers = {"Retry-After": "40"}
    github.faults = [{"match": ".", "do": "reply", "status": 429, "headers": headers, "times": 99}]
    patient = client(github, time, total=100)
    for _ in range(3):
        with refused("rate-limit"):
            patient.send(CREATE)
    assert sum(time.waits) <= 100


@pytest.mark.parametrize("kind", ["cut", "drop"])
def test_a_cut_reply_is_asked_for_again(github: FakeGitHub, time: FakeTime, kind: str) -> None:
    github.comments = [comment(number, 3, "x" * 100) for number in range(1, 101)]
    github.faults = [{"match": GET, "do": kind, "times": 2}]
    assert len(list(client(github, time).pages(LIST, Post))) == 100
    assert time.waits == [1, 2]


def test_a_cut_reply_to_an_edit_is_asked_for_again(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(5, 3, "x")]
    github.faults = [{"match": "PATCH", "do": "cut"}]
    client(github, time).send(UPDATE)
    assert github.comments[0]["body"] == "hello"


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "cut"},
        {"do": "drop", "done": True},
        {"do": "slow", "seconds": 1.5},
        {"do": "reply", "status": 502, "done": True},
    ],
)
def test_a_create_whose_answer_got_lost_is_never_sent_again(
    github: FakeGitHub, time: FakeTime, fault: dict[str, object]
) -> None:
    github.faults = [{"match": POST, **fault}]
    with refused("ambiguous", match="may have been done"):
        client(github, time, read=0.5).send(CREATE)
    assert (len(github.comments), time.waits) == (1, [])


def test_a_slow_answer_is_asked_for_again(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": GET, "do": "slow", "seconds": 2.5}]
    assert list(client(github, time, read=1).pages(LIST, Post)) == []
    assert time.waits == [1]


def test_a_dripping_answer_is_not_listened_to_for_ever(github: FakeGitHub) -> None:
    github.comments = [comment(1, 3, "x" * 2000)]
    github.faults = [{"match": GET, "do": "drip", "seconds": 0.02, "times": 9}]
    patient = Client(github.url, SecretStr(TOKEN), limits=ClientLimits(read=1, repetitions=0))
    with refused("unavailable", match="too slowly"):
        list(patient.pages(LIST, Post))


def test_a_reply_is_read_up_to_a_size(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(1, 3, "x" * 60_000)]
    with refused("unavailable", match="larger than 1000 bytes"):
        list(client(github, time, reply_bytes=1000).pages(LIST, Post))
    assert time.waits == []


def test_nobody_listening_is_repeated_even_for_a_create(time: FakeTime) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    alone = Client(f"http://127.0.0.1:{port}", SecretStr(TOKEN), time.clock(), ClientLimits(repetitions=2))
    with refused("unavailable", match="no connection could be made"):
        alone.send(CREATE)
    assert time.waits == [1, 2]


def test_a_page_of_a_proxy_is_no_answer(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": ".", "do": "garbage", "times": 2}]
    with refused("unexpected", match="proxy"):
        list(client(github, time).pages(LIST, Post))
    with refused("unexpected", match="proxy"):
        client(github, time).fetch(LIST, Post)


def test_the_token_stays_with_its_host(github: FakeGitHub, time: FakeTime) -> None:
    with FakeGitHub() as stranger:
        for call, match in ((LIST, GET), (CREATE, POST)):
            github.faults = [{"match": match, "do": "redirect", "to": stranger.url + call.path}]
            with refused("unexpected", match="another host"):
                client(github, time).send(call)
        assert stranger.requests == []


def test_a_next_page_on_another_host_is_refused(github: FakeGitHub, time: FakeTime) -> None:
    with FakeGitHub() as stranger:
        link = {"Link": f'<{stranger.url}{LIST.path}?page=2>; rel="next"'}
        page = [{"id": 1, "html_url": "https://github.com/x"}]
        github.faults = [{"match": GET, "do": "reply", "status": 200, "headers": link, "json": page}]
        with refused("unexpected", match="next page"):
            list(client(github, time).pages(LIST, Post))
        assert stranger.requests == []


def test_netrc_does_not_replace_the_token(
    github: FakeGitHub, time: FakeTime, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = f"{tmp_path}/netrc"
    with open(netrc, "w", encoding="utf-8") as file:
        file.write("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", netrc)
    client(github, time).send(CREATE)
    assert len(github.comments) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("call", [LIST, CREATE], ids=["get", "post"])
def test_a_renamed_repository_is_followed(
    github: FakeGitHub, time: FakeTime, status: int, call: ApiCall
) -> None:
    github.faults = [{"match": "/old/", "do": "redirect", "to": github.url + call.path, "status": status}]
    renamed = ApiCall(
        call.what, call.permission, call.method, "/repos/old/name/issues/3/comments", body=call.body
    )
    client(github, time).send(renamed)
    assert len(github.comments) == (1 if call is CREATE else 0)


def test_redirects_in_a_circle_end(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": GET, "do": "redirect", "to": github.url + LIST.path, "times": 99}]
    with refused("unexpected", match="in circles"):
        list(client(github, time).pages(LIST, Post))


@pytest.mark.parametrize(
    "url",
    [
        "http://github.example.com/api/v3",
        "https://me:pw@api.github.com",
        "api.github.com",
        "ftp://x",
        "",
        "https://",
    ],
)
def test_an_address_that_would_leak_the_token_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="GITHUB_API_URL"):
        Client(url, SecretStr(TOKEN))
