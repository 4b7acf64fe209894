"""What the readers of locks share: a package at one version, from an index or from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable

from packaging.markers import InvalidMarker, Marker
from packaging.utils import canonicalize_name

from validator.errors import ConfigurationError
from validator.upgrade.manifest import Pin, Source, normal, pin_at
from validator.upgrade.text import show
from validator.upgrade.types import Index

PYPI = frozenset({"https://pypi.org/simple", "https://pypi.python.org/simple"})


def locked(source: Source, name: str, version: str | None, address: str = "", marker: str = "") -> Pin:
    """Return one package of a lock; `address` is set where it does not come from an index by its version."""
    if address:
        pin = pin_at(address, name, source)
    elif version:
        key, version = canonicalize_name(name), normal(version)
        specifier = f"=={version}"
        text = key + specifier
        pin = Pin(name=key, text=text, manifest=source.path, version=version, specifier=specifier)
    else:
        raise ConfigurationError(f"{source.where}: the package {show(name)} has no version.")
    if not marker:
        return pin
    try:
        marker = str(Marker(marker))
    except InvalidMarker as error:
        raise ConfigurationError(f"{source.where}: {show(str(error).splitlines()[0])}.") from None
    text = pin.text if pin.local else f"{pin.text} ; {marker}"
    return pin.model_copy(update={"marker": marker, "text": text})


def other_indexes(urls: Iterable[str | None]) -> Index:
    """Return the indexes of a lock's packages, without PyPI."""
    return Index(extra_index_urls=tuple(dict.fromkeys(url for url in urls if url and url not in PYPI)))
