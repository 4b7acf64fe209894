"""Which files of a checkout travel, and what a host makes of them."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from validator.cluster import Bundle, Collected, collect, history
from validator.cluster.host import Host
from validator.errors import ConfigurationError
from validator.upgrade import Repository


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def write(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a tracked file, an untracked one, an ignored one, and a hidden one."""
    folder = tmp_path / "checkout"
    write(folder, {"code.py": "x = 1\n", ".gitignore": "*.keras\n", ".github/a.yml": "on: push\n"})
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    write(folder, {"new.py": "y\n", "model.keras": "weights", ".env": "TOKEN=secret\n"})
    return folder


def paths(files: Collected) -> list[str]:
    return [file.path for file in files.bundle.files]


def gathered(root: Path, named: Sequence[Path] = (), exclude: Sequence[str] = ()) -> Collected:
    return collect(root, named, {}, exclude)


def filled(host: Host, files: Collected) -> Bundle:
    for digest in host.missing(files.bundle.contents):
        host.keep(digest, [files.sources[digest].read_bytes()])
    return files.bundle


def test_what_git_tracks_or_would_track_travels_and_what_it_ignores_does_not(checkout: Path) -> None:
    assert paths(gathered(checkout)) == [".github/a.yml", ".gitignore", "code.py", "new.py"]


def test_what_is_named_travels_although_git_ignores_it(checkout: Path) -> None:
    assert "model.keras" in paths(gathered(checkout, [checkout / "model.keras"]))


def test_what_is_excluded_stays_unless_it_is_named(checkout: Path) -> None:
    assert paths(gathered(checkout, exclude=["*.py", ".git*"])) == []
    assert paths(gathered(checkout, [checkout / "code.py"], ["*"])) == ["code.py"]


def test_a_folder_without_a_repository_travels_whole_but_for_what_is_made_anew(tmp_path: Path) -> None:
    write(tmp_path, {"a/b.py": "1", ".keras-validator/run/x": "2", "__pycache__/c.pyc": "3"})
    assert paths(gathered(tmp_path)) == ["a/b.py"]


def test_without_a_repository_hidden_files_stay_too(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "1", ".env": "TOKEN=secret", ".aws/credentials": "secret", "m/.hidden": "2"})
    assert paths(gathered(tmp_path)) == ["a.py"]
    assert paths(gathered(tmp_path, [tmp_path / "m"])) == ["a.py", "m/.hidden"]


def test_what_is_hidden_in_a_repository_in_this_one_stays(checkout: Path) -> None:
    write(checkout / "nested", {"code.py": "1", ".env": "secret", ".git/config": "secret"})
    git(checkout / "nested", "init", "-q")
    assert [path for path in paths(gathered(checkout)) if "nested" in path] == ["nested/code.py"]


def test_names_that_are_no_text_and_links_to_themselves_stay(checkout: Path) -> None:
    (checkout / "loop").symlink_to("loop")
    (checkout / os.fsdecode(b"bad\xff.py")).write_text("1")
    git(checkout, "add", "loop")
    assert paths(gathered(checkout)) == [".github/a.yml", ".gitignore", "code.py", "loop", "new.py"]
    gathered(checkout).bundle.model_dump_json()


def test_a_link_to_elsewhere_takes_nothing_along(checkout: Path, tmp_path: Path) -> None:
    write(tmp_path, {"home/id_rsa": "secret"})
    (checkout / "tracked").symlink_to(tmp_path / "home" / "id_rsa")
    (checkout / "folder").symlink_to(tmp_path / "home")
    git(checkout, "add", ".")
    assert {"tracked", "folder", "folder/id_rsa"}.isdisjoint(paths(gathered(checkout)))
    for named in ("tracked", "folder", "folder/id_rsa"):
        with pytest.raises(ConfigurationError, match="lies outside"):
            gathered(checkout, [checkout / named])


def test_a_link_inside_a_named_folder_to_elsewhere_takes_nothing_along(
    checkout: Path, tmp_path: Path
) -> None:
    write(tmp_path, {"home/id_rsa": "secret"})
    (checkout / "saved").mkdir()
    (checkout / "saved" / "key").symlink_to(tmp_path / "home" / "id_rsa")
    assert "saved/key" not in paths(gathered(checkout, [checkout / "saved"]))


def test_an_absolute_link_inside_the_checkout_travels_as_what_it_leads_to(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / "linked.keras").symlink_to(checkout / "model.keras")
    files = gathered(checkout, [checkout / "linked.keras"])
    host = Host(tmp_path / "host")
    with host.checkout(filled(host, files), is_alike=True) as root:
        assert (root / "linked.keras").read_text() == "weights"
        assert not (root / "linked.keras").is_symlink()


def test_a_named_file_outside_the_checkout_is_refused(checkout: Path, tmp_path: Path) -> None:
    write(tmp_path, {"model.keras": "weights"})
    with pytest.raises(ConfigurationError, match=r"lies outside .* so no other machine has it"):
        gathered(checkout, [checkout / ".." / "model.keras"])


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read_is_named(checkout: Path) -> None:
    (checkout / "new.py").chmod(0)
    with pytest.raises(ConfigurationError, match=r"new\.py cannot be read"):
        gathered(checkout)


def test_a_host_makes_the_same_checkout(checkout: Path, tmp_path: Path) -> None:
    (checkout / "new.py").chmod(0o755)
    (checkout / "link").symlink_to("code.py")
    (checkout / "outside").symlink_to("/etc/hostname")
    files = gathered(checkout)
    host = Host(tmp_path / "host")
    bundle = filled(host, files)
    with host.checkout(bundle, is_alike=True) as root:
        assert {path.name for path in root.iterdir()} >= {"code.py", "new.py", "link", ".github"}
        assert (root / "link").is_symlink()
        assert (root / "link").read_text() == "x = 1\n"
        assert os.access(root / "new.py", os.X_OK)
        assert not os.access(root / "code.py", os.X_OK)
        assert not (root / "outside").exists()


def test_contents_travel_once(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    filled(host, gathered(checkout))
    assert host.missing(gathered(checkout).bundle.contents) == ()
    (checkout / "code.py").write_text("x = 2\n")
    assert len(host.missing(gathered(checkout).bundle.contents)) == 1


def test_a_checkout_that_a_model_wrote_to_does_not_reach_the_content(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    bundle = filled(host, gathered(checkout))
    with host.checkout(bundle, is_alike=True) as root:
        (root / "code.py").write_text("spoilt")
    other = gathered(checkout, exclude=["new.py"])
    with host.checkout(other.bundle, is_alike=True) as root:
        assert (root / "code.py").read_text() == "x = 1\n"


def test_a_checkout_that_a_model_wrote_to_is_made_again(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    bundle = filled(host, gathered(checkout))
    with host.checkout(bundle, is_alike=True) as root:
        (root / "code.py").write_text("spoilt")
    with host.checkout(bundle, is_alike=True) as root:
        assert (root / "code.py").read_text() == "x = 1\n"


def test_two_shards_use_a_checkout_at_a_time(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    bundle = filled(host, gathered(checkout))
    with host.checkout(bundle, is_alike=True) as first:
        with host.checkout(bundle, is_alike=True) as second:
            assert first == second
        assert (first / "code.py").is_file()


def test_a_content_that_was_damaged_on_the_disk_is_not_used_and_is_missing_then(
    checkout: Path, tmp_path: Path
) -> None:
    host = Host(tmp_path / "host")
    bundle = filled(host, gathered(checkout))
    damaged = next(path for path in tmp_path.glob("host/contents/*/*") if path.read_text() == "x = 1\n")
    damaged.write_text("x = 7\n")
    with pytest.raises(OSError, match="damaged"), host.checkout(bundle, is_alike=True):
        pass
    assert host.missing(bundle.contents) == (damaged.name,)


def test_a_content_that_arrives_damaged_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with pytest.raises(ValueError, match="arrived damaged"):
        host.keep("0" * 64, [b"other"])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_lock_that_was_written_anew_does_not_cost_the_checkout(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    bundle = filled(host, gathered(checkout)).model_copy(update={"local": ("new.py",)})
    with host.checkout(bundle, is_alike=True) as root:
        (root / "new.py").write_text("resolved anew")
        (root / "environment").touch()
    with host.checkout(bundle, is_alike=True) as root:
        assert (root / "environment").exists()


def test_files_for_another_kind_of_machine_are_left_out(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    bundle = filled(host, gathered(checkout)).model_copy(update={"local": ("new.py",)})
    with host.checkout(bundle, is_alike=False) as root:
        assert not (root / "new.py").exists()
    with host.checkout(bundle, is_alike=True) as root:
        assert (root / "new.py").exists()


def test_a_path_that_leaves_the_checkout_is_refused(tmp_path: Path) -> None:
    bundle = Bundle.model_validate({"files": [{"path": "../up", "sha256": "0" * 64}]})
    with pytest.raises(OSError, match="leaves the checkout"), Host(tmp_path).checkout(bundle, is_alike=True):
        pass


def test_old_checkouts_go_unless_a_run_holds_them(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    places = []
    for number in range(7):
        (checkout / "code.py").write_text(f"x = {number}\n")
        bundle = filled(host, gathered(checkout))
        with host.checkout(bundle, is_alike=True) as root:
            places.append(root.parent)
        os.utime(root.parent, (number, number))
        if number == 0:
            held = root.parent.with_suffix(".lock").open("a")
            fcntl.flock(held, fcntl.LOCK_SH)
    assert [place.is_dir() for place in places] == [True, False, False, True, True, True, True]
    held.close()


def test_a_half_made_checkout_is_made_again(checkout: Path, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    files = gathered(checkout)
    with pytest.raises(OSError) as lacking, host.checkout(files.bundle, is_alike=True):  # noqa: PT011
        pass
    assert lacking.value.errno == errno.ENOENT
    with host.checkout(filled(host, files), is_alike=True) as root:
        assert (root / "code.py").is_file()


def test_both_sides_of_a_pull_request_can_be_read_through_git_and_no_credentials_travel(
    checkout: Path, tmp_path: Path
) -> None:
    git(checkout, "remote", "add", "origin", "https://user:secret@example.com/a.git")
    base = git(checkout, "rev-parse", "HEAD")
    (checkout / "code.py").write_text("x = 2\n")
    git(checkout, "commit", "-qam", "two")
    head = git(checkout, "rev-parse", "HEAD")
    files = collect(checkout, [], history(checkout, (head, base, head), tmp_path / "commits", whole=True), ())
    host = Host(tmp_path / "host")
    with host.checkout(filled(host, files), is_alike=True) as root:
        there = Repository(root)
        assert there.root == root.resolve()
        assert (there.commit("HEAD"), there.parents(head)) == (head, (base,))
        assert git(root, "show", f"{base}:code.py") == "x = 1"
        assert git(root, "diff", "--name-only", base, head) == "code.py"
        assert there.edited() == set()
        assert git(root, "ls-files", "--others") == "new.py"
        texts = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
        assert not any(b"secret" in text for text in texts)


def test_a_run_without_a_pull_request_knows_its_commit(checkout: Path, tmp_path: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    files = collect(checkout, [], history(checkout, (head,), tmp_path / "commits", whole=False), ())
    host = Host(tmp_path / "host")
    with host.checkout(filled(host, files), is_alike=True) as root:
        assert Repository(root).commit("HEAD") == head
