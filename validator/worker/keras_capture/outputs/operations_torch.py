"""A model's operations on the torch backend, met by a dispatch mode while the model runs eagerly.

Below autograd each call of an aten operator passes the mode; a fused kernel, of attention for example, is one
operation. Loops of the model's code are unrolled. `TorchDispatchMode` is half public, in torch 2.0 to 2.13:
https://github.com/pytorch/pytorch/blob/v2.5.0/torch/utils/_python_dispatch.py
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import List

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from keras_capture.model.perturbing import EXACT_BITS, perturbed
from keras_capture.numbers import MANTISSA
from keras_capture.outputs.operations import SEED, Call, NoOperations, Operations, names

#: Operators (without overload, and without the underscore of the in-place form) that move, choose or compare
#: numbers. Views are known by their schema; all others with a floating result round.
_EXACT = names(
    """
    reshape clone copy contiguous _to_copy to lift lift_fresh_copy cat stack flip roll rot90 repeat
    repeat_interleave pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d
    replication_pad1d replication_pad2d replication_pad3d gather index index_select _index_put_impl index_put
    index_fill index_copy scatter select_scatter slice_scatter diagonal_scatter as_strided_scatter masked_fill
    masked_select masked_scatter where take put embedding max min amax amin aminmax maximum minimum fmax fmin
    clamp clamp_min clamp_max relu relu6 hardtanh threshold neg abs sign sgn floor ceil round trunc fmod
    copysign nan_to_num heaviside eq ne lt le gt ge logical_and logical_or logical_not logical_xor
    isnan isinf isfinite isposinf isneginf signbit any all argmax argmin topk sort kthvalue median nanmedian
    mode cummax cummin _cummax_helper _cummin_helper searchsorted bucketize max_pool2d_with_indices
    max_pool3d_with_indices max_unpool2d max_unpool3d adaptive_max_pool2d adaptive_max_pool3d
    mkldnn_max_pool2d mkldnn_max_pool3d arange range eye full full_like zeros zeros_like ones ones_like empty
    empty_like empty_strided empty_permuted new_empty new_empty_strided new_full new_zeros new_ones
    scalar_tensor fill zero tril triu diag_embed im2col pixel_shuffle pixel_unshuffle channel_shuffle
    upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d
    _upsample_nearest_exact2d _upsample_nearest_exact3d nonzero unique_dim _unique2 unique_consecutive complex
    _conj_physical resolve_conj resolve_neg _local_scalar_dense resize set isin histc bincount
    """
)
#: Operators whose result can be an operand: x + 0, x · 1, and what a huge term swallowed.
_ABSORBING = names("add sub mul div rsub")
_DTYPES = {getattr(torch, name): name for name in MANTISSA}
_COMPLEX = frozenset((torch.complex64, torch.complex128))
_SIGNED = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_WIDER = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}


def _operator(function: object) -> str:
    """`aten::add_.Tensor` → add."""
    name = function._schema.name.partition("::")[2]
    return name[:-1] if name.endswith("_") and not name.startswith("__") else name


def _tensors(tree: object) -> List[torch.Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, torch.Tensor)]


def _floating(tree: object) -> List[torch.Tensor]:
    return [tensor for tensor in _tensors(tree) if tensor.dtype in _DTYPES or tensor.dtype in _COMPLEX]


def _written(function: object, arguments: Sequence[object]) -> List[object]:
    """The positional arguments that an operator writes into."""
    declared = zip(function._schema.arguments, arguments)
    return [value for kind, value in declared if kind.alias_info is not None and kind.alias_info.is_write]


def _is_view(function: object) -> bool:
    """Whether a result shares the memory of an argument that is only read."""
    return any(
        result.alias_info is not None and not result.alias_info.is_write
        for result in function._schema.returns
    )


def _draws(function: object) -> bool:
    """Whether results are drawn from a generator."""
    return torch.Tag.nondeterministic_seeded in function.tags


class _Noise(TorchDispatchMode):
    """Monte Carlo arithmetic: results of rounding operators move, and raw operands of contractions.

    A value is raw until the memory that it lies in was written with a moved one; weights, which the caller
    moves, are not.
    """

    def __init__(self, seed: int, weights: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self._generator = torch.Generator().manual_seed(seed)
        self._moved = {StorageWeakRef(tensor.untyped_storage()) for tensor in weights}

    def __torch_dispatch__(
        self, function: object, types: object, args: tuple = (), kwargs: object = None
    ) -> object:
        arguments, options = args, kwargs or {}
        if _is_exact(function, (arguments, options)):
            raw = all(map(self._is_raw, _floating((arguments, options))))
            results = function(*arguments, **options)
            if not raw:
                self._mark(_floating(results))
            return results
        written = _written(function, arguments)
        if torch.Tag.pointwise not in function.tags and not written:  # it adds up products or many terms
            arguments, options = tree_map(self._operand, (arguments, options))
        same = _alike(arguments, bool(written)) if _operator(function) in _ABSORBING else []
        results = function(*arguments, **options)
        for result in _floating(results):
            result.copy_(self._move(result, same))  # in place, so that its strides stay
        self._mark(_floating(results))
        return results

    def _is_raw(self, tensor: torch.Tensor) -> bool:
        return StorageWeakRef(tensor.untyped_storage()) not in self._moved

    def _mark(self, tensors: Iterable[torch.Tensor]) -> None:
        self._moved.update(StorageWeakRef(tensor.untyped_storage()) for tensor in tensors)

    def _operand(self, value: object) -> object:
        if isinstance(value, torch.Tensor) and value.dtype in _DTYPES and self._is_raw(value):
            return self._move(value)
        return value

    def _move(self, values: torch.Tensor, same: Sequence[object] = ()) -> torch.Tensor:
        """Each value times 1 ± up to one unit in the last place.

        Left alone: what looks exact, what equals an operand (`same`), and what would become infinite.
        """
        if values.dtype in _COMPLEX:
            return torch.complex(self._move(values.real), self._move(values.imag))
        name = _DTYPES[values.dtype]
        working = torch.float64 if values.dtype is torch.float64 else torch.float32
        unit = 2.0 ** -MANTISSA[name]
        drawn = torch.rand(values.shape, generator=self._generator, dtype=working).to(values.device)
        changed = (values.to(working) * drawn.mul_(2 * unit).add_(1 - unit)).to(values.dtype)
        trailing = values.contiguous().view(_SIGNED[values.element_size()]) & ((1 << EXACT_BITS[name]) - 1)
        kept = (trailing == 0) | changed.isinf()
        for operand in same:
            if not isinstance(operand, torch.Tensor) or operand.dtype == values.dtype:
                kept |= values == operand
        return torch.where(kept, values, changed)


def _is_exact(function: object, arguments: tuple) -> bool:
    floating = _floating(arguments)
    of_complex = _operator(function) == "abs" and bool(floating) and floating[0].dtype in _COMPLEX
    return _is_view(function) or _draws(function) or (_operator(function) in _EXACT and not of_complex)


def _alike(arguments: Sequence[object], written: bool) -> List[object]:
    """The operands that a result can be equal to; a copy, where the result is written over it."""
    operands = [value for value in arguments[:2] if isinstance(value, (int, float, torch.Tensor))]
    return [value.clone() if written and isinstance(value, torch.Tensor) else value for value in operands]


class _Widened(TorchDispatchMode):
    """Every floating operand, result and dtype float64; numbers of Python as float32 has them."""

    def __init__(self) -> None:
        super().__init__()
        self._copies: set = set()  # the memory of wide copies, which stand for views of older tensors

    def __torch_dispatch__(
        self, function: object, types: object, args: tuple = (), kwargs: object = None
    ) -> object:
        self._check(function, args)
        if _draws(function):
            return self._drawn(function, args, kwargs or {})
        arguments, options = tree_map(self._wide, (args, kwargs or {}))
        results = function(*arguments, **options)
        paired = zip(args, arguments)
        older = [pair for pair in paired if isinstance(pair[0], torch.Tensor) and pair[0] is not pair[1]]
        for narrow, wide in older:
            if any(narrow is target for target in _written(function, args)):
                narrow.copy_(wide)
        if older and _is_view(function):
            self._copies.update(StorageWeakRef(tensor.untyped_storage()) for tensor in _tensors(results))
        return tree_map(self._wide, results)

    def _drawn(self, function: object, args: tuple, kwargs: dict) -> object:
        """Draws are those of float32: float64 takes more bits of the generator for each."""
        arguments, options = tree_map(_narrowed, (args, kwargs))
        results = function(*arguments, **options)
        for wide, narrow in zip(args, arguments):
            if any(wide is target for target in _written(function, args)):
                wide.copy_(narrow)
                return wide
        return tree_map(self._wide, results)

    def _check(self, function: object, arguments: tuple) -> None:
        """Refuse what would be another function in float64."""
        if _operator(function) == "view" and function._schema.overload_name == "dtype":
            raise NoOperations("not-traceable", "the model reads the bits of its numbers")
        for target in _tensors(_written(function, arguments)):
            if StorageWeakRef(target.untyped_storage()) in self._copies:
                raise NoOperations("not-traceable", "the model writes into a view of its weights or inputs")

    def _wide(self, value: object) -> object:
        if isinstance(value, torch.Tensor):
            return value.to(_WIDER[value.dtype]) if value.dtype in _WIDER else value
        if isinstance(value, float):
            with np.errstate(over="ignore"):
                return float(np.float32(value))
        return _WIDER.get(value, value) if isinstance(value, torch.dtype) else value


def _narrowed(value: object) -> object:
    return value.float() if isinstance(value, torch.Tensor) and value.dtype is torch.float64 else value


class TorchOperations(Operations):
    """The operations of a model on torch."""

    @contextlib.contextmanager
    def member(self, number: int) -> Iterator[Call]:
        """Each batch has a generator of its own."""
        weights = [variable.value for variable in self.model.weights]
        seeds = itertools.count(SEED + number * 1_000_003)  # the generator takes 32 bits
        with _kept(self.model), perturbed(self.framework, self.model, number):
            yield self._call(lambda: _Noise(next(seeds), weights))

    @contextlib.contextmanager
    def unmoved(self) -> Iterator[Call]:
        """The model as it runs."""
        with _kept(self.model):
            yield self._call(contextlib.nullcontext)

    @contextlib.contextmanager
    def float64(self) -> Iterator[Call]:
        """What the code makes without a dtype is float64 as well."""
        with _kept(self.model):
            yield self._call(_widened)

    def _call(self, mode: object) -> Call:
        def call(batch: object) -> object:
            try:
                with torch.no_grad(), mode():
                    outputs = self.model.predict_step((batch,))
                return tree_map(self._array, outputs)
            except NoOperations:
                raise
            except Exception as error:  # whatever torch says of code that ran by predict
                raise NoOperations("not-traceable", f"{type(error).__name__}: {error}") from error

        return call

    def _array(self, leaf: object) -> object:
        """As predict gives it: NumPy lacks bfloat16, and Keras knows the way."""
        return self.framework.keras.ops.convert_to_numpy(leaf) if isinstance(leaf, torch.Tensor) else leaf


@contextlib.contextmanager
def _kept(model: object) -> Iterator[None]:
    """Weights, states, seeds and buffers have their own bits again afterwards."""
    tensors = [*(variable.value for variable in model.variables), *model.buffers()]
    held = [tensor.detach().clone() for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, values in zip(tensors, held):
                tensor.copy_(values)


@contextlib.contextmanager
def _widened() -> Iterator[None]:
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with _Widened():
            yield
    finally:
        torch.set_default_dtype(default)
