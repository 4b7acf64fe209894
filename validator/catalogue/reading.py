"""Reads what a model is made of from its file or its source, without Keras: nothing is loaded or run."""

from __future__ import annotations

import ast
import json
import mmap
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from validator.catalogue.compiling import (
    compilation,
    compilation_features,
    compile_calls,
    constant,
    is_spelled_out,
    last,
)
from validator.catalogue.description import (
    OF_COMPILATION,
    DescribedLayer,
    Description,
    describe_config,
    features_of,
)
from validator.catalogue.entries import Feature
from validator.documents import open_regular, read_bytes
from validator.errors import ConfigurationError

#: The largest configuration that is read.
_MOST = 64 << 20
_CONFIG, _METADATA = "config.json", "metadata.json"
#: How a configuration begins, in an HDF5 file or in the metadata of a SavedModel of Keras 2.
_BEGINS = re.compile(rb'\{"(?:class_name|module|name)": "')
_HALF = ("float16", "bfloat16")


def read_description(model: Path) -> Description:
    """What a `.keras` file or folder, an HDF5 file, a SavedModel or a Python file says about its model.

    Raises:
        ConfigurationError: it is none of these, or it cannot be read; the message says what to do.
    """
    try:
        if model.is_dir():
            return _folder(model)
        if not model.exists():
            raise ConfigurationError(
                f"{model}: there is no such file; name a .keras, .h5 or .py file, or a folder"
            )
        if model.suffix == ".py":
            return read_source(read_bytes(model, _MOST).decode("utf-8", "replace"))
        if model.suffix in (".h5", ".hdf5"):
            return _hdf5(model)
        return _archive(model)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"{model}: {reason}; name a .keras, .h5 or .py file, or a SavedModel"
        ) from None


def _archive(path: Path) -> Description:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if _CONFIG not in names:
                raise ConfigurationError(
                    f"{path}: it holds no {_CONFIG}, so it is not a .keras file; save it again"
                )
            if archive.getinfo(_CONFIG).file_size > _MOST:
                raise ConfigurationError(
                    f"{path}: its {_CONFIG} is larger than {_MOST:,} bytes; give the model's source"
                )
            config = archive.read(_CONFIG)
            metadata = archive.read(_METADATA) if _METADATA in names else b"{}"
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
        raise ConfigurationError(
            f"{path}: not a .keras file (no zip archive); save the model again"
        ) from None
    return _described(path, config, metadata)


def _folder(path: Path) -> Description:
    if (path / _CONFIG).is_file():
        metadata = path / _METADATA
        return _described(
            path,
            read_bytes(path / _CONFIG, _MOST),
            read_bytes(metadata, _MOST) if metadata.is_file() else b"{}",
        )
    if (path / "saved_model.pb").is_file():
        return _saved_model(path)
    raise ConfigurationError(
        f"{path}: neither {_CONFIG} nor saved_model.pb is in it; name the folder of a model"
    )


def _described(path: Path, config: bytes, metadata: bytes) -> Description:
    try:
        parsed, about = json.loads(config), json.loads(metadata)
    except (ValueError, RecursionError):
        raise ConfigurationError(f"{path}: its {_CONFIG} is not JSON; save the model again") from None
    if not isinstance(parsed, dict) or "class_name" not in parsed:
        raise ConfigurationError(f"{path}: its {_CONFIG} describes no model; save the model again")
    version = about.get("keras_version", "") if isinstance(about, dict) else ""
    return describe_config(parsed, keras=str(version))


def _hdf5(path: Path) -> Description:
    """The attribute `model_config`, found as text: HDF5 keeps a string in one piece."""
    observed = next(_configurations(path), None)
    if observed is None:
        raise ConfigurationError(
            f"{path}: no configuration of a model is in it; files of weights alone have none: "
            "name the model's source instead"
        )
    config, version = observed
    return describe_config(config, keras=version, more=frozenset({"h5"}))


def _saved_model(path: Path) -> Description:
    """Keras 2 writes layers into `keras_metadata.pb`; otherwise there is only a graph of operations."""
    metadata = path / "keras_metadata.pb"
    observed = next(_configurations(metadata), None) if metadata.is_file() else None
    return describe_config(*observed) if observed else Description(layers=(), complete=False)


def _configurations(path: Path) -> Iterator[tuple[dict[str, object], str]]:
    """Configurations of models in the bytes of a file, each with the release that wrote it, if known."""
    decoder = json.JSONDecoder()
    with open_regular(path) as file:
        if not path.stat().st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            version = re.search(rb"keras_version[\x00-\xff]{0,200}?(\d+\.\d+\.\d+)", content)
            for begin in _BEGINS.finditer(content):
                end = min(begin.start() + _MOST, len(content))
                text = content[begin.start() : end].decode("utf-8", "replace")
                try:
                    value, _ = decoder.raw_decode(text)
                except (ValueError, RecursionError):
                    continue
                inner = value.get("config") if isinstance(value, dict) else None
                if isinstance(inner, dict) and "layers" in inner:
                    yield value, version[1].decode() if version else ""


def read_source(text: str) -> Description:
    """What the source of a builder or a layer calls: layers by their class, with the settings it spells out.

    Raises:
        ConfigurationError: it is not Python.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(
            f"not Python of this version: {error}; name the file of the builder"
        ) from None
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and _is_layer(node)}
    layers = tuple(
        layer for node in ast.walk(tree) if isinstance(node, ast.Call) for layer in _called(node, own)
    )
    features: set[Feature] = {*features_of(layers), "not-functional"}
    if any(name in text for name in _HALF):
        features.add("half")
    calls = compile_calls(tree)
    compiled = compilation(calls[0], tree) if calls else None
    if compiled is not None:
        features.update(compilation_features(compiled))
    if own and "mask" in features:
        features.add("list-input")
    return Description(layers, frozenset(features), compiled, source=text)


def read_builder(path: Path, function: str) -> Description:
    """What a builder calls: the function, and what it uses of its module, which may have other builders.

    Raises:
        ConfigurationError: the file cannot be read, or is not Python.
    """
    text = read_description(path).source
    built = read_source(_reached_text(text, function))
    tree = ast.parse(built.source)
    calls = compile_calls(tree)
    if len(calls) != 1 or not is_spelled_out(calls[0], tree):
        # Which of several it is, or what it is given, is not known.
        return replace(built, compiled=None, features=built.features - OF_COMPILATION)
    return built


def _reached_text(text: str, function: str) -> str:
    """A definition of a module and those that it uses; the whole text where it is not there."""
    tree = ast.parse(text)
    defined = {
        node.name: node
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    if function not in defined:
        return text
    reached: dict[str, ast.AST] = {}
    due = [function]
    while due:
        name = due.pop()
        if name in reached or name not in defined:
            continue
        reached[name] = defined[name]
        due += [node.id for node in ast.walk(defined[name]) if isinstance(node, ast.Name)]
    others = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    kept = [node for node in tree.body if node in others or node in reached.values()]
    return ast.unparse(ast.Module(kept, []))


def _is_layer(node: ast.ClassDef) -> bool:
    return any(last(base) in ("Layer", "Model") for base in node.bases)


def _called(node: ast.Call, own: set[str]) -> Iterator[DescribedLayer]:
    name = last(node.func)
    if name[:1].isupper():
        settings = {word.arg: constant(word.value) for word in node.keywords if word.arg}
        yield DescribedLayer(f"line {node.lineno}", name, settings, own_code=name in own)
