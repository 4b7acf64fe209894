"""Real git repositories, made anew for each test."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from validator.environments import Uv, UvInstaller
from validator.upgrade import Repository
from validator.upgrade.git import Snapshot
from validator.upgrade.manifest import DependencyManifest
from validator.upgrade.reader import Reader

Files = dict[str, str | bytes | None]


class Repo:
    """A working copy with an identity of its own; nothing of the machine's git settings is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def git(self, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        options = (
            "-c",
            "protocol.file.allow=always",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=main",
        )
        done = subprocess.run(
            ["git", "-C", str(self.folder), *options, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: Files) -> None:
        for name, content in files.items():
            path = self.folder / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Files, message: str = "change") -> str:
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def pull_request(self, files: Files, message: str = "upgrade") -> str:
        """Commit to a branch and check out its merge into main, as GitHub does; return the branch's tip."""
        self.git("checkout", "--quiet", "-b", "topic")
        tip = self.commit(files, message)
        self.git("checkout", "--quiet", "main")
        self.git("merge", "--quiet", "--no-ff", "-m", "Merge topic into main", "topic")
        return tip

    def clone(self, folder: Path, *arguments: str) -> Repo:
        """Clone over the file protocol, which honours a depth."""
        made = Repo(folder)
        made.git("clone", "--quiet", *arguments, f"file://{self.folder}", ".")
        return made


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    made = Repo(tmp_path / "repo")
    made.git("init", "--quiet", "-b", "main")
    return made


class Reading:
    """Reads one manifest out of a commit."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo

    def __call__(self, files: Files, name: str) -> DependencyManifest:
        sha = self.repo.commit(files)
        reader = Reader(Snapshot(Repository(self.repo.folder), sha, "head"))
        return reader.manifest(name)


@pytest.fixture
def read(repo: Repo) -> Reading:
    return Reading(repo)


@pytest.fixture
def installer() -> UvInstaller:
    return UvInstaller(Uv.bundled(os.environ))
