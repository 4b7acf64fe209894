"""Another Keras than the environment's: the backend is imported first, without any, and each job has its own.

So one process imports TensorFlow once, and forks for every release, night or mixture of two that is tried.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import json
import platform
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Dict, Optional, Set, Tuple

from keras_capture.failures import StageError, UnusableError, stage
from keras_capture.model.imports import Framework, cpu, import_framework, packages
from keras_capture.wire.files import read_json, write_json
from keras_capture.wire.forking import choose_isolation
from keras_capture.wire.request import Overlay, Request

#: What Keras 3.0.0 to 3.15.1 import beside the backend, where it is there: paid once instead of in every job.
_BESIDE = ("numpy", "h5py", "ml_dtypes", "optree", "tree", "rich.console", "absl.logging", "namex")
_BESIDE += ("packaging.version", "scipy")
#: Parts of TensorFlow that are loaded when they are first touched; each of them computes nothing then.
_LAZY = ("data", "summary", "distribute", "io", "image", "signal", "linalg", "sparse", "random", "nn")
_LAZY += ("saved_model", "train", "lookup", "strings", "dtypes", "raw_ops", "config", "experimental")


def import_backend(request: Request, folder: Path) -> Tuple[bool, str]:
    """Import the backend without Keras, and write `environment.json`: whether it worked, the isolation."""
    facts = {"schema": 1, "packages": packages(), "python": platform.python_version()}
    facts.update(cpu=cpu(), backend=request.backend, keras=None, isolation=None, failure=None)
    ready = False
    try:
        with stage("import"):
            _import(request.backend)
            facts.update(isolation=choose_isolation())
            ready = True
    except StageError as failed:
        facts["failure"] = failed.as_dict()
    write_json(folder / "environment.json", facts)
    return ready, facts["isolation"] or ""


def _import(backend: str) -> None:
    for name in _BESIDE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    # TensorFlow 2.16.1 and newer import the installed Keras as they are imported, where there is one:
    # https://github.com/tensorflow/tensorflow/blob/v2.17.1/tensorflow/api_template.__init__.py#L160
    with _without("keras", "tf_keras"):
        module = importlib.import_module(backend)
        for name in _LAZY if backend == "tensorflow" else ():
            getattr(module, name, None)
    loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("keras", "tf_keras"))
    if loaded:
        raise UnusableError(f"{backend} imported {loaded[0]}, so that no other Keras can be laid over it")


@contextlib.contextmanager
def _without(*names: str) -> Iterator[None]:
    """An import of these modules fails."""
    for name in names:
        sys.modules[name] = None  # documented: such an import raises ModuleNotFoundError
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def import_laid_over(request: Request, overlay: Overlay) -> Framework:
    """Import the Keras of an overlay, in the process of its job."""
    with stage("import"):
        sys.path.insert(0, str(overlay.folder))
        sys.path += [path for path in overlay.beside if path not in sys.path]
        if overlay.sources is not None:
            texts = {str(overlay.folder / name): text for name, text in read_json(overlay.sources).items()}
            sys.meta_path.insert(0, _Mixture(texts))
        framework = import_framework(request)
        place = Path(framework.keras.__file__)
        if overlay.folder not in place.parents:
            raise UnusableError(f"Keras was imported from {place}, not from {overlay.folder}")
        return framework


class _Mixture(importlib.abc.MetaPathFinder):
    """Finds modules as ever, and loads those with a text of their own from that."""

    def __init__(self, texts: Dict[str, str]) -> None:
        self._texts = texts

    def find_spec(self, name: str, path=None, target=None) -> Optional[importlib.machinery.ModuleSpec]:
        if name.partition(".")[0] != "keras":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin in self._texts:
            spec.loader = _TextLoader(name, spec.origin, self._texts[spec.origin])
        return spec


class _TextLoader(importlib.machinery.SourceFileLoader):
    """Loads a module from a text, without bytecode on disk."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_data(self, path: str) -> bytes:
        return self._text.encode("utf-8")

    def path_stats(self, path: str) -> dict:
        raise OSError("not a file")  # documented: then no bytecode is read or written


@contextlib.contextmanager
def traced(overlay: Optional[Overlay]) -> Iterator[None]:
    """Write which modules of the overlay were imported, and which of its functions ran."""
    if overlay is None or overlay.trace is None:
        yield
        return
    root = str(overlay.folder) + "/"
    ran: Set[Tuple[str, int]] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(root):
            ran.add((frame.f_code.co_filename[len(root) :], frame.f_code.co_firstlineno))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
        files = (getattr(module, "__file__", None) or "" for module in list(sys.modules.values()))
        modules = sorted({file[len(root) :] for file in files if file.startswith(root)})
        overlay.trace.write_text(json.dumps({"modules": modules, "functions": sorted(ran)}), encoding="utf-8")
