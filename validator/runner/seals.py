"""Whether a capture is still what its job left: digests of its files, taken as the job ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from validator.documents import file_digest
from validator.failure import Failure
from validator.runner.captures import Capture

_MODEL = "artifact"  # keras_capture/model/artifacts.py; nothing in it is read


def sealed(capture: Capture, most: int) -> Capture | Failure:
    """The capture with digests of its files, which hold `most` bytes at most; or what is wrong with them."""
    folder = capture.folder
    if os.path.realpath(folder) != str(folder):
        return _broken(capture, "its folder was replaced by a link")
    files = dict(_files(folder))
    links = sorted(name for name, path in files.items() if path.is_symlink())
    if links:
        return _broken(capture, f"{links[0]} is a link")
    size = sum(path.lstat().st_size for path in files.values())
    if size > most:
        return _broken(capture, f"its files hold {size / 2**30:,.1f} GiB, more than the disk had room for")
    try:
        return replace(capture, seal=_digests(files))
    except OSError as error:
        return _broken(capture, f"{error.filename}: {error.strerror}")


def intact(capture: Capture) -> Capture | Failure:
    """The capture, or which of its files changed since its job ended. One without a seal is not looked at."""
    if not capture.seal:
        return capture
    try:
        digests = _digests({name: capture.folder / name for name in capture.seal})
    except OSError as error:
        return _changed(capture, f"{error.filename}: {error.strerror}")
    changed = sorted(name for name, digest in capture.seal.items() if digests[name] != digest)
    return _changed(capture, changed[0]) if changed else capture


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files and links below a folder by their path in it, without what is no result.

    That are the folders of further jobs (`+noise`), and the one in which the worker links the model's file.
    """
    for root, folders, names in os.walk(folder):
        if Path(root) == folder:
            folders[:] = [name for name in folders if not name.startswith("+") and name != _MODEL]
        paths = [Path(root, name) for name in (*names, *folders)]
        for path in paths:
            if path.is_symlink() or path.is_file():
                yield str(path.relative_to(folder)), path


def _digests(files: Mapping[str, Path]) -> dict[str, str]:
    return {name: file_digest(path) for name, path in files.items()}


def _broken(capture: Capture, why: str) -> Failure:
    return Failure(stage="crash", error="capture", message=f"{capture.response.id}: not a capture: {why}")


def _changed(capture: Capture, what: str) -> Failure:
    message = f"{what} of {capture.response.id} is not what its job left; something else wrote to it"
    return Failure(stage="tampered", error="", message=message)
