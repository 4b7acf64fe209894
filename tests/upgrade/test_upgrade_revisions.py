"""The two commits, in every shape a checkout comes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upgrade.conftest import Repo
from validator.errors import ConfigurationError
from validator.upgrade import Repository, Revisions, Trigger, revisions
from validator.upgrade.git import Snapshot

ZERO = "0" * 40


def find(folder: Path, trigger: Trigger) -> Revisions:
    return revisions.find(Repository(folder), trigger)


def test_a_merge_commit_is_compared_with_its_first_parent_and_not_with_the_base_of_the_event(
    repo: Repo,
) -> None:
    old = repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "topic")
    tip = repo.commit({"b": "1"})
    repo.git("checkout", "--quiet", "main")
    newer = repo.commit({"a": "2"})
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge", "topic")

    found = find(repo.folder, Trigger(event="pull_request", base_sha=old, head_sha=tip))

    assert (found.base, found.head, found.tip) == (newer, repo.git("rev-parse", "HEAD"), tip)


def test_a_checkout_of_the_head_itself_is_compared_with_the_merge_base(repo: Repo) -> None:
    fork = repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"b": "1"})
    repo.git("checkout", "--quiet", "main")
    base = repo.commit({"a": "2"})
    repo.git("checkout", "--quiet", "topic")
    tip = repo.git("rev-parse", "HEAD")

    found = find(repo.folder, Trigger(event="pull_request", base_sha=base, head_sha=tip))

    assert (found.base, found.head) == (fork, tip)


def test_a_branch_that_merged_its_base_is_no_merge_commit_of_github(repo: Repo) -> None:
    repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"b": "1"})
    repo.git("checkout", "--quiet", "main")
    base = repo.commit({"a": "2"})
    repo.git("checkout", "--quiet", "topic")
    repo.git("merge", "--quiet", "--no-ff", "-m", "merge main", "main")
    tip = repo.git("rev-parse", "HEAD")

    assert find(repo.folder, Trigger(event="pull_request", base_sha=base, head_sha=tip)).base == base


def test_an_octopus_merge_is_compared_with_its_first_parent(repo: Repo) -> None:
    repo.commit({"a": "1"})
    for name in ("one", "two", "three"):
        repo.git("checkout", "--quiet", "-b", name, "main")
        repo.commit({name: "1"})
    repo.git("checkout", "--quiet", "main")
    base = repo.commit({"a": "2"})
    repo.git("merge", "--quiet", "--no-ff", "-m", "octopus", "one", "two", "three")

    assert find(repo.folder, Trigger(event="pull_request")).base == base


def test_a_shallow_clone_of_the_merge_commit_fetches_the_one_commit_it_lacks(
    repo: Repo, tmp_path: Path
) -> None:
    base = repo.commit({"requirements.txt": "keras==3.3.3\n"})
    repo.pull_request({"requirements.txt": "keras==3.5.0\n"})
    shallow = repo.clone(tmp_path / "shallow", "--depth", "1")
    shallow.git("checkout", "--quiet", "--detach")

    found = find(shallow.folder, Trigger(event="pull_request"))

    assert found.base == base
    snapshot = Snapshot(Repository(shallow.folder), found.base, "base")
    assert snapshot.read("requirements.txt") == b"keras==3.3.3\n"
    assert shallow.git("rev-parse", "--is-shallow-repository") == "true"


def test_a_shallow_clone_without_origin_is_told_the_depth(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": "1"})
    repo.pull_request({"b": "1"})
    shallow = repo.clone(tmp_path / "shallow", "--depth", "1")
    shallow.git("remote", "remove", "origin")

    with pytest.raises(ConfigurationError, match=r"first parent .* not in this clone.*fetch-depth: 2"):
        find(shallow.folder, Trigger(event="pull_request"))


def test_a_shallow_clone_whose_origin_is_gone_is_told_the_depth(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": "1"})
    repo.pull_request({"b": "1"})
    shallow = repo.clone(tmp_path / "shallow", "--depth", "1")
    shallow.git("remote", "set-url", "origin", f"file://{tmp_path}/nowhere")

    with pytest.raises(ConfigurationError, match="fetch-depth: 2"):
        find(shallow.folder, Trigger(event="pull_request"))


def test_a_shallow_clone_of_a_branch_is_deepened_to_the_merge_base(repo: Repo, tmp_path: Path) -> None:
    fork = repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "topic")
    for number in range(5):
        repo.commit({"b": str(number)})
    repo.git("checkout", "--quiet", "main")
    base = repo.commit({"a": "2"})
    repo.git("checkout", "--quiet", "topic")
    shallow = repo.clone(tmp_path / "shallow", "--depth", "1", "--branch", "topic")

    found = find(
        shallow.folder, Trigger(event="pull_request", base_sha=base, head_sha=repo.git("rev-parse", "HEAD"))
    )

    assert found.base == fork


def test_a_complete_clone_stays_complete_when_a_commit_is_fetched(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"a": "1"})
    clone = repo.clone(tmp_path / "clone")
    base = repo.commit({"a": "2"})

    found = find(clone.folder, Trigger(event="merge_group", base_sha=base))

    assert found.base == base
    assert clone.git("rev-parse", "--is-shallow-repository") == "false"


def test_a_merge_group_takes_the_commits_of_the_event(repo: Repo) -> None:
    base = repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    head = repo.commit({"a": "3"})

    found = find(repo.folder, Trigger(event="merge_group", base_sha=base, head_sha=head))

    assert (found.base, found.head) == (base, head)


def test_a_push_takes_before_and_after(repo: Repo) -> None:
    before = repo.commit({"a": "1"})
    after = repo.commit({"a": "2"})

    assert find(repo.folder, Trigger(event="push", base_sha=before, head_sha=after)).base == before


@pytest.mark.parametrize("before", [ZERO, "12" * 20], ids=["new branch", "rewritten history"])
def test_a_push_without_a_commit_before_is_compared_with_the_default_branch(repo: Repo, before: str) -> None:
    fork = repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "topic")
    after = repo.commit({"b": "1"})

    assert find(repo.folder, Trigger(event="push", base_sha=before, head_sha=after)).base == fork


def test_anything_else_is_compared_with_the_merge_base_and_not_with_the_tip(repo: Repo) -> None:
    fork = repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"b": "1"})
    repo.git("checkout", "--quiet", "main")
    repo.commit({"a": "2"})
    repo.git("checkout", "--quiet", "--detach", "topic")

    assert find(repo.folder, Trigger()).base == fork
    assert find(repo.folder, Trigger(event="workflow_dispatch", base_ref="main")).base == fork


def test_a_base_branch_that_was_not_cloned_is_fetched(repo: Repo, tmp_path: Path) -> None:
    fork = repo.commit({"a": "1"})
    repo.git("branch", "release")
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"b": "1"})
    clone = repo.clone(tmp_path / "clone", "--single-branch", "--branch", "topic")

    assert find(clone.folder, Trigger(base_ref="release")).base == fork


def test_unrelated_histories_have_nothing_to_compare(repo: Repo) -> None:
    repo.commit({"a": "1"})
    repo.git("checkout", "--quiet", "--orphan", "other")
    repo.commit({"b": "1"})

    with pytest.raises(ConfigurationError, match="no common ancestor"):
        find(repo.folder, Trigger(base_ref="main"))


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not a git repository"):
        find(tmp_path, Trigger())


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a folder"):
        find(tmp_path / "nowhere", Trigger())


def test_a_repository_without_a_commit(repo: Repo) -> None:
    with pytest.raises(ConfigurationError, match="no commit yet"):
        find(repo.folder, Trigger())


def test_a_base_that_does_not_exist(repo: Repo) -> None:
    repo.commit({"a": "1"})
    with pytest.raises(ConfigurationError, match="no nightly in this repository"):
        find(repo.folder, Trigger(base_ref="nightly"))


@pytest.mark.parametrize("name", ["--upload-pack=touch pwned", "-main", "main\n--all", "ma in", ""])
def test_a_revision_that_is_an_option_or_has_control_characters_is_refused(repo: Repo, name: str) -> None:
    sha = repo.commit({"a": "1"})
    for event in (Trigger(base_ref=name), Trigger(event="merge_group", base_sha=name or "\n", head_sha=sha)):
        with pytest.raises(ConfigurationError):
            find(repo.folder, event)
    assert not (repo.folder / "pwned").exists()


def test_the_variables_and_hooks_of_the_surroundings_do_not_reach_git(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = repo.commit({"a": "1"})
    repo.commit({"a": "2"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", f"touch {tmp_path}/pwned")

    found = find(repo.folder, Trigger(event="push", base_sha=base))
    changes = Repository(repo.folder).changes(found.base, found.head)

    assert changes == ({"a"}, {})
    assert not (tmp_path / "pwned").exists()


def test_renames_deletions_and_names_with_line_breaks(repo: Repo) -> None:
    base = repo.commit({"old.txt": "keras==3.3.3\n" * 20, "gone": "1", "a\nb": "1", "ä": "1"})
    repo.git("mv", "old.txt", "new.txt")
    head = repo.commit({"gone": None, "a\nb": "2", "ä": "2"})

    changes = Repository(repo.folder).changes(base, head)

    assert changes.touched == {"old.txt", "new.txt", "gone", "a\nb", "ä"}
    assert changes.renamed == {"old.txt": "new.txt"}


def test_a_bare_repository_can_be_read(repo: Repo, tmp_path: Path) -> None:
    base = repo.commit({"a": "1"})
    head = repo.commit({"a": "2"})
    bare = repo.clone(tmp_path / "bare", "--bare")

    assert find(bare.folder, Trigger(event="push", base_sha=base, head_sha=head)).base == base
