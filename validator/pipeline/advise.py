"""The command `advise`: a model's file or source → the known changes that can reach it. Nothing runs."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from packaging.version import InvalidVersion, Version

from validator.catalogue.adequacy import Adequacy
from validator.catalogue.advice import Advice, SourceFile, advise
from validator.catalogue.description import Description
from validator.catalogue.entries import LEGACY, Backend, newest, number, releases
from validator.catalogue.reach import ReleasePair, release_of
from validator.catalogue.reading import read_description
from validator.documents import read_bytes
from validator.errors import ConfigurationError
from validator.report.words import advice as words
from validator.text import plain

_LINE = 400
_SOURCE_BYTES = 16 << 20


@dataclass(frozen=True)
class Question:
    """What the command line asks.

    Attributes:
        model: a `.keras` file or folder, an HDF5 file, a SavedModel, or the Python file of a builder.
        since, until: releases before and after; None for what the model was saved with, and the newest.
        backend: of both.
        inputs: a recording; None where inputs are not to be looked at.
        batch: how many samples are predicted at once.
        sources: files with the model's own code.
    """

    model: Path
    since: str | None = None
    until: str | None = None
    backend: str = "tensorflow"
    inputs: Path | None = None
    batch: int = 32
    sources: tuple[Path, ...] = ()
    json: bool = False


def show_advice(question: Question) -> None:
    """Print which known changes can reach a model.

    Raises:
        ConfigurationError: a file cannot be read, or a release is unknown.
    """
    advice = answer(question)
    if question.json:
        json.dump(_json(advice), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{plain_line(line)}\n" for line in lines(advice))


def answer(question: Question) -> Advice:
    """Read everything that a question names, and look it up."""
    model = read_description(question.model)
    sources = [_source(path) for path in question.sources]
    if question.model.suffix == ".py":
        sources.insert(0, _source(question.model))
    if sources and not model.source:
        model = _with_source(model, sources)
    return advise(model, _pair(question, model), _inputs(question), sources)


def lines(advice: Advice) -> Iterator[str]:
    """The whole answer, a line each."""
    yield words.headline(advice)
    for reached in advice.reached:
        yield ""
        yield from words.entry_lines(reached)
    inputs = list(words.input_lines(advice))
    if inputs:
        yield ""
        yield "The recorded inputs have"
        yield from (f"  {line}" for line in inputs)
    if advice.gone:
        yield ""
        yield "Names that are gone:"
        yield from (f"  {words.gone_line(gone)}" for gone in advice.gone)


def plain_line(line: str) -> str:
    """A line as a terminal may show it: names in it are somebody else's."""
    indent = len(line) - len(line.lstrip(" "))
    return " " * indent + plain(line, _LINE)


def _pair(question: Question, model: Description) -> ReleasePair:
    saved = release_of("", model.keras) if model.keras else None
    since = question.since or saved
    if since is None:
        raise ConfigurationError(
            f"{question.model}: it does not say which release saved it; name the releases: "
            f"--from 3.3.3 --to {newest()}"
        )
    if question.backend not in get_args(Backend):
        raise ConfigurationError(
            f"--backend {question.backend}: no backend of Keras; use {', '.join(get_args(Backend))}"
        )
    pair = ReleasePair(
        _release("--from", since), _release("--to", question.until or newest()), question.backend
    )
    if number(pair.baseline) > number(pair.candidate):
        raise ConfigurationError(
            f"--from {since} is newer than --to {pair.candidate}; exchange the two, or leave --to out"
        )
    return pair


def _release(option: str, text: str) -> str:
    text = text.strip()
    if text.lower() in ("legacy", "tf-keras", "tf_keras"):
        return LEGACY
    try:
        version = Version(text)
    except InvalidVersion:
        raise ConfigurationError(
            f"{option} {text!r}: not a release; use one such as {newest()}, or `legacy`"
        ) from None
    if version.major < 3:
        return LEGACY
    if version > Version(newest()):
        raise ConfigurationError(
            f"{option} {text}: the catalogue ends at Keras {newest()}; "
            "update keras-validator, or name that release"
        )
    if text not in releases():
        raise ConfigurationError(
            f"{option} {text}: Keras has no such release; `pip index versions keras` lists them"
        )
    return text


def _inputs(question: Question) -> Adequacy | None:
    """What recorded inputs hold; None where none are named."""
    if question.inputs is None:
        return None
    from validator.catalogue.adequacy import of_recording
    from validator.storage import recording

    with tempfile.TemporaryDirectory() as scratch:
        tensors = recording.prepare(question.inputs, Path(scratch) / "inputs").open()
        return of_recording(tensors, question.batch)


def _source(path: Path) -> SourceFile:
    try:
        return SourceFile(str(path), read_bytes(path, _SOURCE_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path}: {reason}; name a Python file") from None


def _with_source(model: Description, sources: Sequence[SourceFile]) -> Description:
    from dataclasses import replace

    return replace(model, source="\n".join(source.text for source in sources))


def _json(advice: Advice) -> dict[str, object]:
    inputs = advice.inputs
    return {
        "schema": 1,
        "from": advice.pair.baseline,
        "to": advice.pair.candidate,
        "layers": len(advice.model.layers),
        "complete": advice.model.complete,
        "changes": [
            {"layers": each.layers, **each.change.model_dump(mode="json", exclude={"proof", "fingerprint"})}
            for each in advice.reached
        ],
        "inputs": None if inputs is None else {"hold": sorted(inputs.holds), "lack": sorted(inputs.lacks)},
        "gone": [vars(name) for name in advice.gone],
    }
