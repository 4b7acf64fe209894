"""Results of runs, kept in the project's work folder: a search that is begun again goes on."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

from validator.origin.types import Behaviour


def key_of(*parts: object) -> str:
    """A name for a run: a digest of everything that decides what it gives."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


class Results:
    """Behaviour by run, a line of JSON each. What cannot be kept is forgotten with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, Behaviour] = {}
        self.writable = True
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            lines = []
        for line in lines:
            self._read(line)

    def _read(self, line: str) -> None:
        try:
            value = json.loads(line)
            self._known[str(value["key"])] = Behaviour.model_validate(value["behaviour"])
        except (ValueError, KeyError, TypeError):  # half a line, of a process that was ended
            return

    def get(self, key: str) -> Behaviour | None:
        """What a run gave, if it is known."""
        return self._known.get(key)

    def keep(self, key: str, behaviour: Behaviour) -> None:
        """Keep what a run gave."""
        self._known[key] = behaviour
        line = json.dumps({"key": key, "behaviour": behaviour.model_dump(mode="json")})
        try:
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(f"{line}\n")
        except OSError:
            self.writable = False
