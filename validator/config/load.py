"""Reads a validator.yml. Every error names the line and, for a typo, the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from validator.base import Frozen
from validator.config.settings import Settings
from validator.documents import read_bytes
from validator.errors import ConfigurationError
from validator.text import redact

_MAX_BYTES = 1 << 20
Location = tuple[int | str, ...]
_T = TypeVar("_T", bound=Frozen)


def load(path: Path) -> Settings:
    """Read and check a validator.yml.

    Raises:
        ConfigurationError: it is missing, empty, not YAML, or does not fit the settings; the message names
            the file, the line and what to write instead.
    """
    try:
        text = read_yaml(path)
    except FileNotFoundError:
        raise ConfigurationError(
            f"{path}: no such file; `keras-validator init` writes one, or pass --config"
        ) from None
    return parse(text, str(path))


def read_yaml(path: Path) -> str:
    """The text of a file of settings.

    Raises:
        FileNotFoundError: there is none.
        ConfigurationError: it cannot be read, is larger than 1 MiB, or is not UTF-8.
    """
    try:
        return read_bytes(path, _MAX_BYTES).decode("utf-8-sig")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except ValueError as error:
        raise ConfigurationError(f"{path}: {error}; a {path.name} has no more") from None


def parse(text: str, name: str) -> Settings:
    """Check the text of a validator.yml; messages call it `name`. Raises as `load` does."""
    return parse_as(text, name, Settings, "it needs at least `version: 1` and `models`")


def parse_as(text: str, name: str, kind: type[_T], needs: str) -> _T:
    """Check the text of a YAML file of some kind; `needs` says what an empty one lacks. Raises as `load`."""
    try:
        return _parsed(text, name, kind, needs)
    except ConfigurationError as error:  # an address in the file may hold credentials
        raise ConfigurationError(redact(str(error))) from None


def _parsed(text: str, name: str, kind: type[_T], needs: str) -> _T:
    try:
        loader = _Loader(text)  # refuses unprintable characters
        node = loader.get_single_node()
        data = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError(f"{name} line {line}: not valid YAML: {error.problem}") from None
    except ValueError as error:  # of YAML's own types: a number with thousands of digits, no such date
        raise ConfigurationError(f"{name}: not valid YAML: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"{name}: nested too deeply") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{name}: not valid YAML: {' '.join(str(error).split())}") from None
    if node is None or data is None:
        raise ConfigurationError(f"{name}: is empty; {needs}")
    if not isinstance(data, dict):
        raise ConfigurationError(f"{name} line 1: must be a mapping of settings, not a {type(data).__name__}")
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise ConfigurationError("\n".join(_problems(error, node, name, kind))) from None


def _problems(error: ValidationError, root: yaml.Node, name: str, kind: type[BaseModel]) -> list[str]:
    """One sentence per mistake, in the order of the file."""
    problems = error.errors(include_url=False)
    # A list whose only item is wrong is also "too short" for pydantic: that is an echo, not a mistake.
    inside = {problem["loc"][:length] for problem in problems for length in range(1, len(problem["loc"]))}
    sentences = [
        (_line(root, problem["loc"]), _sentence(problem, kind))
        for problem in problems
        if not (problem["type"] == "too_short" and problem["loc"] in inside)
    ]
    return [f"{name} line {line}: {sentence}" for line, sentence in sorted(set(sentences))]


class _Loader(yaml.SafeLoader):
    """SafeLoader that rejects duplicate keys and anchors (aliases can expand). A date is text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "anchors and aliases are not supported", mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key {key.value!r}", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _line(node: yaml.Node, location: Location) -> int:
    """The line of a setting, or of the nearest one around it that the file has."""
    line = 1
    for part in location:
        step = None
        if isinstance(node, yaml.MappingNode):
            step = next(((key, value) for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            step = node.value[part], node.value[part]
        if step is not None:
            node, line = step[1], step[0].start_mark.line + 1
    return line


#: What a setting has to be, in YAML's words, by pydantic's kind of mistake.
_EXPECTED = {
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "too_short": "must have at least one item",
}


def _sentence(problem: Any, model: type[BaseModel]) -> str:
    location: Location = problem["loc"]
    where = _path(location)
    kind, value = problem["type"], problem["input"]
    if kind == "extra_forbidden":
        known = sorted(_fields(location[:-1], model))
        return f"unknown key {where!r}{_nearest(str(location[-1]), known)}"
    if kind == "missing":
        return f"{where!r} is missing"
    if kind == "literal_error":
        expected = problem["ctx"]["expected"]
        choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
        return f"{where}: {value!r} is not one of {', '.join(choices)}{_nearest(str(value), choices)}"
    if kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{where}: {value!r} is a number; put it in quotes (YAML reads 3.10 as 3.1)"
    if kind == "value_error":
        return str(problem["ctx"]["error"])
    message = _EXPECTED.get(kind) or problem["msg"][0].lower() + problem["msg"][1:]
    quoted = repr(value)
    return f"{where}: {message}, not {quoted if len(quoted) <= 80 else quoted[:77] + '...'}"


def _path(location: Location) -> str:
    text = ""
    for part in location:
        if part == "[key]":  # pydantic's word for the key itself, which the message quotes anyway
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.55)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _fields(location: Location, model: type[BaseModel]) -> Iterable[str]:
    """Names of the settings that are allowed at a location of a model."""
    for part in location:
        field = model.model_fields.get(str(part))
        if field is not None:
            model = next(_models_in(field.annotation), model)
    return model.model_fields


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings classes in an annotation such as `tuple[ModelSettings, ...]`."""
    arguments = get_args(annotation)
    for argument in arguments:
        yield from _models_in(argument)
    if not arguments and isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
