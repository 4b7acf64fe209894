"""Files of the Hugging Face Hub, S3, Google Cloud Storage and Azure, through the file systems of fsspec."""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from validator.remote.store import (
    PIECE,
    AbsentError,
    Holding,
    RefusedError,
    StoredFile,
    StoreError,
    Stream,
    TransientError,
    UnusableError,
)
from validator.text import first_line, plain, redact

_T = TypeVar("_T")
#: Scheme → the module of its file system, the extra that installs it, and how it is opened.
_BACKENDS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "hf": ("huggingface_hub", {}),
    "s3": ("s3fs", {"config_kwargs": {"connect_timeout": 15, "read_timeout": 60}}),
    "gs": ("gcsfs", {}),
    "az": ("adlfs", {}),
}
#: Keys of `info` that change with the content, the surest first.
_VERSIONS = ("ETag", "etag", "blob_id", "generation", "content_md5", "LastModified", "last_modified", "mtime")
#: Words in the class of an error, or in a class above it, that mean: no credentials, or not those.
_REFUSED = (
    "credential",
    "forbidden",
    "unauthorized",
    "accessdenied",
    "permission",
    "gated",
    "authentication",
    "profile",
)
#: Their libraries' logs. Without a handler the last resort of `logging` prints whole tracebacks on stderr.
_LOGS, _UNPRINTED = ("azure", "gcsfs", "huggingface_hub", "s3fs"), logging.NullHandler()
#: Of Azure's client, which waits 3 and 5 s then instead of 18, 24 and 42; a download tries again itself.
_AZURE_TRIES = {"retry_total": 2, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 0}
_CHANGED = "changed while it was fetched"
_SILENCE = 120.0  # seconds until an answer of a store must be there, whatever its library waits for


@dataclass(frozen=True)
class BucketStore:
    """A file system of fsspec."""

    scheme: str
    files: Any

    @classmethod
    def of(cls, scheme: str) -> BucketStore:
        """The store of a scheme, with the credentials that its library finds.

        UnusableError says which extra to install.
        """
        module, options = _BACKENDS[scheme]
        if scheme == "hf":  # its library reads the variable once, when it is imported
            options = {**options, "endpoint": os.environ.get("HF_ENDPOINT")}
        try:
            importlib.import_module(module)
            fsspec = importlib.import_module("fsspec")
        except ImportError:
            raise UnusableError(
                f'needs the package {module}: pip install "keras-upgrade-validator[{scheme}]"'
            ) from None
        for name in _LOGS:
            logging.getLogger(name).addHandler(_UNPRINTED)
        common = {"skip_instance_cache": True, "use_listings_cache": False}
        return cls(scheme, _bounded(lambda: _opened(scheme, fsspec.filesystem, {**common, **options})))

    def holding(self, place: str) -> Holding:
        """The file itself, or every file below a folder."""
        path = place.partition("://")[2].rstrip("/")
        about = _bounded(lambda: self.files.info(path))
        if about["type"] != "directory":
            return Holding((_file(about, path.rsplit("/", 1)[-1]),))
        below = _bounded(lambda: self.files.find(path, detail=True))
        root = str(about["name"]).rstrip("/")
        listed = [_file(each, str(each["name"]).removeprefix(f"{root}/")) for each in below.values()]
        return Holding(tuple(each for each in listed if not each.name.endswith("/")), is_folder=True)

    def open(self, file: StoredFile, start: int, version: str) -> Stream:
        """Read a file in ranges; the whole of it where it has another version than its start."""
        source = _bounded(lambda: self.files.open(file.place, "rb", block_size=PIECE, cache_type="none"))
        current = _file(source.details, file.name)
        begins = start if version == current.version and version else 0
        return Stream(begins, current.size, current.version, self._pieces(source, current, begins))

    def is_current(self, file: StoredFile, version: str) -> bool:
        """Whether the listing, which is new, has that version."""
        return bool(version) and file.version == version

    def _pieces(self, source: Any, file: StoredFile, start: int) -> Iterator[bytes]:
        """The ranges. The last is held back until the file is known to be what it was before the first."""
        at = start
        try:
            _bounded(lambda: source.seek(start))
            while piece := _bounded(lambda: source.read(PIECE)):
                at += len(piece)
                if at >= (file.size or 0):
                    self._check_version(file)
                yield piece
        finally:
            source.close()

    def _check_version(self, file: StoredFile) -> None:
        now = _file(_bounded(lambda: self.files.info(file.place)), file.name)
        if now.version != file.version:
            raise TransientError(_CHANGED)


def _opened(scheme: str, filesystem: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """A file system. What it cannot be opened with are settings: it has not seen an address."""
    try:
        files = filesystem(scheme, **options)
    except (ValueError, TypeError) as error:
        raise RefusedError(f"cannot be opened ({_words(error.__cause__ or error)})") from None
    if scheme == "az":  # adlfs hands no options on
        client = files.service_client
        files.service_client = type(client)(client.url, credential=client.credential, **_AZURE_TRIES)
    return files


def _file(about: Mapping[str, Any], name: str) -> StoredFile:
    size = about.get("size")
    lfs = about.get("lfs")
    sha256 = lfs.get("sha256", "") if isinstance(lfs, Mapping) else ""
    version = sha256 or next((about[key] for key in _VERSIONS if about.get(key)), "")
    return StoredFile(str(about["name"]), name, size if isinstance(size, int) else None, str(version))


def _bounded(call: Callable[[], _T]) -> _T:
    """The result of a library's call, or its error as one of ours, within `_SILENCE`.

    Such a library waits and tries again by its own rules; what it still waits for then is left behind.
    """
    outcome: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_SILENCE)
    if errors:
        raise errors[0] if isinstance(errors[0], StoreError) else _translated(errors[0]) from None
    if not outcome:
        raise TransientError(f"did not answer within {_SILENCE:g} s")
    return outcome[0]


def _translated(error: BaseException) -> StoreError:
    """What an error of a library means, by its HTTP status where it has one."""
    chain = list(_chain(error))
    status = next((code for each in chain if (code := _status(each))), 0)
    names = " ".join(kind.__name__ for each in chain for kind in type(each).__mro__).lower()
    if status in (401, 403) or any(word in names for word in _REFUSED):
        return RefusedError(f"answers {status}: access is refused" if status else "refuses access")
    if status in (404, 410) or any(isinstance(each, FileNotFoundError) for each in chain):
        return AbsentError("does not exist")
    if status == 412:  # s3fs asks for the ETag that it began with
        return TransientError(_CHANGED)
    words = _words(error)
    if status in range(400, 500) and status not in (408, 429):
        return UnusableError(f"answers {status} ({words}); correct the address")
    if isinstance(error, (ValueError, TypeError, KeyError, ImportError, NotImplementedError)):
        return UnusableError(f"cannot be used ({words}); correct the address or the store's settings")
    return TransientError(f"answers {status}" if status else f"cannot be reached ({words})")


def _words(error: BaseException) -> str:
    return plain(redact(first_line(str(error))), 200).rstrip(".!") or type(error).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    depth = 0
    while error is not None and depth < 10:
        yield error
        error, depth = error.__cause__ or error.__context__, depth + 1


def _status(error: BaseException) -> int:
    """The HTTP status of an error; 0 where it has none."""
    answer = getattr(error, "response", None)
    if isinstance(answer, Mapping):  # botocore's
        metadata = answer.get("ResponseMetadata")
        code = metadata.get("HTTPStatusCode") if isinstance(metadata, Mapping) else None
    else:
        code = getattr(answer, "status_code", None)
    for value in (
        code,
        getattr(error, "status_code", None),
        getattr(error, "status", None),
        getattr(error, "code", None),
    ):
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return 0
