"""The same cell in other clothes: renamed, reordered, inlined, with gates mirrored and parameters negated."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import sympy

from derive import Activated, Cell, Linear
from derive.symbols import Parameter, Previous, Quantity, State, Vector, atoms

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Disguise:
    """``cell`` computes what the original does; its ``names[p]`` is ``signs[p]`` times the original's p."""

    cell: Cell
    names: dict[str, str]
    signs: dict[str, int]
    states: dict[str, str]

    def parameters(self, original: Arrays) -> Arrays:
        return {self.names[p]: self.signs[p] * value for p, value in original.items()}


def disguise(cell: Cell, seed: int) -> Disguise:
    """A random disguise; the signs and mirrors are applied by hand here, none by the engine."""
    rng = random.Random(seed)
    equations = dict(cell.equations)
    signs = dict.fromkeys(cell.parameters, 1)
    for gate in [v for v in equations if not isinstance(v, State) and v.name != cell.output]:
        if rng.random() < 0.5 and (own := own_parameters(cell, gate)) is not None:
            expr = equations[gate]
            for p in own:
                signs[p.name] = -signs[p.name]
            mirrored = expr.activation.reflection - gate
            equations = {v: e if v == gate else e.xreplace({gate: mirrored}) for v, e in equations.items()}
            # the gate now stands for k - φ: φ(-a) with every parameter negated reads as φ(a)
    for name in cell.parameters:
        if rng.random() < 0.5:
            p = cell.symbols[name]
            equations = {v: negated(e, p) for v, e in equations.items()}
            signs[name] = -signs[name]
    equations = inlined(equations, cell.output, rng)
    equations = shuffled(equations, rng)
    return renamed(cell, equations, signs, rng)


def own_parameters(cell: Cell, gate: Vector) -> set[Parameter] | None:
    """For each term of a gate's argument a parameter that occurs nowhere else; None if there are none."""
    expr = cell.equations[gate]
    if not isinstance(expr, Activated) or expr.activation.reflection is None:
        return None
    uses: dict[Quantity, int] = {}
    for e in cell.equations.values():
        for node in sympy.preorder_traversal(e):
            if isinstance(node, Parameter):
                uses[node] = uses.get(node, 0) + 1
    own = set()
    for term in sympy.Add.make_args(expr.argument):
        factors = [f.map if isinstance(f, Linear) else f for f in sympy.Mul.make_args(term)]
        free = [f for f in factors if isinstance(f, Parameter) and uses[f] == 1]
        if not free:
            return None
        own.add(free[0])
    return own


def negated(expr: sympy.Expr, p: Parameter) -> sympy.Expr:
    """The expression with -p for p, the minus of a matrix in front of its product."""
    if expr == p:
        return -p
    if isinstance(expr, Linear):
        product = Linear(expr.map, negated(expr.vector, p))
        return -product if expr.map == p else product
    if isinstance(expr, Activated):
        return expr.activation(negated(expr.argument, p))
    return expr.func(*(negated(a, p) for a in expr.args)) if expr.args else expr


def inlined(
    equations: dict[Vector, sympy.Expr], output: str | None, rng: random.Random
) -> dict[Vector, sympy.Expr]:
    """Some vectors put into the equations that read them."""
    for v in list(equations):
        if not isinstance(v, State) and v.name != output and rng.random() < 0.4:
            expr = equations.pop(v)
            equations = {w: e.xreplace({v: expr}) for w, e in equations.items()}
    return equations


def shuffled(equations: dict[Vector, sympy.Expr], rng: random.Random) -> dict[Vector, sympy.Expr]:
    """Another order in which each equation stands behind those that it reads."""
    waiting, done = dict(equations), {}
    while waiting:
        ready = [v for v, e in waiting.items() if not any(w in waiting for w in atoms(e))]
        choice = rng.choice(ready)
        done[choice] = waiting.pop(choice)
    return done


def renamed(
    cell: Cell, equations: dict[Vector, sympy.Expr], signs: dict[str, int], rng: random.Random
) -> Disguise:
    """Every state, vector, parameter and input under another name; the states in another order."""
    named = [
        q for q in cell.symbols.values() if not isinstance(q, Previous) and type(q).__name__ != "MeanMap"
    ]
    new = [f"q{k}" for k in range(len(named))]
    rng.shuffle(new)
    names = {q.name: n for q, n in zip(named, new, strict=True)}
    mapping = {q: type(q)(names[q.name], *q.axes) for q in named}
    mapping |= {q.prev: mapping[q].prev for q in named if isinstance(q, State)}
    states = [names[s] for s in cell.states]
    rng.shuffle(states)
    other = Cell(
        "disguised",
        {mapping[v]: e.xreplace(mapping) for v, e in equations.items()},
        output=names[cell.output] if cell.output else None,
        states=states,
    )
    return Disguise(other, {p: names[p] for p in cell.parameters}, signs, {s: names[s] for s in cell.states})
