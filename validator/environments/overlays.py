"""Wheels of Keras to lay over one environment, each installed once; which releases and nights there are."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from packaging.version import InvalidVersion, Version

from validator.config.settings import Install
from validator.environments.uv import Uv, index_arguments
from validator.failure import Failure

#: Written when an overlay is complete.
_MARKER = ".keras-validator-overlay"
#: What releases of Keras 3 import, declared or not: 3.0 to 3.3 need `packaging` without saying so.
_BESIDE = ("absl-py", "dm-tree", "h5py", "ml-dtypes", "namex", "optree", "packaging", "rich")
#: For so long a list of versions is not asked for again.
_LIST_SECONDS = 6 * 3600
_UPLOADED = re.compile(r"upload-time = (\d{4}-\d\d-\d\dT[\d:.]+Z)")
_NIGHT = re.compile(r"\.dev(\d{10})$")
_PREFETCHERS = 2


@dataclass(frozen=True)
class Wheel:
    """A version of a distribution: `keras` or `keras-nightly`."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def stamp(self) -> datetime | None:
        """When a night was built (UTC); None for a release."""
        outcome = _NIGHT.search(self.version)
        return datetime.strptime(outcome[1], "%Y%m%d%H").replace(tzinfo=timezone.utc) if outcome else None


def is_night(version: str) -> bool:
    """Whether a version is one of a night of Keras 3 that carries its date and hour."""
    outcome = _NIGHT.search(version)
    if outcome is None:
        return False
    try:
        datetime.strptime(outcome[1], "%Y%m%d%H")
        return Version(version).major >= 3
    except (ValueError, InvalidVersion):
        return False


@dataclass
class Overlays:
    """Overlays in a folder, for one interpreter and one index. Threads may call it at once."""

    root: Path
    python: Path
    install: Install
    uv: Uv
    _locks: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _pool: ThreadPoolExecutor | None = None
    _failed: dict[str, Failure] = field(default_factory=dict)

    def close(self) -> None:
        """Begin no further installation of those that were asked for ahead of time."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def folder(self, wheel: Wheel) -> Path | Failure:
        """The folder that a wheel is installed in, without what it depends on."""
        return self._installed(
            f"{wheel.distribution}-{wheel.version}", [f"{wheel.distribution}=={wheel.version}"]
        )

    def beside(self, keep: Iterable[str]) -> Path | Failure:
        """A folder with what some release imports and the environment lacks; `keep` names what it has."""
        lacking = [name for name in _BESIDE if name not in set(keep)]
        if not lacking:
            return self.root
        name = hashlib.sha256(" ".join(lacking).encode()).hexdigest()[:12]
        return self._installed(f"beside-{name}", lacking)

    def prefetch(self, wheels: Iterable[Wheel]) -> None:
        """Install some overlays ahead, in the background."""
        self._pool = self._pool or ThreadPoolExecutor(_PREFETCHERS, "overlay")
        for wheel in wheels:
            if not self._target(f"{wheel.distribution}-{wheel.version}").is_dir():
                self._pool.submit(self.folder, wheel)

    def digest(self, wheel: Wheel) -> str:
        """Names what an overlay holds: its version, and where wheels come from."""
        return f"{wheel.distribution}-{wheel.version}-{self._source}"

    def releases(self, distribution: str = "keras") -> tuple[Version, ...] | Failure:
        """The stable releases of the index, oldest first."""
        listed = self._listed(distribution)
        if isinstance(listed, Failure):
            return listed
        versions = [Version(text) for text in listed if _is_version(text)]
        return tuple(sorted(version for version in versions if not version.is_prerelease))

    def nights(self) -> tuple[Wheel, ...] | Failure:
        """The nights of Keras 3, by their date: labels move months before a release, and say nothing."""
        listed = self._listed("keras-nightly")
        if isinstance(listed, Failure):
            return listed
        stamped = [
            (outcome[1], text) for text in listed if is_night(text) and (outcome := _NIGHT.search(text))
        ]
        return tuple(Wheel("keras-nightly", text) for _, text in sorted(stamped))

    def uploaded(self, wheel: Wheel) -> datetime | Failure:
        """When a wheel was uploaded (UTC)."""
        known = self.root / "uploads.json"
        with self._guard:
            times = _read(known)
        if str(wheel) not in times:
            arguments = ["pip", "compile", "-", "--no-deps", "--no-header", "--format=pylock.toml"]
            arguments += [f"--python={self.python}", *self._index()]
            answer = self._alone("resolve", arguments, f"{wheel.distribution}=={wheel.version}\n")
            if isinstance(answer, Failure):
                return answer
            outcome = _UPLOADED.findall(answer)
            if not outcome:
                message = f"the index does not say when {wheel} was uploaded"
                return Failure(stage="resolve", error="uv", message=message)
            with self._guard:
                times = {**_read(known), str(wheel): max(outcome)}
                _write(known, times)
        return datetime.fromisoformat(str(times[str(wheel)]).replace("Z", "+00:00"))

    @property
    def _source(self) -> str:
        facts = self.install.model_dump(mode="json", exclude_defaults=True)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]

    def _target(self, name: str) -> Path:
        return self.root / f"{name}-{self._source}"

    def _index(self) -> list[str]:
        return [*index_arguments(self.install), "--prerelease=allow"]

    def _installed(self, name: str, requirements: Sequence[str]) -> Path | Failure:
        with self._guard:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            target = self._target(name)
            if (target / _MARKER).is_file():
                return target
            if name in self._failed:
                return self._failed[name]
            answer = self._install(target, requirements)
            if isinstance(answer, Failure):
                self._failed[name] = answer
            return answer

    def _install(self, target: Path, requirements: Sequence[str]) -> Path | Failure:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.root, prefix=".installing-") as scratch:
                made = Path(scratch, "made")
                arguments = ["pip", "install", "--no-deps", f"--target={made}", f"--python={self.python}"]
                answer = self._alone("install", [*arguments, *self._index(), *requirements])
                if isinstance(answer, Failure):
                    return answer
                (made / _MARKER).write_text("\n".join(requirements), encoding="utf-8")
                shutil.rmtree(target, ignore_errors=True)
                if not target.exists():  # else another process was faster
                    made.rename(target)
        except OSError as error:
            message = f"{self.root}: {error.strerror or error}; overlays cannot be installed there"
            return Failure(stage="install", error=type(error).__name__, message=message)
        return target

    def _listed(self, distribution: str) -> tuple[str, ...] | Failure:
        """Every version of the index that this interpreter can have."""
        known = self.root / f"versions-{distribution}-{self._source}.json"
        kept = _read(known)
        if kept and time.time() - known.stat().st_mtime < _LIST_SECONDS:
            return tuple(kept["versions"])
        # uv has no command that lists the versions of a package; pip, which uv runs, has.
        arguments = ["tool", "run", *_where(self.install, "--index-url"), "pip"]
        arguments += ["index", "versions", distribution, "--pre", "--json", "--disable-pip-version-check"]
        arguments += [*_where(self.install, "--index-url"), *self._links()]
        answer = self._alone("resolve", arguments)
        if isinstance(answer, Failure):
            return tuple(kept["versions"]) if kept else answer
        try:
            versions = [str(text) for text in json.loads(answer)["versions"]]
        except (ValueError, KeyError, TypeError):
            message = f"the versions of {distribution} cannot be read: {answer[:200]}"
            return Failure(stage="resolve", error="pip", message=message)
        _write(known, {"versions": versions})
        return tuple(versions)

    def _links(self) -> list[str]:
        extra = [f"--extra-index-url={url}" for url in self.install.extra_index_urls]
        links = [f"--find-links={place}" for place in self.install.find_links]
        return [*extra, *links, *(["--no-index"] if self.install.no_index else [])]

    def _alone(self, stage: str, arguments: Sequence[str], stdin: str = "") -> str | Failure:
        """Run uv in an empty folder, so that no pyproject.toml or uv.toml of the caller takes part."""
        with tempfile.TemporaryDirectory() as folder:
            return self.uv.run("install" if stage == "install" else "resolve", arguments, stdin, Path(folder))


def _where(install: Install, option: str) -> list[str]:
    return [f"{option}={install.index_url}"] if install.index_url else []


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _read(path: Path) -> dict[str, list[str] | str]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _write(path: Path, value: dict[str, list[str] | str]) -> None:
    """Keep a value, where it can be kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps(value), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return
