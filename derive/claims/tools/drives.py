"""Weights that put a vector where one wants it, and runs with them: counterexamples as exact numbers.

A vector is driven by what its equation alone adds: a bias of ±40 puts σ at 1 or 0 up to double rounding;
without a bias, a matrix of the input does with an input of ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from derive.activations import a
from derive.cell import Cell
from derive.evaluate import evaluate, step, value
from derive.symbols import Activated, Input, Linear, Parameter, Previous, Vector, atoms

FAR = 40.0
"""σ(±40) and tanh(±40) are the ends of their ranges in float64."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Numbers:
    """Parameters, inputs (T, m) and a state to start from, each a tuple entry in ``cell.states`` order."""

    parameters: Mapping[str, Array]
    inputs: Array
    state: tuple[Array, ...]

    def to_plain(self) -> dict[str, Any]:
        return {
            "parameters": {name: value.tolist() for name, value in self.parameters.items()},
            "inputs": self.inputs.tolist(),
            "state": [value.tolist() for value in self.state],
        }

    @classmethod
    def from_plain(cls, cell: Cell, data: Mapping[str, Any]) -> Numbers:
        def shaped(value: Any, axes: int) -> Array:
            array = np.asarray(value, dtype=np.float64)
            return array if array.ndim == axes else array.reshape(array.shape[:1] + (0,) * (axes - 1))

        parameters = {name: shaped(data["parameters"][name], len(ax)) for name, ax in cell.parameters.items()}
        inputs = np.asarray(data["inputs"], dtype=np.float64).reshape(len(data["inputs"]), -1)
        state = tuple(np.asarray(v, dtype=np.float64) for v in data["state"])
        return cls(parameters, inputs, state)

    def states(self, cell: Cell) -> list[tuple[Array, ...]]:
        """The state at the start and after every step, through :func:`derive.evaluate`."""
        found = [self.state]
        for x in self.inputs:
            found.append(evaluate(cell, self.parameters, x[None], found[-1])[1])
        return found

    def first_step(self, cell: Cell) -> dict[str, Array]:
        """Every vector of the first step by name."""
        return step(cell, self.parameters, self.inputs[0], self.state)


def sizes(cell: Cell, n: int, m: int = 1) -> dict[str, int]:
    """The size of every axis: n for those of states, m for those of the input, 2 for others."""
    found = {axis: 2 for axes in cell.parameters.values() for axis in axes}
    found |= {axis: m for name in cell.inputs for axis in cell.axes(name)}
    return found | {axis: n for name in cell.states for axis in cell.axes(name)}


def zeros(cell: Cell, n: int = 2, m: int = 1, T: int = 1, fill: float = 1.0) -> Numbers:
    """All parameters 0, inputs of ones, every state ``fill``."""
    size = sizes(cell, n, m)
    parameters = {name: np.zeros([size[ax] for ax in axes]) for name, axes in cell.parameters.items()}
    features = size[cell.axes(cell.inputs[0])[0]] if cell.inputs else 0
    state = tuple(np.full([size[ax] for ax in cell.axes(s)], fill) for s in cell.states)
    return Numbers(parameters, np.ones((T, features)), state)


@dataclass(frozen=True)
class Drive:
    """A parameter that pushes a vector's argument: added to it with a sign, and read nowhere else."""

    parameter: Parameter
    sign: int
    how: str  # "bias", "input", "state"
    operand: sympy.Expr = sympy.S.One

    def set(self, numbers: Numbers, push: float) -> None:
        """Let the argument be ``push``, for an input of ones (or states of ones)."""
        array = numbers.parameters[self.parameter.name]
        array[...] = (
            self.sign * push * np.eye(*array.shape)
            if self.how == "state" and array.ndim == 2
            else (self.sign * push / (array.shape[1] if array.ndim == 2 else 1))
        )


def drives(cell: Cell, vector: Vector) -> list[Drive]:
    """The drives of a vector, biases first, then input matrices, then what multiplies a past state."""
    equation = cell.equations[vector]
    argument = equation.argument if isinstance(equation, Activated) else equation
    inner = sorted(equation.atoms(Activated) - {equation}, key=str)
    found = _terms(argument) or [drive for node in inner for drive in _terms(node.argument)]
    elsewhere = set().union(*(atoms(e) for v, e in cell.equations.items() if v != vector))
    order = ("bias", "input", "state")
    own = [d for d in found if d.parameter not in elsewhere]
    return sorted(own, key=lambda d: (order.index(d.how), d.parameter.name))


def _terms(argument: sympy.Expr) -> list[Drive]:
    """The parameters that are added to something, bare or as a map of the input or of a past state."""
    found: list[Drive] = []
    for term in sympy.Add.make_args(argument):
        number, rest = term.as_coeff_Mul()
        if abs(number) != 1:
            continue
        sign = int(number)
        if isinstance(rest, Parameter):
            found.append(Drive(rest, sign, "bias"))
        elif isinstance(rest, Linear) and isinstance(rest.map, Parameter):
            past = any(isinstance(q, Previous) for q in atoms(rest.vector))
            if isinstance(rest.vector, Input) or past:
                found.append(Drive(rest.map, sign, "state" if past else "input", rest.vector))
    return found


def settle(cell: Cell, numbers: Numbers, held: Mapping[Vector, sympy.Expr]) -> bool:
    """Put vectors at values by weights: far out for an end of the range, all zero for φ(0); else False."""
    for vector, wanted in held.items():
        equation = cell.equations[vector]
        if not isinstance(equation, Activated):
            return False
        phi = equation.activation
        for parameter in equation.atoms(Parameter):
            numbers.parameters[parameter.name][...] = 0.0
        if phi.formula.subs(a, 0) == wanted:
            continue
        way = {phi.range.inf: -FAR, phi.range.sup: FAR}.get(wanted)
        able = drives(cell, vector)
        if way is None or not able or not phi.monotone or not _push(cell, numbers, able[0], way):
            return False
    return True


def _push(cell: Cell, numbers: Numbers, drive: Drive, way: float) -> bool:
    """Push an argument one way in the first step; where only the past is read, for that past alone."""
    if drive.how != "state":
        drive.set(numbers, way)
        return True
    past = {Previous(s, *cell.axes(s)): v for s, v in zip(cell.states, numbers.state, strict=True)}
    array = numbers.parameters[drive.parameter.name]
    if not atoms(drive.operand) <= past.keys() or array.shape[0] != array.shape[1]:
        return False
    operand = np.asarray(value(drive.operand, past))
    if np.abs(operand).min() < 1e-3:
        return False
    array[...] = drive.sign * np.diag(way / operand)
    return True
