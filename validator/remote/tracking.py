"""Models that an MLflow tracking server keeps, by its REST API: `models:/name/version`, `runs:/id/path`.

https://mlflow.org/docs/latest/api_reference/rest-api.html; seen with MLflow 2.22 and 3.17.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from validator.remote.store import AbsentError, Holding, StoredFile, Stream, TransientError, UnusableError
from validator.remote.web import WebStore

_API = "/api/2.0/mlflow"
_MOST_BYTES = 16 << 20
_MOST_FILES = 10_000
_PAUSES = (0.5, 2.0)  # seconds before a question is put again


@dataclass(frozen=True)
class TrackingServer:
    """The server that `MLFLOW_TRACKING_URI` names, with the credentials of MLflow's own variables."""

    base: str
    web: WebStore

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> TrackingServer:
        """The server of these variables. UnusableError where they name none."""
        base = environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")
        if urlsplit(base).scheme not in ("http", "https"):
            raise UnusableError("needs the URL of a tracking server: set MLFLOW_TRACKING_URI to http(s)://…")
        headers = {}
        if token := environ.get("MLFLOW_TRACKING_TOKEN"):
            headers["Authorization"] = f"Bearer {token}"
        elif user := environ.get("MLFLOW_TRACKING_USERNAME"):
            base = _with_login(base, user, environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        return cls(base, WebStore(headers))

    def artifacts(self, reference: str) -> str:
        """Where the files of `models:/name/version`, `models:/name@alias`, `models:/m-id` or `runs:/id/path`
        are kept, as a URI."""
        kind, _, rest = reference.partition(":/")
        name, _, path = rest.strip("/").partition("/")
        if kind == "runs":
            return self._of_run(name, path)
        if name.startswith("m-") and not path:
            return self._of_logged(name)
        name, _, alias = name.partition("@")
        version = path
        if alias:
            answer = self._ask("registered-models/alias", name=name, alias=alias)
            version = str(_at(answer, "model_version", "version"))
        if not version.isdigit():
            raise UnusableError("needs a version: models:/name/3, or an alias: models:/name@champion")
        source = str(
            _at(self._ask("model-versions/get-download-uri", name=name, version=version), "artifact_uri")
        )
        return self._of_logged(source.partition(":/")[2]) if source.startswith("models:/m-") else source

    def listed(self, path: str) -> Iterator[StoredFile]:
        """Every file below a path of the artifacts that the server hands on."""
        waiting, count = [""], 0
        while waiting:
            folder = waiting.pop()
            place = "/".join(filter(None, (path, folder)))
            answer = self._json(
                f"{self.base}/api/2.0/mlflow-artifacts/artifacts?{urlencode({'path': place})}"
            )
            for each in answer.get("files", []):
                name = "/".join(filter(None, (folder, str(each["path"]))))
                count += 1
                if count > _MOST_FILES:
                    raise UnusableError(f"holds more than {_MOST_FILES:,} files; name the folder of a model")
                if each.get("is_dir"):
                    waiting.append(name)
                    continue
                size = each.get("file_size")
                url = f"{self.base}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{path}/{name}')}"
                yield StoredFile(url, name, int(size) if size is not None else None)

    def _of_run(self, run: str, path: str) -> str:
        """A model that the run logged by this name (MLflow 3), otherwise a folder of the run's artifacts."""
        answer = _at(self._ask("runs/get", run_id=run), "run")
        first, _, rest = path.partition("/")
        for output in (answer.get("outputs") or {}).get("model_outputs", ()):
            info = _at(self._ask(f"logged-models/{quote(str(output['model_id']))}"), "model", "info")
            if info.get("name") == first:
                return "/".join(filter(None, (str(info["artifact_uri"]), rest)))
        return "/".join(filter(None, (str(_at(answer, "info", "artifact_uri")).rstrip("/"), path)))

    def _of_logged(self, model: str) -> str:
        return str(_at(self._ask(f"logged-models/{quote(model)}"), "model", "info", "artifact_uri"))

    def _ask(self, method: str, **arguments: str) -> dict[str, Any]:
        query = f"?{urlencode(arguments)}" if arguments else ""
        return self._json(f"{self.base}{_API}/{method}{query}")

    def _json(self, url: str) -> dict[str, Any]:
        for pause in _PAUSES:
            try:
                return self._answer(url)
            except TransientError:
                time.sleep(pause)
        return self._answer(url)

    def _answer(self, url: str) -> dict[str, Any]:
        stream = self.web.open(StoredFile(url, ""), 0, "")
        content = b""
        for piece in stream.pieces:
            content += piece
            if len(content) > _MOST_BYTES:
                raise UnusableError("is answered with more than 16 MiB; is MLFLOW_TRACKING_URI right?")
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UnusableError("is not answered in JSON; is MLFLOW_TRACKING_URI right?")
        return answer


@dataclass(frozen=True)
class ArtifactStore:
    """Artifacts that a tracking server hands on (`mlflow-artifacts:/…`)."""

    server: TrackingServer

    def holding(self, place: str) -> Holding:
        """Every file below the folder of a model."""
        files = tuple(self.server.listed(urlsplit(place).path.strip("/")))
        if not files:
            raise AbsentError("there are no such artifacts")
        return Holding(files, is_folder=True)

    def open(self, file: StoredFile, start: int, version: str) -> Stream:
        """GET a file. The server knows neither ranges nor versions, so that a cut download begins again."""
        return self.server.web.open(file, start, version)

    def is_current(self, file: StoredFile, version: str) -> bool:
        """Not known: the server tells no version."""
        return False


def _at(answer: Any, *keys: str) -> Any:
    """A value inside an answer. UnusableError where it is not there."""
    for key in keys:
        if not isinstance(answer, dict) or key not in answer:
            raise UnusableError(f"is answered without {key!r}; is MLFLOW_TRACKING_URI right?")
        answer = answer[key]
    return answer


def _with_login(base: str, user: str, password: str) -> str:
    parts = urlsplit(base)
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()
