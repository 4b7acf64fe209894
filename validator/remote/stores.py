"""An address → the store that keeps it, and what the store calls it."""

from __future__ import annotations

import os

from validator.remote.buckets import BucketStore
from validator.remote.store import Store, UnusableError
from validator.remote.tracking import ArtifactStore, TrackingServer
from validator.remote.web import WebStore

#: Scheme → where this process finds credentials, as the end of a sentence.
LOGINS = {
    "hf": "set HF_TOKEN, or run `hf auth login`",
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, "
    "or AZURE_STORAGE_CONNECTION_STRING",
    "https": "add the host to ~/.netrc",
    "http": "add the host to ~/.netrc",
    "mlflow": "set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
}


def scheme_of(address: str) -> str:
    """The scheme of an address: `hf`, `s3`, `mlflow` …"""
    return address.partition(":")[0]


def store_of(address: str) -> tuple[Store, str]:
    """The store of an address, and the place in it. Raises the errors of stores."""
    scheme = scheme_of(address)
    if scheme == "mlflow":
        return _tracked(address.partition(":")[2])
    if scheme in ("http", "https"):
        return WebStore(), address
    return BucketStore.of(scheme), address


def _tracked(reference: str) -> tuple[Store, str]:
    """Where a tracking server keeps the files: itself, or in a store that this process can reach."""
    server = TrackingServer.of(os.environ)
    place = server.artifacts(reference)
    scheme = scheme_of(place)
    if scheme == "mlflow-artifacts":
        return ArtifactStore(server), place
    if scheme in ("s3", "gs"):
        return BucketStore.of(scheme), place
    raise UnusableError(
        f"is kept in {scheme or 'a folder'}:…, which only the server reaches; start it with --serve-artifacts"
    )
