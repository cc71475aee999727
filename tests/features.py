"""What a cell has, in words: for tests that want to know that something happens in what they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy import Rational

from derive import (
    ACTIVATIONS,
    Activated,
    Activation,
    Cell,
    Linear,
    MeanMap,
    Parameter,
    Previous,
    State,
    Vector,
)
from derive.symbols import atoms

Expr = sympy.Expr
GATES = tuple(phi for phi in ACTIVATIONS.values() if phi.is_gate)


def _has(cell: Cell, kind: type, test: Callable[[Any], bool] = lambda node: True) -> bool:
    nodes = (n for e in cell.equations.values() for n in sympy.preorder_traversal(e))
    return any(isinstance(n, kind) and test(n) for n in nodes)


def _readers(cell: Cell, parameter: str) -> int:
    return sum(cell.symbols[parameter] in atoms(e) for e in cell.equations.values())


def _carries(cell: Cell) -> list[Expr]:
    """The coefficients with which states carry themselves."""
    expanded = ((s, sympy.expand(e)) for s, e in cell.equations.items() if isinstance(s, State))
    return [c for s, e in expanded if (c := e.coeff(s.prev)) != 0]


def _complement(node: Expr) -> bool:
    return any(a == 1 for a in node.args) and any((-a).is_symbol for a in node.args)


def _matrices(expr: Expr) -> bool:
    return any(isinstance(node.map, Parameter) for node in expr.atoms(Linear))


def _vectors(expr: Expr) -> int:
    return len(expr.atoms(Vector, Previous))


_FEATURES: Mapping[str, Callable[[Cell], Any]] = {
    "one state": lambda c: len(c.states) == 1,
    "two states": lambda c: len(c.states) == 2,
    "three states": lambda c: len(c.states) == 3,
    "states in another order": lambda c: (
        list(c.states) != [v.name for v in c.equations if v.name in c.states]
    ),
    "input": lambda c: c.inputs,
    "no input": lambda c: not c.inputs,
    "no output": lambda c: c.output is None,
    "output is a state": lambda c: c.output in c.states,
    "output is a vector": lambda c: c.output is not None and c.output not in c.states,
    "gates": lambda c: any(isinstance(e, Activated) and e.activation in GATES for e in c.equations.values()),
    "complement": lambda c: _has(c, sympy.Add, _complement),
    "bare carry": lambda c: any(k.is_Number for k in _carries(c)),
    "gated carry": lambda c: any(k.atoms(Vector) for k in _carries(c)),
    "no carry": lambda c: not _carries(c),
    "squashed read": lambda c: _has(c, Linear, lambda n: n.vector.atoms(Activated)),
    "gated read": lambda c: _has(c, Linear, lambda n: n.vector.is_Mul and _vectors(n.vector) > 1),
    "shadow state": lambda c: any(not c.graph.has_edge(s, s) for s in c.states),
    "read after write": lambda c: any(lag == 0 for _, _, lag in c.graph.out_edges(c.states, data="lag")),
    "bias": lambda c: c.biases,
    "no bias": lambda c: not c.biases,
    "bare bias": lambda c: _has(c, Activated, lambda n: isinstance(n.argument, Parameter)),
    "diagonal": lambda c: _has(c, sympy.Mul, lambda n: any(isinstance(a, Parameter) for a in n.args)),
    "shared parameter": lambda c: any(_readers(c, name) > 1 for name in c.parameters),
    "mean": lambda c: _has(c, MeanMap),
    "normalization": lambda c: _has(c, sympy.Pow, lambda n: n.exp == Rational(-1, 2)),
    "square": lambda c: _has(c, sympy.Pow, lambda n: n.exp == 2),
    "nested linear": lambda c: _has(
        c, Linear, lambda n: isinstance(n.map, Parameter) and _matrices(n.vector)
    ),
    "elementwise product": lambda c: _has(c, sympy.Mul, lambda n: _vectors(n) > 1),
    "negative coefficient": lambda c: _has(c, sympy.Number, lambda n: n < 0),
} | {
    str(activation): lambda c, activation=activation: _has(c, Activation, lambda n: n == activation)
    for activation in ACTIVATIONS.values()
}


def features(cell: Cell) -> frozenset[str]:
    """What happens in a cell, in words; :data:`FEATURES` lists them all."""
    return frozenset(name for name, test in _FEATURES.items() if test(cell))


FEATURES = frozenset(_FEATURES)
