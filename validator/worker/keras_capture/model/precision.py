"""Runs a saved model under another dtype policy, by rewriting the policies in a copy of its archive."""

from __future__ import annotations

import collections
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import List, Optional, Tuple

from keras_capture.failures import UnusableError
from keras_capture.model.imports import Framework, layers_of

FLOATING = frozenset(("float16", "bfloat16", "float32", "float64", "mixed_float16", "mixed_bfloat16"))
_HALF = frozenset(("float16", "bfloat16"))
_POLICY_CLASSES = frozenset(("DTypePolicy", "FloatDTypePolicy", "Policy", "PolicyV1"))


def rewrite_archive(path: Path, kind: str, policy: str, copy: Path) -> None:
    """Copy a `.keras` or `.h5` file with the model's dominating policy replaced by another.

    Layers kept in another dtype on purpose, integers and strings stay as they are.
    """
    if kind == "keras":
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
            _rewrite_zip(source, target, policy)
    else:
        shutil.copyfile(path, copy)
        _rewrite_h5(copy, policy)


def _rewrite_zip(source: zipfile.ZipFile, target: zipfile.ZipFile, policy: str) -> None:
    for member in source.infolist():
        if member.filename == "config.json":
            target.writestr(member, _rewritten(source.read(member), policy))
            continue
        with source.open(member) as original, target.open(member, "w", force_zip64=True) as copied:
            shutil.copyfileobj(original, copied, 1 << 20)


def _rewrite_h5(path: Path, policy: str) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        if "model_config" not in file.attrs:
            raise UnusableError("the file holds weights only, no model configuration")
        file.attrs["model_config"] = _rewritten(file.attrs["model_config"], policy)


def _rewritten(text: object, policy: str) -> bytes:
    config = json.loads(text)
    rewrite(config, policy)
    return json.dumps(config).encode("utf-8")


def rewrite(config: dict, policy: str) -> None:
    """Replace the dominating policy of a model's configuration, in place."""
    old = dominating(
        _policy_name(owner["config"]["dtype"])
        for owner in _owners(config)
        if owner["class_name"] != "InputLayer"
    )
    if old is None:
        return  # the layers take the global policy
    for owner in _owners(config):
        held = owner["config"]
        if owner["class_name"] == "InputLayer":
            held["dtype"] = _input_dtype(held["dtype"], old, policy)
        elif owner["class_name"] == "Cast":  # a node of the graph in Keras 3.5 to 3.9: a dtype, not a policy
            held["dtype"] = compute_dtype(policy) if held["dtype"] == compute_dtype(old) else held["dtype"]
        else:
            held["dtype"] = _replaced(held["dtype"], old, policy)


def compute_dtype(policy: str) -> str:
    """The dtype that a policy computes in."""
    return policy[len("mixed_") :] if policy.startswith("mixed_") else policy


def dominating(names: Iterator[Optional[str]]) -> Optional[str]:
    """The most frequent floating policy; None when there is none."""
    counted = collections.Counter(name for name in names if name in FLOATING)
    return counted.most_common(1)[0][0] if counted else None


def _owners(node: object) -> Iterator[dict]:
    """Every serialized object of a model's layers that has a dtype. Losses and metrics keep theirs."""
    if isinstance(node, list):
        for item in node:
            yield from _owners(item)
    elif isinstance(node, dict):
        config = node.get("config")
        name = node.get("class_name")
        is_object = isinstance(name, str) and isinstance(config, dict)
        if is_object and "dtype" in config and not name.startswith("__"):  # __numpy__ and the like are values
            yield node
        for key, value in node.items():
            if key not in ("compile_config", "inbound_nodes"):
                yield from _owners(value)


def _policy_name(value: object) -> Optional[str]:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict):
        return None
    if value.get("class_name") == "DTypePolicyMap":
        return _policy_name(value["config"].get("default_policy"))
    return value["config"].get("name") if value.get("class_name") in _POLICY_CLASSES else None


def _replaced(value: object, old: str, new: str) -> object:
    """The serialized policy with `old` replaced wherever it stands alone, as an object, or in a map."""
    if value == old:
        return new
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "DTypePolicyMap":
        config = value["config"]
        mapped = {
            path: _replaced(policy, old, new) for path, policy in (config.get("policy_map") or {}).items()
        }
        default = _replaced(config.get("default_policy"), old, new)
        return {**value, "config": {**config, "default_policy": default, "policy_map": mapped}}
    if _policy_name(value) == old:
        return {**value, "config": {**value["config"], "name": new}}
    return value


def _input_dtype(value: object, old: str, new: str) -> object:
    """Inputs follow the model, but are never narrowed: the layers cast, and ids above 256 must survive."""
    if value != compute_dtype(old):
        return value
    followed = "float32" if new.startswith("mixed_") else new
    return value if followed in _HALF and value not in _HALF else followed


def policies(framework: Framework, model: object) -> List[Tuple[str, str]]:
    """Name and policy of the layers that compute, each once: no inputs, and no model around others."""
    computing = [
        layer
        for layer in {id(layer): layer for layer in layers_of(model)}.values()
        if type(layer).__name__ != "InputLayer" and not isinstance(layer, framework.keras.Model)
    ]
    return [(layer.name, layer.dtype_policy.name) for layer in computing or [model]]


def require(framework: Framework, policy: str, actual: Optional[str]) -> None:
    """Make sure that a model whose layers have a policy really computes under the one asked for."""
    if actual != policy:
        raise UnusableError(
            f"asked for the policy {policy}, but its layers came out as {actual or 'no floating dtype'}: "
            "the model's code sets dtypes itself; let it use the global policy"
        )
    if policy == "float64" and framework.backend == "jax":
        import jax

        if not jax.config.jax_enable_x64:
            raise UnusableError("JAX cuts float64 down to float32; set JAX_ENABLE_X64=1 in the environment")
