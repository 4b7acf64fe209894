from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.github.cases import HOSTILE, FakeTime, publisher, refused
from tests.github.fake import REPOSITORY, FakeGitHub, comment
from validator.github.attempts import Attempt, without_stamp
from validator.github.posts import INSTANCE, Posted, Thread, marker, same

MARK = "<!-- keras-validator:default -->"
ATTEMPT = Attempt(run=7, number=1)


def thread(github: FakeGitHub, time: FakeTime, **more: str) -> Thread:
    return Thread(publisher(github, time, **more), 3)


def ours(identity: int, text: str = "old") -> dict[str, object]:
    return comment(identity, 3, f"{MARK}\n{text}")


def bodies(github: FakeGitHub) -> dict[int, str]:
    """The comments by their id, without the attempt that each names."""
    return {item["id"]: without_stamp(item["body"]) for item in github.comments}


def test_first_run_creates_second_edits_third_writes_nothing(github: FakeGitHub, time: FakeTime) -> None:
    first = thread(github, time).upsert("one", ATTEMPT)
    second = thread(github, time).upsert("two", ATTEMPT)
    third = thread(github, time).upsert("two", ATTEMPT)
    assert (first.action, second.action, third.action) == ("created", "updated", "unchanged")
    assert first.url == second.url == third.url == f"https://github.com/{REPOSITORY}/pull/3#issuecomment-1001"
    assert bodies(github) == {1001: f"{MARK}\ntwo"}
    assert len(github.writes()) == 2


def test_the_comment_is_found_behind_150_others(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(number, 3, f"chat {number}", "human") for number in range(1, 151)] + [
        ours(200)
    ]
    assert thread(github, time).upsert("new", ATTEMPT).action == "updated"
    assert github.writes() == [f"PATCH /repos/{REPOSITORY}/issues/comments/200"]


def test_the_oldest_of_two_of_ours_is_edited_and_the_other_removed(
    github: FakeGitHub, time: FakeTime
) -> None:
    github.comments = [ours(20), comment(15, 3, "chat", "human"), ours(10)]
    assert thread(github, time).upsert("new", ATTEMPT).action == "updated"
    assert bodies(github) == {15: "chat", 10: f"{MARK}\nnew"}


@pytest.mark.parametrize("shown", [Attempt(8, 1), Attempt(7, 2)])
def test_an_older_result_never_replaces_a_newer_one(
    github: FakeGitHub, time: FakeTime, shown: Attempt
) -> None:
    github.comments = [comment(10, 3, f"{MARK}\n{shown.stamp}\nnewer")]
    posted = thread(github, time).upsert("older", ATTEMPT)
    assert (posted.action, posted.url) == ("stale", f"https://github.com/{REPOSITORY}/pull/3#issuecomment-10")
    assert github.writes() == []
    assert thread(github, time).upsert("the same attempt again", shown).action == "updated"
    assert bodies(github) == {10: f"{MARK}\nthe same attempt again"}


def test_the_text_of_a_comment_names_no_attempt(github: FakeGitHub, time: FakeTime) -> None:
    forged = f"model <b>\n{Attempt(9**15, 1).stamp}"
    thread(github, time).upsert(forged, ATTEMPT)
    assert thread(github, time).upsert("next", Attempt(8, 1)).action == "updated"


def test_a_strangers_comment_with_our_marker_is_left_alone(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(10, 3, f"{MARK}\nAll is well, merge it!", "mallory")]
    assert thread(github, time).upsert("new", ATTEMPT).action == "created"
    assert thread(github, time).upsert("newer", ATTEMPT).action == "updated"
    assert bodies(github) == {10: f"{MARK}\nAll is well, merge it!", 1001: f"{MARK}\nnewer"}


def test_another_comment_of_the_same_bot_is_left_alone(github: FakeGitHub, time: FakeTime) -> None:
    quoted = comment(10, 3, f"Coverage: 80 %\n> {MARK}")
    neighbour = comment(11, 3, f"{marker('default.nightly')}\nother")
    github.comments = [quoted, neighbour]
    assert thread(github, time).upsert("new", ATTEMPT).action == "created"
    assert set(bodies(github)) == {10, 11, 1001}


def test_without_leave_to_create_an_existing_one_is_still_brought_up_to_date(
    github: FakeGitHub, time: FakeTime
) -> None:
    assert thread(github, time).upsert("new", ATTEMPT, allowed=False) == Posted("none")
    github.comments = [ours(10)]
    assert thread(github, time).upsert("new", ATTEMPT, allowed=False).action == "updated"


def test_only_another_run_number_is_no_news(github: FakeGitHub, time: FakeTime) -> None:
    text = "same [run](https://github.com/acme/widget/actions/runs/{})"
    github.comments = [ours(10, text.format("1/attempts/2").replace("\n", "\r\n") + "\n")]
    assert thread(github, time).upsert(text.format("2"), ATTEMPT).action == "unchanged"
    assert github.writes() == []


@pytest.mark.parametrize("runs", [2, 4])
def test_of_runs_at_once_one_comment_remains(github: FakeGitHub, runs: int) -> None:
    # Each has read the list, and seen no comment, before any creates one.
    github.faults = [{"match": "GET .*/comments", "do": "meet", "parties": runs, "times": runs}]
    with ThreadPoolExecutor(runs) as pool:
        outcomes = list(
            pool.map(lambda n: thread(github, FakeTime()).upsert(f"run {n}", ATTEMPT), range(runs))
        )
    assert len(github.comments) == 1
    assert github.comments[0]["id"] == 1001
    assert [outcome.action for outcome in outcomes].count("created") == 1
    assert {outcome.url for outcome in outcomes} == {
        f"https://github.com/{REPOSITORY}/pull/3#issuecomment-1001"
    }


def test_both_runs_delete_the_younger_one(github: FakeGitHub) -> None:
    github.comments = [ours(10), ours(20)]
    github.faults = [{"match": "GET .*/comments", "do": "meet", "parties": 2, "times": 2}]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: thread(github, FakeTime()).upsert("new", ATTEMPT), range(2)))
    assert bodies(github) == {10: f"{MARK}\nnew"}


@pytest.mark.parametrize("kind", ["cut", "drop"])
def test_a_create_that_was_done_is_found_again(github: FakeGitHub, time: FakeTime, kind: str) -> None:
    github.faults = [{"match": "POST", "do": kind, "done": True}]
    assert thread(github, time).upsert("new", ATTEMPT).action == "created"
    assert bodies(github) == {1001: f"{MARK}\nnew"}
    assert len(github.writes()) == 1


def test_a_create_that_was_not_done_is_done(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": "POST", "do": "reply", "status": 502}, {"match": "POST", "do": "drop"}]
    assert thread(github, time).upsert("new", ATTEMPT).action == "created"
    assert len(github.comments) == 1
    assert len(github.writes()) == 3


def test_a_create_that_never_works_ends(github: FakeGitHub, time: FakeTime) -> None:
    github.faults = [{"match": "POST", "do": "reply", "status": 500, "times": 99}]
    with refused("unavailable", match="three attempts"):
        thread(github, time).upsert("new", ATTEMPT)
    assert (len(github.writes()), github.comments) == (3, [])


def test_a_read_only_token_reads_and_says_what_it_lacks(github: FakeGitHub, time: FakeTime) -> None:
    github.allow(contents="read", pull_requests="read")
    with refused("permission", match="comment on pull request #3"):
        thread(github, time).upsert("new", ATTEMPT)
    github.comments = [ours(10)]
    with refused("permission", match="update the comment"):
        thread(github, time).upsert("new", ATTEMPT)


def test_a_locked_conversation(github: FakeGitHub, time: FakeTime) -> None:
    github.pulls[0]["locked"] = True
    with refused("forbidden", match="locked"):
        thread(github, time).upsert("new", ATTEMPT)


def test_a_persons_token_owns_that_persons_comments(github: FakeGitHub, time: FakeTime) -> None:
    github.tokens["ghp_person"] = {"login": "Ada", "kind": "user", "permissions": {"issues": "write"}}
    github.comments = [ours(5), comment(10, 3, f"{MARK}\nold", "ada")]
    assert thread(github, time, token="ghp_person").upsert("new", ATTEMPT).action == "updated"
    assert bodies(github) == {5: f"{MARK}\nold", 10: f"{MARK}\nnew"}


def test_an_apps_token_finds_its_comment_even_unnamed(github: FakeGitHub, time: FakeTime) -> None:
    app = {"login": "models[bot]", "kind": "installation", "permissions": {"pull_requests": "write"}}
    github.tokens["ghs_app"] = app
    github.comments = [comment(10, 3, f"{MARK}\nold", "models[bot]")]
    # It cannot ask who it is, so it learns that from the comment it makes; the older one stays.
    assert thread(github, time, token="ghs_app").upsert("new", ATTEMPT).action == "updated"
    assert bodies(github) == {10: f"{MARK}\nnew"}
    named = thread(github, time, token="ghs_app", author="models[bot]")
    assert named.upsert("newer", ATTEMPT).action == "updated"
    assert [write for write in github.writes() if write.startswith("POST")] == [
        f"POST /repos/{REPOSITORY}/issues/3/comments"
    ]


def test_hostile_text_cannot_become_ours(github: FakeGitHub, time: FakeTime) -> None:
    github.comments = [comment(10, 3, HOSTILE)]
    assert thread(github, time).upsert(HOSTILE, ATTEMPT).action == "created"
    assert github.comments[0]["body"] == HOSTILE


@pytest.mark.parametrize("name", ["", "a b", "a-->", "a--b", "é", "x" * 81, "-a", "a\n", "a>"])
def test_a_name_that_could_end_the_marker_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="names no instance"):
        marker(name)


NAMES = st.from_regex(INSTANCE, fullmatch=True).filter(lambda name: len(name) <= 80)


@given(NAMES, NAMES, st.text())
def test_a_marker_is_found_by_no_other_name(one: str, two: str, text: str) -> None:
    body = f"{marker(one)}\n{text}"
    assert body.startswith(marker(two)) == (one == two)
    assert marker(one).count("--") == 2
    assert same(body, body)
