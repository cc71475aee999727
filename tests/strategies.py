"""Hypothesis strategies for cells, and numbers to run them on.

``cells()`` grows any well-formed cell, ``smooth_cells()`` one whose gradients exist everywhere,
``gated_cells()`` one that looks like a derived recurrent network.  Cells grow equation by equation, and what
is left over (a vector that nobody reads, a state whose past nobody reads) is mended, so no draw is thrown
away; each choice shrinks to the plainer one.  ``numbers(cell)`` gives parameters, inputs and a state to run a
cell on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import sympy
from hypothesis import strategies as st
from sympy import Rational

from derive import (
    ACTIVATIONS,
    Activated,
    Activation,
    Cell,
    Input,
    Parameter,
    Previous,
    State,
    Vector,
    hard_sigmoid,
    mean,
    relu,
    sigmoid,
    softsign,
    tanh,
    variance,
)
from derive.symbols import atoms
from derive.wellformed import axes_of

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]
Expr = sympy.Expr

STATES = (("s",), ("h", "c"), ("h", "c", "k"))
VECTORS = ("i", "f", "o", "z", "s_tilde", "c_tilde", "r", "a", "q", "e_hat", *(f"v{k}" for k in range(1, 31)))
GATES = tuple(a for a in ACTIVATIONS.values() if a.is_gate)
SMOOTH = tuple(a for a in ACTIVATIONS.values() if not a.kinks)


def cells(activations: tuple[Activation, ...] = tuple(ACTIVATIONS.values())) -> st.SearchStrategy[Cell]:
    """Any well-formed cell of one to three states, small enough to evaluate in a moment."""
    return _cells(activations)


def smooth_cells() -> st.SearchStrategy[Cell]:
    """The same, with activations that are differentiable everywhere."""
    return _cells(SMOOTH)


def numbers(
    cell: Cell, n: int = 3, m: int = 2, T: int = 4, B: int | None = 2, seed: int = 0, **sizes: int
) -> tuple[dict[str, np.ndarray], np.ndarray, tuple[np.ndarray, ...]]:
    """``(params, inputs, state)`` in float64; ``B=None`` is unbatched; axes not named are of size 4."""
    rng = np.random.default_rng(seed)
    size = {"n": n, "m": m} | sizes
    batch = () if B is None else (B,)
    params = {
        name: rng.normal(scale=0.7 if len(axes) == 1 else 0.9 / np.sqrt(size.get(axes[-1], 4)), size=shape)
        for name, axes in cell.parameters.items()
        for shape in [tuple(size.get(a, 4) for a in axes)]
    }
    features = size[cell.axes(cell.inputs[0])[0]] if cell.inputs else 0
    inputs = rng.normal(size=(T, *batch, features))
    state = tuple(
        rng.uniform(-0.9, 0.9, size=(*batch, *(size.get(a, 4) for a in cell.axes(s)))) for s in cell.states
    )
    return params, inputs, state


@st.composite
def _cells(draw: Draw, activations: tuple[Activation, ...]) -> Cell:
    return _Draft(draw, activations).cell()


class _Draft:
    """A cell that grows: what was written so far, what may be read, which matrices exist."""

    def __init__(self, draw: Draw, activations: tuple[Activation, ...]) -> None:
        self.draw = draw
        self.activations = sorted(activations, key=lambda a: [tanh, sigmoid, a].index(a))
        self.states = [State(name) for name in self.pick(*STATES)]
        self.x = None if self.chance(1) else Input("x")
        self.equations: dict[Vector, Expr] = {}
        self.names = list(VECTORS)
        self.parameters: set[Parameter] = set()

    # what is drawn

    def pick(self, *options: T) -> T:
        return self.draw(st.sampled_from(options))

    def chance(self, eighths: int) -> bool:
        """True in so many of eight draws; shrinks to False."""
        return self.draw(st.integers(0, 7)) >= 8 - eighths

    def activation(self) -> Activation:
        return self.pick(*self.activations)

    # what can be read

    def gates(self) -> list[Vector]:
        return [v for v, e in self.equations.items() if isinstance(e, Activated) and e.activation in GATES]

    def gate(self, *, write: bool = False) -> Expr:
        """A gate or its complement; where there is none, one half, or with ``write`` a new gate."""
        gates = self.gates()
        if write and (not gates or self.chance(1)):
            symbol = Vector(self.names.pop(0))
            activation = self.pick(*(a for a in self.activations if a in GATES))
            self.equations[symbol] = activation(self.affine(symbol.name))
            gates = [symbol]
        if not gates:
            return Rational(1, 2)
        gate = self.pick(*gates)
        return 1 - gate if self.chance(3) else gate

    def source(self) -> Expr:
        return self.pick(*(s.prev for s in self.states), *self.equations)

    def read(self) -> Expr:
        """A state or a vector as an equation may take it: bare, squashed, gated, normalized."""
        v = self.source()
        how = self.pick("bare", "squashed", "gated", "gated", "both", "centred", "normalized", "scaled")
        if how in ("squashed", "both"):
            v = self.activation()(v)
        if how in ("gated", "both"):
            v = self.gate() * v
        if how == "centred":
            v = v - mean(v)
        if how == "normalized":
            v = v / (variance(v) + 1) ** Rational(1, 2)
        if how == "scaled":
            v = self.pick(-1, 2, Rational(-1, 2), Rational(3, 4)) * v
        return v

    def parameter(self, stem: str, name: str, *axes: str) -> Parameter:
        """A fresh parameter, or sometimes one that another equation has."""
        others = sorted((p for p in self.parameters if p.axes == axes), key=lambda p: p.name)
        if others and self.chance(1):
            return self.pick(*others)
        taken = {p.name for p in self.parameters}
        fresh = next(n for k in range(1, 99) if (n := f"{stem}_{name}{k if k > 1 else ''}") not in taken)
        self.parameters.add(Parameter(fresh, *axes))
        return Parameter(fresh, *axes)

    def term(self, name: str) -> Expr:
        kinds = ["matrix", "matrix", "matrix", "diagonal", "product", "bare", "nested"]
        kind = self.pick(*kinds, *(["input"] * 4 if self.x else []))
        if kind == "input":
            assert self.x is not None
            return self.parameter("U", name, "n", "m") @ self.x
        if kind == "diagonal":
            return self.parameter("p", name, "n") * self.read()
        if kind == "product":
            return self.read() * self.read()
        if kind == "bare":
            return self.read()
        if kind == "nested":
            inner = self.parameter("V", name, "n", "n") @ self.read()
            if self.chance(3):
                inner = self.activation()(inner)
            return self.parameter("W", name, "n", "n") @ inner
        return self.parameter("W", name, "n", "n") @ self.read()

    def affine(self, name: str) -> Expr:
        total = sum((self.term(name) for _ in range(self.pick(1, 2, 3))), sympy.S.Zero)
        if self.chance(5):
            total += self.parameter("b", name, "n")
        # terms may have cancelled
        return total if axes_of(total) else total + self.parameter("W", name, "n", "n") @ self.states[0].prev

    # what is written

    def vector(self) -> Vector:
        symbol = Vector(self.names.pop(0))
        shape = self.pick("activation", "activation", "activation", "activation", "affine", "bias", "write")
        if shape == "affine":
            expr = self.affine(symbol.name)
        elif shape == "bias":
            expr = self.activation()(self.parameter("b", symbol.name, "n"))
        elif shape == "write":
            expr = self.write(symbol.name, self.pick(*self.states))
        else:
            expr = self.activation()(self.affine(symbol.name))
        self.equations[symbol] = expr
        return symbol

    def write(self, name: str, state: State) -> Expr:
        """Carry and candidate: f ⊙ s + i ⊙ φ(…)."""
        carry = self.pick(sympy.S.One, None, None, None, Rational(1, 2))
        if carry is None:
            carry = self.gate(write=True)
        if self.chance(1):
            carry *= self.parameter("p", name, "n")
        candidate = self.activation()(self.affine(name))
        if self.chance(5):
            candidate *= self.gate(write=True)
        return carry * state.prev + candidate

    def state(self, state: State) -> None:
        present = [v for v in self.equations if isinstance(v, State)]
        shapes = ["replace", "write", "write", "write", "linear", "normalize"]
        shape = self.pick(*shapes, *(["shadow"] * 3 if present else []))
        if shape == "replace":
            expr: Expr = self.activation()(self.affine(state.name))
        elif shape == "write":
            expr = self.write(state.name, state)
        elif shape == "linear":
            expr = self.affine(state.name)
        elif shape == "shadow":
            expr = self.gate(write=True) * self.activation()(self.pick(*present))
        else:
            before = Vector(self.names.pop(0))
            self.equations[before] = self.write(before.name, state)
            expr = before / (variance(before) + 1) ** Rational(1, 2)
        self.equations[state] = expr

    def cell(self) -> Cell:
        for state in self.draw(st.permutations(self.states)):
            for _ in range(self.pick(0, 1, 2)):
                self.vector()
            self.state(state)
        output = self.pick("state", "state", "vector", "none")
        shown: Vector | None = None if output == "none" else self.states[0]
        if output == "vector":
            shown = Vector("y")
            self.equations[shown] = self.gate() * self.activation()(self.pick(*self.states))
        self.prune(shown)
        self.mend()
        states = [s.name for s in self.states if s in self.equations]
        return Cell("drawn", self.equations, output=shown, states=self.draw(st.permutations(states)))

    def prune(self, shown: Vector | None) -> None:
        """Leave out what nothing reads."""
        states = [v for v in self.equations if isinstance(v, State)]
        frontier: list[Any] = states if shown is None else [shown]
        alive: set[Any] = set()
        while frontier:
            symbol = frontier.pop()
            if symbol not in alive:
                alive.add(symbol)
                read = (q.state if isinstance(q, Previous) else q for q in atoms(self.equations[symbol]))
                frontier += [q for q in read if isinstance(q, Vector)]
        self.equations = {v: e for v, e in self.equations.items() if v in alive}

    def mend(self) -> None:
        """Read the past of every state somewhere, and have at least one parameter."""
        written = [v for v in self.equations if isinstance(v, State)]
        past = {q.state for e in self.equations.values() for q in atoms(e) if isinstance(q, Previous)}
        for state in written:
            if state not in past:
                reader = written[-1]
                self.equations[reader] += self.parameter("W", reader.name, "n", "n") @ state.prev
        if not any(isinstance(q, Parameter) for e in self.equations.values() for q in atoms(e)):
            self.equations[written[0]] += self.parameter("b", written[0].name, "n")


@st.composite
def gated_cells(draw: Draw) -> Cell:
    """Incremental writes with the usual options: which gates, who reads what, what is squashed."""

    def flag() -> bool:
        return draw(st.booleans())

    def pick(*options: T) -> T:
        return draw(st.sampled_from(options))

    n, m = "n", "m"
    x = Input("x") if draw(st.integers(0, 7)) < 7 else None
    gate_activation = pick(sigmoid, sigmoid, hard_sigmoid)
    candidate_activation = pick(tanh, tanh, softsign, relu)
    squash = pick(None, tanh, tanh, softsign)
    biases, write_gate, read_gate = not flag(), flag(), flag()
    forget = pick("none", "gate", "gate", "coupled" if write_gate else "gate")
    shadow = read_gate and flag()
    peepholes = pick("none", "none", "full", "diagonal") if shadow else "none"
    normalized = not shadow and pick(False, False, True)
    gated_gates, gated_output = read_gate and not shadow and flag(), read_gate and flag()

    name = "c" if shadow else "s"
    s, h = State(name), State("h")
    i, o, f, candidate = Vector("i"), Vector("o"), Vector("f"), Vector(f"{name}_tilde")

    def layer(gate: str, read: Expr, see: Expr | None = None) -> Expr:
        suffix = f"_{gate}" if gate else ""
        total = Parameter(f"W{suffix}", n, n) @ read
        if x is not None:
            total += Parameter(f"U{suffix}", n, m) @ x
        if see is not None and peepholes == "full":
            total += Parameter(f"P{suffix}", n, n) @ see
        if see is not None and peepholes == "diagonal":
            total += Parameter(f"P{suffix}", n) * see
        return total + Parameter(f"b{suffix}", n) if biases else total

    def squashed(v: Expr) -> Expr:
        return squash(v) if squash is not None else v

    past = h.prev if shadow else squashed(s.prev)
    late = peepholes != "none" and flag()  # the read gate sees the state just written
    read = o * past if read_gate and not shadow else past
    gate_read = o * past if gated_gates else past
    equations: dict[Vector, Expr] = {}
    if read_gate and not late:
        equations[o] = gate_activation(layer("o", past, s.prev))
    if write_gate:
        equations[i] = gate_activation(layer("i", gate_read, s.prev))
    if forget == "gate":
        equations[f] = gate_activation(layer("f", gate_read, s.prev))
    equations[candidate] = candidate_activation(layer("", read))
    keep = {"none": sympy.S.One, "gate": f, "coupled": 1 - i}[forget]
    write = keep * s.prev + (i * candidate if write_gate else candidate)
    if normalized:
        a = Vector("a")
        equations[a] = write
        write = a / (variance(a) + 1) ** Rational(1, 2)
    equations[s] = write
    if late:
        equations[o] = gate_activation(layer("o", past, s))
    if shadow:
        equations[h] = o * squashed(s)
    shown: Vector = h if shadow else s
    if not shadow and (squash is not None or gated_output):
        shown = Vector("y")
        equations[shown] = o * squashed(s) if gated_output else squashed(s)
    return Cell("gated", equations, output=shown, states=[h, s] if shadow else [s])
