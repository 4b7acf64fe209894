"""What a worker's host keeps from run to run: contents by digest, and checkouts made of them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from validator.cluster.files import Bundle
from validator.documents import file_digest

#: Checkouts that are kept beside those in use, and for how long contents are that nothing asked for.
_CHECKOUTS = 3
_CONTENT_SECONDS = 14 * 86400.0


#: In the folder of a shard: that of its run.
RUN = "run"


@dataclass(frozen=True)
class Host:
    """A folder that all workers of a host share."""

    folder: Path

    def missing(self, contents: Mapping[str, int]) -> tuple[str, ...]:
        """Which contents are not here. `contents`: digest → bytes."""
        return tuple(digest for digest, size in contents.items() if not self._has(digest, size))

    def keep(self, digest: str, pieces: Iterable[bytes]) -> None:
        """Keep a content. ValueError where its digest is another, OSError where it cannot be written."""
        path = self._content(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with partial.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
            if file_digest(partial) != digest:
                raise ValueError(f"content {digest[:12]} arrived damaged")
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def read(self, digest: str, start: int, size: int) -> bytes:
        """Bytes of a content from `start`. OSError where it is not here."""
        with self._content(digest).open("rb") as file:
            file.seek(start)
            return file.read(size)

    def append(self, name: str, piece: bytes) -> Path:
        """Append to an unfinished content, which arrives in pieces."""
        path = self.folder / "arriving" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(piece)
        return path

    @contextlib.contextmanager
    def checkout(self, bundle: Bundle, *, is_alike: bool) -> Iterator[Path]:
        """The files of a bundle in a folder, which stays while it is held; made unless it is there.

        `is_alike`: whether this host is of the client's kind; otherwise it gets no files that are not for it.

        Raises:
            OSError: it cannot be written.
        """
        kind = "" if is_alike else "-other"
        place = self.folder / "checkouts" / f"{bundle.digest[:32]}{kind}"
        place.parent.mkdir(parents=True, exist_ok=True)
        unwanted = () if is_alike else bundle.local
        root = place / "files"
        with place.with_suffix(".lock").open("a") as holder:
            fcntl.flock(holder, fcntl.LOCK_SH)
            while not ((place / ".complete").is_file() and _holds(bundle, root)):
                fcntl.flock(holder, fcntl.LOCK_EX)  # once no other shard uses it
                if not ((place / ".complete").is_file() and _holds(bundle, root)):
                    shutil.rmtree(place, ignore_errors=True)
                    self._make(bundle, root, unwanted)
                    (place / ".complete").touch()
                fcntl.flock(holder, fcntl.LOCK_SH)
            os.utime(place)
            self._prune(place)
            yield root

    def run_folder(self, pieces: Bundle) -> Path:
        """A new folder for the run of a shard, with what others predicted for it. OSError as `checkout`."""
        folder = self.folder / "runs" / uuid.uuid4().hex
        folder.mkdir(parents=True)
        try:
            self._make(pieces, folder / RUN, ())
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def _has(self, digest: str, size: int) -> bool:
        with contextlib.suppress(OSError):
            path = self._content(digest)
            if path.stat().st_size == size:
                os.utime(path)
                return True
        return False

    def _content(self, digest: str) -> Path:
        return self.folder / "contents" / digest[:2] / digest

    def _make(self, bundle: Bundle, root: Path, unwanted: Collection[str]) -> None:
        (root / bundle.folder).mkdir(parents=True, exist_ok=True)
        for file in bundle.files:
            if file.path in unwanted:
                continue
            path = Path(os.path.normpath(root / file.path))
            if not path.is_relative_to(root):
                raise OSError(f"{file.path!a} leaves the checkout")
            path.parent.mkdir(parents=True, exist_ok=True)
            if file.link:
                path.symlink_to(file.link)
                continue
            # A copy: what a model's code writes into its checkout must not reach the content.
            shutil.copyfile(self._content(file.sha256), path)
            if file_digest(path) != file.sha256:
                self._content(file.sha256).unlink()
                raise OSError(errno.EIO, "a content was damaged, and is fetched again", file.path)
            path.chmod(0o755 if file.executable else 0o644)

    def _prune(self, used: Path) -> None:
        """Remove old checkouts that no run holds, and contents that none asked for in two weeks."""
        places = [path for path in used.parent.iterdir() if path.is_dir() and path != used]
        places.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for place in places[_CHECKOUTS:]:
            with contextlib.suppress(OSError), place.with_suffix(".lock").open("a") as holder:
                fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(place)
        oldest = time.time() - _CONTENT_SECONDS
        for path in (*self.folder.glob("contents/*/*"), *self.folder.glob("arriving/*")):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    path.unlink()
        for path in self.folder.glob("runs/*"):  # of workers that were killed
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < oldest:
                    shutil.rmtree(path)


def _holds(bundle: Bundle, root: Path) -> bool:
    """Whether a checkout still has what it was made of: code of a model could have written to it.

    Locks and git's index are the tool's to write anew.
    """
    own = {*bundle.local, ".git/index"}
    files = [file for file in bundle.files if not file.link and file.path not in own]
    try:
        return all(file_digest(root / file.path) == file.sha256 for file in files)
    except OSError:
        return False
