"""What a model is made of in the work tree, so that a kept result is used for the same files alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

from validator.config.settings import ModelSettings
from validator.errors import ConfigurationError
from validator.upgrade.git import GitError, Repository, Snapshot
from validator.upgrade.models.parts import ModelParts
from validator.upgrade.models.tree import SourceTree


def model_files(folder: Path, model: ModelSettings) -> dict[str, str] | str:
    """The files of the repository that a model reads and imports, with their SHA-256; or why it is not known.

    Args:
        folder: of the validator.yml, in a git work tree.
        model: as validator.yml describes it.
    """
    try:
        repository = Repository(folder)
        changed = repository.run("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all")
        if any(line.endswith(b".py") for line in changed.split(b"\0")):
            return "the work tree has Python files that are not committed"
        root = repository.root
        snapshot = Snapshot(repository, repository.run("rev-parse", "HEAD").decode().strip(), "head")
        parts = ModelParts.of(
            model, SourceTree(snapshot, folder.relative_to(root).as_posix().strip("."), root)
        )
        return {
            path: hashlib.sha256((root / path).read_bytes()).hexdigest()
            for path in sorted(parts.files)
            if (root / path).is_file()
        }
    except (ConfigurationError, GitError, OSError, ValueError) as error:
        return f"its files are not known from git ({str(error).splitlines()[0]})"
