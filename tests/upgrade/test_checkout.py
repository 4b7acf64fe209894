"""The files of a commit beside the work tree: Git LFS, links, submodules, and what git does not know."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.upgrade.conftest import Repo
from validator.errors import ConfigurationError
from validator.upgrade import Checkout, check_out


def checked_out(repo: Repo, commit: str) -> Checkout:
    return check_out(repo.folder, commit, repo.folder / ".keras-validator" / "run" / "base")


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def test_the_files_are_those_of_the_commit_and_the_work_tree_stays(repo: Repo) -> None:
    base = repo.commit({"net/layers.py": "x = 1\n", ".gitattributes": "*.h5 export-ignore\n", "w.h5": "old"})
    repo.commit({"net/layers.py": "x = 2\n", "w.h5": None})
    done = checked_out(repo, base)

    assert (done.folder / "net" / "layers.py").read_text() == "x = 1\n"
    assert (done.folder / "w.h5").read_text() == "old"
    assert (repo.folder / "net" / "layers.py").read_text() == "x = 2\n"
    assert repo.git("status", "--porcelain", "--untracked-files=no") == ""
    assert done.missing == {}
    assert not (done.folder.parent / "base.index").exists()


@pytest.mark.parametrize("place", ["store", "work tree"])
def test_a_pointer_of_git_lfs_is_filled_from_this_clone(repo: Repo, place: str) -> None:
    content = b"the weights of before"
    digest = hashlib.sha256(content).hexdigest()
    base = repo.commit({"w.h5": pointer(content)})
    if place == "store":
        stored = repo.folder / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
        stored.parent.mkdir(parents=True)
        stored.write_bytes(content)
        repo.commit({"w.h5": pointer(b"new")})
    else:
        repo.write({"w.h5": content})

    done = checked_out(repo, base)
    assert (done.folder / "w.h5").read_bytes() == content
    assert done.missing == {}


def test_a_pointer_whose_content_is_elsewhere_is_said_with_the_command(repo: Repo) -> None:
    base = repo.commit({"models/w.h5": pointer(b"old")})
    repo.commit({"models/w.h5": pointer(b"new")})
    done = checked_out(repo, base)

    for path in ("models/w.h5", "models"):
        why = done.why_missing(path)
        assert "models/w.h5 of the base commit is a Git LFS pointer" in why
        assert f"`git lfs fetch origin {base[:12]}`" in why
    assert done.why_missing("models/other.h5") == ""


def test_a_filter_of_the_repository_asks_no_server(repo: Repo, tmp_path: Path) -> None:
    base = repo.commit({".gitattributes": "*.h5 filter=lfs\n", "w.h5": pointer(b"old")})
    repo.git("config", "filter.lfs.smudge", f"touch {tmp_path / 'asked'}")
    repo.git("config", "filter.lfs.required", "true")
    done = checked_out(repo, base)

    assert not (tmp_path / "asked").exists()
    assert "w.h5" in done.missing


@pytest.mark.parametrize("target", ["/etc/hostname", "../../../../../etc", "net/../../../out"])
def test_a_link_out_of_the_repository_is_refused(repo: Repo, target: str) -> None:
    repo.write({"net/a.py": ""})
    (repo.folder / "outside").symlink_to(target)
    (repo.folder / "inside").symlink_to("net/a.py")
    done = checked_out(repo, repo.commit({}))

    assert not (done.folder / "outside").is_symlink()
    assert "leads out of the repository" in done.why_missing("outside")
    assert (done.folder / "inside").exists()


@pytest.mark.parametrize("fetched", [True, False])
def test_a_submodule_is_taken_from_its_clone(repo: Repo, tmp_path: Path, fetched: bool) -> None:
    inner = Repo(tmp_path / "vendor")
    inner.git("init", "--quiet", "-b", "main")
    inner.commit({"layers.py": "x = 1\n"})
    repo.git("submodule", "--quiet", "add", f"file://{inner.folder}", "vendored")
    base = repo.commit({})
    newer = inner.commit({"layers.py": "x = 2\n"})
    repo.git("-C", "vendored", "fetch", "--quiet", "origin", newer)
    repo.git("-C", "vendored", "checkout", "--quiet", newer)
    repo.commit({})
    if not fetched:
        repo.git("submodule", "--quiet", "deinit", "--force", "vendored")
    done = checked_out(repo, base)

    if fetched:
        assert (done.folder / "vendored" / "layers.py").read_text() == "x = 1\n"
    else:
        assert "git submodule update --init" in done.why_missing("vendored/layers.py")


def test_what_git_does_not_know_is_the_same_on_both_sides(repo: Repo) -> None:
    base = repo.commit({".gitignore": "data/\n*.bin\nvenv/\n.keras-validator/\n", "a.py": ""})
    repo.write({"data/large.npy": "1", "w.bin": "2", "venv/pyvenv.cfg": "", "note.txt": "3"})
    done = checked_out(repo, base)

    assert (done.folder / "data" / "large.npy").read_text() == "1"
    assert (done.folder / "w.bin").read_text() == "2"
    assert not (done.folder / "venv").exists()
    assert not (done.folder / ".keras-validator").exists()


def test_a_commit_that_is_not_here_is_said(repo: Repo) -> None:
    repo.commit({"a": "1"})
    with pytest.raises(ConfigurationError, match="fetch-depth: 0"):
        checked_out(repo, "1" * 40)
