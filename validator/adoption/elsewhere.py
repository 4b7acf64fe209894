"""Models that lie elsewhere: fetched to be looked at by `init`, and pinned in a validator.yml by `pin`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from validator.adoption.scan import Artifact, read_artifact
from validator.config import Settings, is_remote, load, parse
from validator.config.limits import LimitSettings
from validator.errors import ConfigurationError
from validator.pipeline.run_folder import WORK
from validator.pipeline.supply import fetch_all, fetching
from validator.text import redact

_HEAD = "# What lies elsewhere must have these digests; `keras-validator pin` writes them.\nsha256:\n"
_VAGUE = frozenset({"model", "content", "saved_model", "main", "latest"})


def choose(place: str, folder: Path, say: Callable[[str], None]) -> Artifact:
    """The model at an address, which is fetched, or at a path.

    Raises:
        ConfigurationError: there is none, or it cannot be read. CannotJudgeError: it cannot be fetched now.
    """
    if not is_remote(place):
        path = Path(place).resolve()
        if not path.is_relative_to(folder) or not path.exists():
            raise ConfigurationError(f"--model {place}: there is no such file below {folder}")
        return read_artifact(path)
    with fetching(folder / WORK, LimitSettings(), say) as fetcher:
        fetched = fetcher.fetch(place, None, "--model")
    return replace(read_artifact(fetched.path), named=name_of(place), address=place)


def name_of(address: str) -> str:
    """What to call the model of an address: the last part that is no version, branch or ending."""
    path = re.split(r"[?#]", address.rpartition("://")[2].rpartition(":/")[2])[0]
    parts = [part.partition("@")[0] for part in path.split("/") if part]
    stems = [re.sub(r"\.(keras|h5|hdf5)$", "", part) for part in parts]
    telling = [stem for stem in stems if stem.lower() not in _VAGUE and not stem.isdigit()]
    return telling[-1] if telling else "model"


def pin(config: Path, say: Callable[[str], None]) -> None:
    """Fetch everything that a validator.yml names elsewhere, and write what it holds now into the file.

    Raises:
        ConfigurationError: the file or an address cannot be used.
        CannotJudgeError: a store cannot be reached.
    """
    settings = load(config)
    pins = fetch_pins(settings, config.resolve().parent / WORK, say)
    if not pins:
        say(f"{config} names nothing that lies elsewhere")
        return
    text = with_pins(config.read_text(encoding="utf-8"), pins, str(config))
    for address, digest in pins.items():
        before = settings.sha256.get(address)
        was = "" if before in (None, digest) else f" (was {before})"
        say(f"{redact(address)} has the SHA-256 {digest}{was}")
    partial = config.with_name(f"{config.name}.tmp")
    partial.write_text(text, encoding="utf-8")
    partial.replace(config)


def fetch_pins(settings: Settings, work: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Address → SHA-256 of what it holds now, for all addresses of the settings."""
    return {name: each.sha256 for name, each in fetch_all(settings, work, say, pinned=False).items()}


def with_pins(text: str, pins: Mapping[str, str], name: str) -> str:
    """The text of a validator.yml with these digests under `sha256`; all else stays, comments too.

    Args:
        text: names these addresses and no others.
        pins: address → SHA-256.
        name: of the file, for messages.

    Raises:
        ConfigurationError: the file is written in a way that cannot be extended; it says what to write.
    """
    text = text.rstrip("\n") + "\n"
    block = _block(text)
    if block is None:
        lines = _HEAD + "".join(f"  {_key(address)}: {digest}\n" for address, digest in pins.items())
        changed = f"{text}{lines}" if pins else text
    else:
        changed = _replaced(text, block, pins)
    try:
        if dict(parse(changed, name).sha256) == dict(pins):
            return changed
    except ConfigurationError:
        pass
    entries = ", ".join(f"{_key(address)}: {digest}" for address, digest in pins.items())
    raise ConfigurationError(
        f"{name}: cannot be extended as it is written; add sha256: {{{redact(entries)}}}"
    )


def _block(text: str) -> tuple[yaml.Node, yaml.MappingNode] | None:
    """The key `sha256` of the file, and its mapping."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return next(((key, value) for key, value in pairs if key.value == "sha256"), None)


def _replaced(text: str, block: tuple[yaml.Node, yaml.MappingNode], pins: Mapping[str, str]) -> str:
    """The text with the entries of a mapping changed and added."""
    key, mapping = block
    entries = {name.value: (name, value) for name, value in mapping.value}
    if mapping.flow_style or not entries:
        lines = "".join(f"\n  {_key(address)}: {digest}" for address, digest in pins.items())
        return f"{text[: key.start_mark.index]}sha256:{lines}{text[mapping.end_mark.index :]}"
    lines_of = text.splitlines(keepends=True)
    for name, (_, value) in entries.items():
        at = value.start_mark.line
        lines_of[at] = lines_of[at].replace(value.value, pins[name], 1)
    indent = " " * next(iter(entries.values()))[0].start_mark.column
    last = max(value.end_mark.line for _, value in entries.values())
    new = [f"{indent}{_key(name)}: {digest}\n" for name, digest in pins.items() if name not in entries]
    lines_of[last] = lines_of[last].rstrip("\n") + "\n" + "".join(new)
    return "".join(lines_of)


def _key(address: str) -> str:
    """An address as a key of YAML: plain where that is safe."""
    plain = re.fullmatch(r"[A-Za-z][\w./:@=?&%+~-]*[\w/]", address)
    return address if plain else json.dumps(address, ensure_ascii=False)
