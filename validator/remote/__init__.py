"""Addresses of models and recordings that lie elsewhere → files in the project's cache, by their digest.

In come an address, a digest that it must have, and limits; out comes a `Fetched`: a path, its SHA-256, and
whether that was pinned. Credentials are read by this process alone; a worker gets the path of a file.
"""

from validator.remote.cache import digest, entries_of, files_below
from validator.remote.fetch import Fetched, Fetcher, Limits

__all__ = ["Fetched", "Fetcher", "Limits", "digest", "entries_of", "files_below"]
