"""Evaluates a jaxpr equation by equation, so that other arithmetic can take the place of JAX's own.

Public JAX only (`jax.make_jaxpr`, `Primitive.bind`), 0.4.30 to 0.10.2. What a jaxpr is:
https://docs.jax.dev/en/latest/jaxpr.html
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import AbstractSet, List, NamedTuple

import jax
import numpy as np
from jax import lax

from keras_capture.outputs.operations import names

#: Primitives that only call a jaxpr; their names differ between releases.
_CALLS = names(
    """
    pjit jit closed_call core_call named_call composite remat remat2 checkpoint custom_jvp_call
    custom_vjp_call custom_vjp_call_jaxpr
    """
)
_CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # the parameter that holds it


class Operand(NamedTuple):
    """A value of the jaxpr. `raw`: it comes from constants and inputs through exact operations alone."""

    value: object
    raw: bool


def computed(values: Sequence[object]) -> List[Operand]:
    """Values that are no longer raw."""
    return [Operand(value, False) for value in values]


def values_of(operands: Sequence[Operand]) -> List[object]:
    """The values alone."""
    return [operand.value for operand in operands]


def bind(equation: object, values: Sequence[object], **parameters: object) -> List[object]:
    """The results of an equation's primitive, with some of its parameters replaced."""
    prepared = equation.primitive.get_bind_params({**equation.params, **parameters})
    # JAX 0.10 gives the parameters alone.
    functions, bound = ((), prepared) if isinstance(prepared, dict) else prepared
    results = equation.primitive.bind(*functions, *values, **bound)
    return list(results) if equation.primitive.multiple_results else [results]


def _platform() -> AbstractSet[str]:
    """The names of the platform that computes, as `jax.lax.platform_dependent` takes them."""
    return {"gpu": {"gpu", "cuda", "rocm"}}.get(jax.default_backend(), {jax.default_backend()})


class Interpreter:
    """Evaluates a jaxpr as it is; a subclass says what an operation gives. To be run inside `jax.jit`.

    Calls are entered; loops and branches are built again around the interpreter, so that what stands in
    their bodies is evaluated in the same way.
    """

    depth = 0  # of loops

    def operation(self, equation: object, operands: List[Operand]) -> List[Operand]:
        """What an equation gives that is no call, loop or branch."""
        return computed(bind(equation, values_of(operands)))

    def constant(self, value: object) -> object:
        """What stands for a constant of the jaxpr, which has the dtype that it has there."""
        return value

    @contextlib.contextmanager
    def turn(self, number: object) -> Iterator[None]:
        """Within the body of a loop, in the turn of this number (traced)."""
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def run(self, jaxpr: object, operands: Sequence[Operand]) -> List[Operand]:
        """The results of a jaxpr, open or closed."""
        inner, constants = (jaxpr.jaxpr, jaxpr.consts) if hasattr(jaxpr, "consts") else (jaxpr, ())
        bound = {
            variable: Operand(self.constant(value), True)
            for variable, value in zip(inner.constvars, constants)
        }
        bound.update(zip(inner.invars, operands))

        def read(variable: object) -> Operand:
            if not hasattr(variable, "val"):
                return bound[variable]
            return Operand(self.constant(np.asarray(variable.val, dtype=variable.aval.dtype)), True)

        for equation in inner.eqns:
            bound.update(zip(equation.outvars, self._evaluate(equation, [read(v) for v in equation.invars])))
        return [read(variable) for variable in inner.outvars]

    def _evaluate(self, equation: object, operands: List[Operand]) -> List[Operand]:
        name, parameters = equation.primitive.name, equation.params
        if name in _CALLS:
            called = next(parameters[key] for key in _CALLED if key in parameters)
            return self.run(called, operands)
        control = {"scan": self._scan, "while": self._while, "cond": self._cond}.get(name)
        if control is not None:
            return computed(control(parameters, values_of(operands)))
        if name == "custom_linear_solve":
            return self._solve(parameters, operands)
        return self.operation(equation, operands)

    def _values(self, jaxpr: object, values: Sequence[object]) -> List[object]:
        return values_of(self.run(jaxpr, computed(values)))

    def _scan(self, parameters: dict, values: List[object]) -> List[object]:
        fixed = parameters["num_consts"]
        carried = fixed + parameters["num_carry"]

        def body(state: tuple, slices: list) -> tuple:
            number, carry = state
            with self.turn(number):
                results = self._values(parameters["jaxpr"], [*values[:fixed], *carry, *slices])
            return (number + np.int32(1), results[: len(carry)]), results[len(carry) :]

        options = {key: parameters[key] for key in ("length", "reverse", "unroll")}
        start = (np.int32(0), values[fixed:carried])
        (_, carry), stacked = lax.scan(body, start, values[carried:], **options)
        return [*carry, *stacked]

    def _while(self, parameters: dict, values: List[object]) -> List[object]:
        asked = parameters["cond_nconsts"]
        fixed = asked + parameters["body_nconsts"]

        def condition(state: tuple) -> object:
            with self.turn(state[0]):
                return self._values(parameters["cond_jaxpr"], [*values[:asked], *state[1]])[0]

        def body(state: tuple) -> tuple:
            number, carry = state
            with self.turn(number):
                return number + np.int32(1), self._values(
                    parameters["body_jaxpr"], [*values[asked:fixed], *carry]
                )

        return lax.while_loop(condition, body, (np.int32(0), values[fixed:]))[1]

    def _cond(self, parameters: dict, values: List[object]) -> List[object]:
        branches, platforms = parameters["branches"], parameters.get("branches_platforms")
        if platforms is not None:  # the branches of other platforms need not compile on this one
            fitting = [names is None or not _platform().isdisjoint(names) for names in platforms]
            return self._values(branches[fitting.index(True)], values[1:])
        calls = [lambda *taken, jaxpr=jaxpr: self._values(jaxpr, taken) for jaxpr in branches]
        return lax.switch(values[0], calls, *values[1:])

    def _solve(self, parameters: dict, operands: List[Operand]) -> List[Operand]:
        """A linear system with a solver of its own: constants of four functions, then the right sides."""
        lengths = parameters["const_lengths"]
        before = lengths.matvec + lengths.vecmat
        solver = operands[before : before + lengths.solve]
        sides = operands[before + lengths.solve + lengths.transpose_solve :]
        return self.run(parameters["jaxprs"].solve, [*solver, *sides])
