"""The folder that a client and all workers reach, as a path or an address of fsspec: contents by digest."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

from validator.documents import file_digest


def put(store: str, sources: Mapping[str, Path], say: Callable[[str], None] = lambda _: None) -> None:
    """Bring contents there, as far as it lacks them. `sources`: digest → file.

    Raises:
        OSError: it cannot be written, or a file has another content by now.
    """
    import fsspec

    try:
        system, root = fsspec.core.url_to_fs(store)
        system.makedirs(root, exist_ok=True)
        for digest, path in sources.items():
            place = f"{root.rstrip('/')}/{digest}"
            if not system.exists(place):
                if file_digest(path) != digest:
                    raise OSError(f"{path} changed since the run began")
                say(f"to {store}: {path.name}")
                partial = f"{place}.{uuid.uuid4().hex}.part"
                system.put_file(str(path), partial)
                system.mv(partial, place)
    except Exception as error:  # of any of fsspec's file systems
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise OSError(f"the store {store} cannot be written: {reason}") from None
