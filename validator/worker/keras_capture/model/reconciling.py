"""Accounts for weights after a file was loaded: variables that it did not fill, tensors that are left over.

A variable is filled where it was assigned while the file was read, or where a tensor of the file has its
values: code of the user's may load without an assignment. Both hold for every layout of a file (the `.h5` of
Keras 2, a `.weights.h5`, the archive `.keras`), since nothing is asked of it but tensors with paths.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Set, Tuple

import numpy as np

from keras_capture.model.imports import Framework, layers_of
from keras_capture.model.perturbing import dtype_of, numpy_of
from keras_capture.model.values import extended
from keras_capture.numbers import MANTISSA, hash_of

_ARCHIVED = "model.weights.h5"
_OPTIMIZER = re.compile(r"optimizer(_weights)?/")
#: What a file holds beside weights: the state of metrics and of random generators.
_STATE = re.compile(r"(\A|/)(_?(compile_)?metrics|_?loss_tracker|_?(seed|random)_generators?(_\d+)?)/")
_PIECE = 1 << 26  # bytes of a stored tensor that are read together
_LISTED = 20  # paths that a response names

Shape = Tuple[int, ...]
Digest = Tuple[str, Shape, bytes]  # dtype, shape, hash of the bytes


@dataclass(frozen=True)
class Account:
    """Paths of what is left over. `variables`: how many the model has; `constant`: no unfilled one is random.

    `stale`: layers that loaded statistics and compute with others (see `_stale`).

    `doubtful`: unfilled ones that belong to layers which load themselves, by the layer's own code.
    `optimizer`: how many tensors of its state the file has, and how many of them the optimizer holds.
    """

    variables: int
    unfilled: List[str]
    unused: List[str]
    constant: bool = True
    doubtful: bool = False
    stale: List[str] = field(default_factory=list)
    optimizer: Tuple[int, int] = (0, 0)

    @property
    def is_whole(self) -> bool:
        """Whether the model computes with nothing but what the file holds."""
        return not self.stale and (not self.unfilled or self.doubtful)

    def as_dict(self, file: str) -> dict:
        """The account as the protocol writes it."""
        return {
            "file": file,
            "variables": self.variables,
            "unfilled": self.unfilled[:_LISTED],
            "unfilled_count": len(self.unfilled),
            "constant": self.constant,
            "stale": self.stale[:_LISTED],
            "unused": self.unused[:_LISTED],
            "unused_count": len(self.unused),
            "optimizer_saved": self.optimizer[0],
            "optimizer_restored": self.optimizer[1],
        }


@contextlib.contextmanager
def assignments(framework: Framework) -> Iterator[Dict[int, object]]:
    """The variables that are assigned meanwhile, by identity; held, so that no identity comes again."""
    assigned: Dict[int, object] = {}
    owner = _assigning_class(framework)
    original = owner.__dict__["assign"]

    @functools.wraps(original)
    def assign(self, *args, **kwargs):
        assigned[id(self)] = self
        return original(self, *args, **kwargs)

    owner.assign = assign
    try:
        yield assigned
    finally:
        owner.assign = original


def _assigning_class(framework: Framework) -> type:
    """The class whose `assign` every variable goes through."""
    if framework.is_keras_2:
        import tensorflow

        kind = type(tensorflow.Variable(0.0))
    else:
        kind = framework.keras.Variable
    return next(base for base in kind.__mro__ if "assign" in base.__dict__)


def has_account(path: Path) -> bool:
    """Whether this is a file whose tensors can be listed: HDF5, or an archive around one."""
    if path.is_dir():
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return _ARCHIVED in archive.namelist()
    import h5py

    return path.is_file() and bool(h5py.is_hdf5(path))


@contextlib.contextmanager
def weights_file(path: Path, folder: Path) -> Iterator[Path]:
    """The HDF5 file itself; that of an archive lies in `folder` meanwhile."""
    if not zipfile.is_zipfile(path):
        yield path
        return
    copy = folder / f"archived.{_ARCHIVED}"
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_ARCHIVED) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def reconcile(framework: Framework, model: object, path: Path, assigned: Dict[int, object]) -> Account:
    """Compare the model's variables with the tensors of an HDF5 file that was just loaded into it."""
    variables = list({id(variable): variable for variable in model.weights}.values())
    states = _optimizer_variables(model)
    saved = _optimizer_shapes(path) if states else set()
    held = [digest(numpy_of(framework, variable)) for variable in variables]
    beside = [digest(numpy_of(framework, variable)) for variable in _beside(model, variables)]
    optimizer = [digest(numpy_of(framework, each)) for each in states if tuple(each.shape) in saved]
    stored = _stored(path, {*held, *optimizer, *beside})
    weights = {name: digests for name, digests in stored.items() if not _is_state(name)}
    in_file = set().union(*weights.values())
    touched = [id(getattr(variable, "_variable", variable)) in assigned for variable in variables]
    filled = [hit or value in in_file for hit, value in zip(touched, held)]
    unfilled = _unfilled(framework, variables, filled, touched)
    used = {*held, *beside}
    unused = [name for name, digests in weights.items() if not digests & used]
    # What was assigned from a tensor in another form (transposed, merged, quantised) stands for that tensor.
    converted = sum(hit and value not in in_file for hit, value in zip(touched, held))
    restored = [name for name, digests in stored.items() if _OPTIMIZER.match(name) and digests & {*optimizer}]
    return Account(
        variables=len(variables),
        unfilled=list(map(path_of, unfilled, _holders(model, unfilled))),
        unused=unused[converted:] if len(unused) > converted else [],
        constant=all(_is_constant(numpy_of(framework, variable)) for variable in unfilled),
        doubtful=bool(unfilled) and all(_loads_itself(layer) for layer in _holders(model, unfilled)),
        stale=list(_stale(framework, model)),
        optimizer=(sum(bool(_OPTIMIZER.match(name)) for name in stored), len(restored)) if states else (0, 0),
    )


def has_untracked(framework: Framework, model: object) -> bool:
    """Whether there are weights that the model does not track, as of a layer in a plain object."""
    kind = _assigning_class(framework)
    known = {id(variable) for variable in (*getattr(model, "variables", ()), *_optimizer_variables(model))}
    known |= {id(getattr(variable, "_variable", variable)) for variable in getattr(model, "variables", ())}
    return any(
        isinstance(value, kind)
        and id(value) not in known
        and len(value.shape) > 0
        and dtype_of(value) in MANTISSA
        for value in gc.get_objects()
    )


def digest(values: np.ndarray) -> Digest:
    """What tells values apart: dtype, shape and bytes."""
    return values.dtype.name, tuple(values.shape), hash_of([values]).digest()


def path_of(variable: object, layer: object) -> str:
    """The name of a variable with those of the layers around it; Keras 2 knows the innermost alone."""
    own = str(variable.name).rpartition("/")[2].partition(":")[0]
    return str(getattr(variable, "path", None) or f"{layer.name}/{own}")


def _stored(path: Path, sought: Set[Digest]) -> Dict[str, Set[Digest]]:
    """Every tensor of a file by its path, with its values in each dtype in which its shape is sought."""
    dtypes: Dict[Shape, Set[str]] = {}
    for dtype, shape, _ in sought:
        dtypes.setdefault(shape, set()).add(dtype)
    stored: Dict[str, Set[Digest]] = {}
    for name, tensor in _tensors(path):
        shape = tuple(tensor.shape)
        stored[name] = {(dtype, shape, _hash_as(tensor, dtype)) for dtype in dtypes.get(shape, ())}
    return stored


def _optimizer_shapes(path: Path) -> Set[Shape]:
    """The shapes of what a file holds of an optimizer, whose state may be twice as large as the model."""
    return {tuple(tensor.shape) for name, tensor in _tensors(path) if _OPTIMIZER.match(name)}


def _tensors(path: Path) -> Iterator[Tuple[str, object]]:
    """Every tensor of an HDF5 file and its path, while the file is open."""
    import h5py

    held: List[Tuple[str, object]] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: held.append((name, item)))
        for name, item in held:
            if isinstance(item, h5py.Dataset) and item.dtype.kind in "biufcV":
                yield name, item


def _hash_as(dataset: object, dtype: str) -> bytes:
    """The hash of a stored tensor in a dtype, read piece by piece."""
    if not dataset.shape:
        return hash_of([_cast(_plain(np.asarray(dataset[()])), dtype)]).digest()
    width = int(np.prod(dataset.shape[1:], dtype=np.int64)) * dataset.dtype.itemsize
    rows = max(1, _PIECE // max(1, width))
    pieces = (dataset[start : start + rows] for start in range(0, dataset.shape[0], rows))
    return hash_of(_cast(_plain(piece), dtype) for piece in pieces).digest()


def _plain(values: np.ndarray) -> np.ndarray:
    """The values as stored; bfloat16 lies in a file as two raw bytes."""
    return values.view(extended("bfloat16")) if values.dtype == np.dtype("V2") else values


def _cast(values: np.ndarray, dtype: str) -> np.ndarray:
    kind = np.dtype(dtype) if dtype in np.sctypeDict else extended(dtype)
    with np.errstate(all="ignore"):
        return values.astype(kind, copy=False)


def _is_state(name: str) -> bool:
    return bool(_OPTIMIZER.match(name) or _STATE.search(name))


def _optimizer_variables(model: object) -> List[object]:
    held = getattr(getattr(model, "optimizer", None), "variables", ())
    return list(held() if callable(held) else held)


def _beside(model: object, weights: List[object]) -> List[object]:
    """Variables of the model that are no weights: of metrics and random generators."""
    known = {id(variable) for variable in weights}
    return [variable for variable in getattr(model, "variables", ()) if id(variable) not in known]


def _unfilled(
    framework: Framework, variables: List[object], filled: List[bool], touched: List[bool]
) -> List[object]:
    """The variables that the file did not fill.

    Where there are any, a constant that was not assigned is one too: zeros of another bias are in any file.
    """
    if all(filled):
        return []
    return [
        variable
        for variable, full, hit in zip(variables, filled, touched)
        if not full or not (hit or not _is_constant(numpy_of(framework, variable)))
    ]


def _is_constant(values: np.ndarray) -> bool:
    return values.size == 0 or bool((values == values.reshape(-1)[0]).all())


def _stale(framework: Framework, model: object) -> Iterator[str]:
    """Normalization layers whose loaded statistics did not reach the numbers that they compute with.

    The layer computes with constants made of its variables. Keras 3 up to 3.5 does not make them again after
    an `.h5` was loaded: https://github.com/keras-team/keras/issues/21676
    """
    for layer in layers_of(model):
        pairs = (
            (getattr(layer, f"adapt_{name}", None), getattr(layer, name, None))
            for name in ("mean", "variance")
        )
        known = [pair for pair in pairs if pair[0] is not None and pair[1] is not None]
        if isinstance(layer, framework.keras.layers.Normalization) and any(
            not np.array_equal(*(numpy_of(framework, value).ravel() for value in pair)) for pair in known
        ):
            yield layer.name


def _loads_itself(layer: object) -> bool:
    """Whether the layer's class saves or loads its variables by code of its own."""
    hooks = (getattr(type(layer), name, None) for name in ("save_own_variables", "load_own_variables"))
    modules = {getattr(hook, "__module__", "keras").partition(".")[0] for hook in hooks}
    return not modules <= {"keras", "tf_keras"}


def _holders(model: object, variables: List[object]) -> List[object]:
    """The innermost layer of each variable."""
    holders = {id(variable): layer for layer in layers_of(model) for variable in layer.weights}
    return [holders.get(id(variable), model) for variable in variables]
