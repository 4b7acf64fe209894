"""Which releases an upgrade is checked between, and what runs each of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from packaging.version import InvalidVersion, Version

from validator.catalogue.entries import newest, releases
from validator.errors import ConfigurationError

Backend = Literal["tensorflow", "jax", "torch"]
LEGACY = "legacy"
#: From this Keras on → the TensorFlow and JAX that run it on Python 3.11; each pair was run in the tests'
#: environments (tests/conftest.py). The newest that still applies counts.
_RUNS_ON: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("3.14", {"tensorflow": "2.21.0", "jax": "0.10.2"}),
    ("3.0", {"tensorflow": "2.17.1", "jax": "0.4.34"}),
    ("0", {"tensorflow": "2.15.1"}),
)
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-macos")


@dataclass(frozen=True)
class ProposedMatrix:
    """The environments that are proposed.

    Attributes:
        keras: the baseline first.
        common: requirements of all.
        own: environment → what replaces them.
        source: where the baseline is from, as the end of a sentence.
    """

    keras: tuple[str, ...]
    backend: Backend
    common: tuple[str, ...]
    own: Mapping[str, tuple[str, ...]]
    source: str


@dataclass(frozen=True)
class VersionFacts:
    """What a folder says about versions; an empty text where it says nothing.

    `saved`: the release that saved the models; `pins` and `manifest`: what a manifest pins, and which it is;
    `since` and `until`: what the user asks for; `before`: the Keras that the manifest pinned before this
    branch.
    """

    saved: str = ""
    pins: Mapping[str, str] | None = None
    requirements: Mapping[str, str] | None = None
    manifest: str = ""
    since: str = ""
    until: str = ""
    before: str = ""


def propose(known: VersionFacts) -> ProposedMatrix:
    """The baseline and the candidate, and what each is installed with.

    Raises:
        ConfigurationError: `since` or `until` is no release.
    """
    baseline, source = _baseline(known)
    candidates = (_release("--to", known.until),) if known.until else _candidates(baseline)
    if known.before and not known.until:
        candidates = ((known.pins or {})["keras"],)
    keras = tuple(dict.fromkeys((baseline, *candidates)))
    if len(keras) == 1:
        raise ConfigurationError(f"--to {known.until} is the baseline itself; name another release")
    backend = _backend(known)
    return ProposedMatrix(keras, backend, *_requirements(known, keras, backend), source)


def _baseline(known: VersionFacts) -> tuple[str, str]:
    pins = known.pins or {}
    if known.since:
        return _release("--from", known.since), "the release that you named"
    if pins.get("keras"):
        when = "pinned before this branch" if known.before else "pins"
        return known.before or pins["keras"], f"what {known.manifest} {when}"
    if "tf-keras" in pins:
        return LEGACY, f"{known.manifest} pins tf-keras"
    if known.saved and _version(known.saved):
        return known.saved, "the release that saved the model"
    tensorflow = next((pins[name] for name in _TENSORFLOWS if name in pins), "")
    if tensorflow:
        return _keras_of(tensorflow), f"a Keras that runs on the TensorFlow {tensorflow} of {known.manifest}"
    return releases()[-2], "the release before the newest: neither the model nor a manifest names one"


def _candidates(baseline: str) -> tuple[str, ...]:
    latest = newest()
    version = _version(baseline)
    if baseline == LEGACY:
        return (latest,)
    if version is not None and version.major < 3:
        return (LEGACY, latest)
    if version is not None and version >= Version(latest):
        earlier = [each for each in releases() if Version(each) < version]
        return (earlier[-1],)
    return (latest,)


def _requirements(
    known: VersionFacts, keras: tuple[str, ...], backend: Backend
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """What is common to all environments, and what each needs instead."""
    pins = known.pins or {}
    if backend == "torch":
        return ((known.requirements or {}).get("torch", "torch"),), {}
    package = _package(known) if backend == "tensorflow" else "jax"
    pinned = next((pins[name] for name in (package, *_TENSORFLOWS) if name in pins), "")
    versions = {release: _runs(release, backend) for release in keras}
    first = pinned if backend == "tensorflow" and pinned else pins.get("jax", "") if backend == "jax" else ""
    first = first or versions[keras[0]]
    shared = backend == "tensorflow" and _may_share(keras[0]) and _runs_all_of_them(first)
    own = {}
    for release, version in versions.items():
        if release == keras[0] or version == versions[keras[0]] or (shared and _may_share(release)):
            continue
        name = LEGACY if release == LEGACY else f"keras-{release}"
        own[name + ("-jax" if backend == "jax" else "")] = tuple(_pinned(package, version))
    numpy = (f"numpy=={pins['numpy']}",) if pinned and "numpy" in pins and not own else ()
    return (*_pinned(package, first), *numpy), own


def _may_share(release: str) -> bool:
    """Whether a side runs Keras 3, or tf-keras, on the TensorFlow of the other side."""
    if release == LEGACY:
        return True
    version = _version(release)
    return version is not None and version.major >= 3


def _runs_all_of_them(tensorflow: str) -> bool:
    """Whether tf-keras and every Keras 3 run on a TensorFlow: 2.17.1 runs 3.0 to 3.15.1 (bench/corpus)."""
    version = _version(tensorflow)
    return version is not None and Version("2.16") <= version < Version("2.18")


def _pinned(package: str, version: str) -> list[str]:
    return [f"{package}=={version}", *([f"jaxlib=={version}"] if package == "jax" else [])]


def _package(known: VersionFacts) -> str:
    """The distribution of TensorFlow: the manifest's; otherwise the one without GPUs, where there is one."""
    asked = next((name for name in _TENSORFLOWS if name in (known.requirements or {})), "")
    return asked or ("tensorflow-cpu" if sys.platform == "linux" else "tensorflow")


def _backend(known: VersionFacts) -> Backend:
    asked = known.requirements or {}
    if any(name in asked for name in _TENSORFLOWS) or "tf-keras" in asked:
        return "tensorflow"
    if "jax" in asked:
        return "jax"
    return "torch" if "torch" in asked else "tensorflow"


def _runs(keras: str, backend: Backend) -> str:
    version = Version("3.0") if keras == LEGACY else _version(keras) or Version(newest())
    return next(table[backend] for since, table in _RUNS_ON if version >= Version(since) and backend in table)


def _keras_of(tensorflow: str) -> str:
    version = _version(tensorflow)
    if version is None or version >= Version("2.21"):
        return newest()
    return tensorflow if version < Version("2.16") else "3.3.3"


def _release(option: str, text: str) -> str:
    if text.lower() in (LEGACY, "tf-keras", "tf_keras"):
        return LEGACY
    if _version(text) is None:
        raise ConfigurationError(f"{option} {text!r}: no release; name one such as {newest()}, or `legacy`")
    return text


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None
