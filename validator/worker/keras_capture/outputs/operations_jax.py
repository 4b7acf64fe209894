"""A model's operations on the JAX backend: its jaxpr, evaluated with noise, as it is, or in float64.

Weights, seeds and states are arguments of the jaxpr, so that nothing is assigned to the model. A jaxpr is for
inputs of certain shapes: one is traced, and compiled, for each shape of a batch.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import List, Optional, Tuple

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from keras_capture.model.imports import Framework
from keras_capture.model.perturbing import EXACT_BITS, perturbed
from keras_capture.numbers import MANTISSA
from keras_capture.outputs.jaxpr import Interpreter, Operand, bind, computed, values_of
from keras_capture.outputs.operations import SEED, Call, NoOperations, Operations, names
from keras_capture.structure.calling import caller

#: Primitives that move, choose or compare numbers. All others with a floating result round.
_EXACT = names(
    """
    abs neg sign floor ceil round rem clamp max min nextafter is_finite eq ne lt le gt ge eq_to le_to lt_to
    and or xor not select_n argmax argmin reduce_max reduce_min reduce_and reduce_or reduce_xor cummax cummin
    sort top_k approx_top_k reduce_window_max reduce_window_min select_and_gather_add reshape squeeze
    expand_dims broadcast_in_dim transpose rev slice dynamic_slice dynamic_update_slice gather scatter
    scatter_min scatter_max scatter-min scatter-max concatenate pad split tile stack unstack iota copy copy_p
    convert_element_type reduce_precision bitcast_convert_type real imag complex conj stop_gradient
    device_put optimization_barrier sharding_constraint layout_constraint mesh_cast pvary random_bits
    random_seed random_wrap random_unwrap random_fold_in random_split random_gamma random_clone threefry2x32
    rng_bit_generator rng_uniform empty full_like
    """
)
#: Primitives that add up products or many terms: what nothing has moved yet is moved as their operand.
_CONTRACTIONS = names(
    """
    dot_general ragged_dot ragged_dot_general conv_general_dilated fft reduce_sum reduce_prod cumsum cumprod
    cumlogsumexp reduce_window_sum scatter-add scatter-mul scatter-sub scatter_add scatter_mul scatter_sub
    select_and_scatter_add cholesky eigh eig svd qr lu triangular_solve
    """
)
#: Primitives whose result can be an operand: x + 0, x · 1, and what a huge term swallowed.
_ABSORBING = frozenset(("add", "add_any", "sub", "mul", "div"))
#: Reductions whose body says whether they round.
_REDUCTIONS = frozenset(("reduce", "reduce_window"))
#: Bits of the exponent of each floating dtype.
_EXPONENT = {"float16": 5, "bfloat16": 8, "float32": 8, "float64": 11}
_UNSIGNED = {2: np.uint16, 4: np.uint32, 8: np.uint64}
_WIDER = {
    "float16": np.float64,
    "bfloat16": np.float64,
    "float32": np.float64,
    "complex64": np.complex128,
}
#: Primitives that mean the bits of their operands, or leave JAX: they keep the dtypes they were traced with.
_NARROW = frozenset(
    ("bitcast_convert_type", "nextafter", "rng_uniform", "pure_callback", "io_callback", "ffi_call")
)

#: What predict does to a model; where it is the user's, a call of the model alone is another function.
_STEPS = ("predict_step", "make_predict_function", "predict_on_batch")


def _dtype(value: object) -> str:
    return str(value.dtype)


def _is_floating(value: object) -> bool:
    return _dtype(value) in MANTISSA or _dtype(value).startswith("complex")


def _hashed(number: object) -> object:
    """A 32-bit integer hash (lowbias32, by Chris Wellons): the same on every device and in every release."""
    number = number ^ (number >> np.uint32(16))
    number = number * np.uint32(0x7FEB352D)
    number = number ^ (number >> np.uint32(15))
    number = number * np.uint32(0x846CA68B)
    return number ^ (number >> np.uint32(16))


@jax.jit  # lowered once for each shape, however often a model has it
def _moved(values: jax.Array, salt: jax.Array, same: Sequence[jax.Array]) -> jax.Array:
    """Each value times 1 ± up to one unit in the last place, drawn from `salt`.

    Left alone: what looks exact, what equals an operand (`same`), and what would become infinite.
    """
    dtype = values.dtype
    mantissa = MANTISSA[dtype.name]
    working = dtype if dtype.itemsize > 2 else np.dtype(np.float32)
    unit = 2.0**-mantissa
    places = lax.iota(np.uint32, max(1, values.size))[: values.size].reshape(values.shape)
    drawn = _hashed(places * np.uint32(0x9E3779B1) + _hashed(salt)) >> np.uint32(8)
    drawn = drawn.astype(np.float32).astype(working) * working.type(2.0**-24)  # uniform in [0, 1)
    factor = drawn * working.type(2 * unit) + working.type(1 - unit)
    changed = values.astype(working) * factor
    if working != dtype:  # XLA may leave out a pair of conversions, but not this
        changed = lax.reduce_precision(changed, _EXPONENT[dtype.name], mantissa)
    changed = changed.astype(dtype)
    unsigned = _UNSIGNED[dtype.itemsize]
    trailing = lax.bitcast_convert_type(values, unsigned) & unsigned((1 << EXACT_BITS[dtype.name]) - 1)
    kept = (trailing == 0) | jnp.isinf(changed)
    for operand in same:
        kept |= values == operand
    return jnp.where(kept, values, changed)


class _Noise(Interpreter):
    """Monte Carlo arithmetic: results of rounding primitives move, and raw operands of contractions."""

    def __init__(self, salt: jax.Array) -> None:
        self._salt = salt
        self._draws = 0

    @contextlib.contextmanager
    def turn(self, number: object) -> Iterator[None]:
        """Other draws in each turn of a loop."""
        outside = self._salt
        self._salt = _hashed(outside + number.astype(np.uint32) * np.uint32(0x9E3779B1))
        with super().turn(number):
            yield
        self._salt = outside

    def operation(self, equation: object, operands: List[Operand]) -> List[Operand]:
        name = equation.primitive.name
        floating = [operand.raw for operand in operands if _is_floating(operand.value)]
        if _is_exact(equation):
            results = bind(equation, values_of(operands))
            return [Operand(result, all(floating)) for result in results]
        if name in _CONTRACTIONS and not self.depth:
            operands = [Operand(self._move(o.value), False) if o.raw else o for o in operands]
        values = values_of(operands)
        results = bind(equation, values)
        same = _alike(values, results[0]) if name in _ABSORBING else []
        return computed([self._move(result, same) for result in results])

    def _move(self, value: object, same: Sequence[object] = ()) -> object:
        if _dtype(value).startswith("complex"):
            return lax.complex(self._move(lax.real(value)), self._move(lax.imag(value)))
        if _dtype(value) not in MANTISSA:
            return value
        self._draws += 1
        salt = self._salt + np.uint32(self._draws * 0x85EBCA6B & 0xFFFFFFFF)
        return _moved(jnp.asarray(value), salt, list(same))


def _is_exact(equation: object) -> bool:
    name, results = equation.primitive.name, equation.outvars
    if not any(_is_floating(variable.aval) for variable in results if hasattr(variable.aval, "dtype")):
        return True
    if name in _REDUCTIONS:
        body = equation.params["jaxpr"]
        return all(inner.primitive.name in _EXACT for inner in body.eqns)
    of_complex = name == "abs" and _dtype(equation.invars[0].aval).startswith("complex")
    return name in _EXACT and not of_complex


def _alike(values: Sequence[object], result: object) -> List[object]:
    """The operands that a result can be equal to element by element."""
    shapes = ((), np.shape(result))
    return [value for value in values if np.shape(value) in shapes and _dtype(value) == _dtype(result)]


class _Widened(Interpreter):
    """Every floating value float64, every floating dtype among the parameters too."""

    def constant(self, value: object) -> object:
        """A constant has been rounded to its own dtype: 0.1 stays the number that it was."""
        return _widened(value)

    def operation(self, equation: object, operands: List[Operand]) -> List[Operand]:
        name, values = equation.primitive.name, values_of(operands)
        if name == "reduce_precision":
            return computed(values)
        if name in _NARROW:
            traced = [variable.aval for variable in equation.invars]
            values = [v.astype(own.dtype) if _is_floating(own) else v for v, own in zip(values, traced)]
            return computed(map(_widened, bind(equation, values)))
        results = bind(equation, values, **_wider_parameters(equation))
        return computed(map(_widened, results))


def _widened(value: object) -> object:
    return jnp.asarray(value, _WIDER[_dtype(value)]) if _dtype(value) in _WIDER else value


def _wider_parameters(equation: object) -> dict:
    """The parameters of an equation that mean a dtype or a precision, in float64."""
    name, wider = equation.primitive.name, {}
    for key, value in equation.params.items():
        if isinstance(value, np.dtype) and value.name in _WIDER:
            wider[key] = np.dtype(_WIDER[value.name])
        elif key in ("precision", "accuracy") or (key, name) == ("algorithm", "dot_general"):
            wider[key] = None
        elif hasattr(value, "eqns"):
            if not name.startswith(("reduce", "scatter", "select_and_scatter")):
                raise NoOperations("not-traceable", f"no float64 form of the JAX primitive {name} is known")
            body = _wider_body(value)
            wider[key] = body if hasattr(value, "consts") else body.jaxpr
            if key == "update_jaxpr":  # that of a scatter keeps its constants beside it
                wider["update_consts"] = tuple(body.consts)
    return wider


def _wider_body(body: object) -> object:
    """The body of a reduction or a scatter, which takes scalars, traced again."""
    variables = getattr(body, "jaxpr", body).invars
    scalars = [
        jax.ShapeDtypeStruct(v.aval.shape, _WIDER.get(_dtype(v.aval), v.aval.dtype)) for v in variables
    ]
    return jax.make_jaxpr(lambda *values: values_of(_Widened().run(body, computed(values))))(*scalars)


class _Program:
    """A model traced for inputs of certain shapes; each arithmetic is compiled when it first runs.

    A function takes a salt (uint32), the variables' values and the flat inputs; it returns the outputs in
    their structure, and the variables' values afterwards.
    """

    def __init__(self, jaxpr: object, structure: object) -> None:
        self._jaxpr = jaxpr
        self._structure = structure
        self.noisy = jax.jit(lambda salt, *taken: self._run(_Noise(salt), *taken))
        self.unmoved = jax.jit(lambda salt, *taken: self._run(Interpreter(), *taken))
        self._widened = jax.jit(lambda salt, *taken: self._run(_Widened(), *taken))

    def float64(self, salt: np.uint32, values: Sequence[object], inputs: Sequence[object]) -> Tuple:
        """As the others, in float64; what it takes may be of any width."""
        wide = [[_widened_array(array) for array in arrays] for arrays in (values, inputs)]
        with _x64():
            return self._widened(salt, *wide)

    def _run(self, interpreter: Interpreter, values: Sequence[object], inputs: Sequence[object]) -> Tuple:
        operands = [*computed(values), *(Operand(value, True) for value in inputs)]
        results = values_of(interpreter.run(self._jaxpr, operands))
        return jax.tree_util.tree_unflatten(self._structure, results)


def _widened_array(values: object) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(_WIDER.get(array.dtype.name, array.dtype))


def _x64() -> AbstractContextManager:
    """64-bit types within: `jax.enable_x64` of 0.8, and what was before it."""
    try:
        return jax.enable_x64(True)
    except (AttributeError, TypeError):
        from jax.experimental import enable_x64

        return enable_x64()


Arithmetic = Callable[..., Tuple]  # a function of a _Program


class JaxOperations(Operations):
    """The operations of a model on JAX. Where its code cannot be traced, or run so, it has none."""

    def __init__(self, framework: Framework, model: object) -> None:
        super().__init__(framework, model)
        stock = framework.keras.Model
        own = [name for name in _STEPS if getattr(type(model), name) is not getattr(stock, name)]
        if own:
            raise NoOperations("another-function", f"the model has a {own[0]} of its own")
        self._variables = list({id(variable): variable for variable in model.variables}.values())
        self._programs: dict = {}

    @contextlib.contextmanager
    def member(self, number: int) -> Iterator[Call]:
        """The weights move for as long as their values are read; then each draw has a salt of its own."""
        with perturbed(self.framework, self.model, number):
            values = self._values()
        yield self._call(lambda program: program.noisy, SEED + number, values)

    @contextlib.contextmanager
    def unmoved(self) -> Iterator[Call]:
        """The jaxpr as it is."""
        yield self._call(lambda program: program.unmoved, SEED)

    @contextlib.contextmanager
    def float64(self) -> Iterator[Call]:
        """The jaxpr of the narrow model with every floating type wider."""
        yield self._call(lambda program: program.float64, SEED)

    def _values(self) -> List[object]:
        return [variable.value for variable in self._variables]

    def _call(
        self, arithmetic: Callable[[_Program], Arithmetic], seed: int, values: Optional[List[object]] = None
    ) -> Call:
        """Calls the model again and again; states and seeds go from batch to batch as in predict."""
        held, salts = values, itertools.count(seed * 0x9E3779B1, 0x85EBCA6B)

        def call(batch: object) -> object:
            nonlocal held
            held = self._values() if held is None else held
            try:
                flat, structure = jax.tree_util.tree_flatten(batch)
                inputs = [jnp.asarray(array) for array in flat]  # in the types that this JAX computes in
                program = self._program(inputs, structure)
                salt = np.uint32(next(salts) & 0xFFFFFFFF)
                outputs, held = arithmetic(program)(salt, held, inputs)
            except NoOperations:
                raise
            except Exception as error:  # whatever JAX says of code that ran by predict
                raise NoOperations("not-traceable", f"{type(error).__name__}: {error}") from error
            return outputs

        return call

    def _program(self, inputs: List[jax.Array], structure: object) -> _Program:
        key = structure, tuple((array.shape, array.dtype) for array in inputs)
        if key not in self._programs:
            self._programs[key] = self._trace(inputs, structure)
        return self._programs[key]

    def _trace(self, inputs: List[jax.Array], structure: object) -> _Program:
        predict = caller(self.framework, self.model)

        def stateless(values: List[object], flat: List[object]) -> Tuple:
            scope = self.framework.keras.StatelessScope(state_mapping=list(zip(self._variables, values)))
            with scope:
                outputs = predict(jax.tree_util.tree_unflatten(structure, flat))
            after = [scope.get_current_value(variable) for variable in self._variables]
            return outputs, [value if new is None else new for value, new in zip(values, after)]

        jaxpr, shapes = jax.make_jaxpr(stateless, return_shape=True)(self._values(), inputs)
        return _Program(jaxpr, jax.tree_util.tree_structure(shapes))
