"""The operations of one step as a graph: what a diagram draws, before anything has a place.

The graph has a node for each elementwise operation and one *block* for each affine map (with the activation
on top of it, where there is one): a gate is a single box whose rows say which vector enters through which
matrix.  Equal expressions are one node, so a squash that four gates read is drawn once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import sympy

from derive.show.diagram.typeset import Label, number, quantity, upright
from derive.show.text import TextNotation
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, Previous, Quantity, State, Vector

if TYPE_CHECKING:
    from derive.activations import Activation
    from derive.cell import Cell

Kind = Literal[
    "past", "input", "new", "output", "parameter", "tag",
    "block", "squash", "function", "scale", "product", "sum",
]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One term of a block: the weights that it passes through, and whether a wire enters (none at a bias)."""

    label: Label
    wired: bool


@dataclass(frozen=True)
class Wire:
    """A value that enters a node; ``negative`` where it is subtracted."""

    source: int
    negative: bool = False


@dataclass(frozen=True)
class Node:
    """An operation, or an end of the step.  ``inputs`` of a block belong to its wired rows, in order.

    ``label`` is what stands in it (nothing for a circle, which has a sign); ``name`` is the vector that it
    computes, where that is not written at an end of the step, and ``symbol`` the same as an identifier.
    ``gate`` tells a block of fractions from a candidate.
    """

    kind: Kind
    inputs: tuple[Wire, ...] = ()
    label: Label = ()
    name: Label = ()
    rows: tuple[Row, ...] = ()
    gate: bool = False
    symbol: str = ""


def operations(cell: Cell) -> tuple[Node, ...]:
    """The nodes in an order in which every node comes after its inputs."""
    builder = _Builder(cell)
    for symbol, expr in cell.equations.items():
        builder.equation(symbol, expr)
    builder.ends()
    return tuple(builder.nodes)


class _Builder:
    """Turns expressions into nodes, each expression once."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.nodes: list[Node] = []
        self.notation = TextNotation(cell.equations)
        self.known: dict[sympy.Expr, int] = {}

    def add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1

    def equation(self, symbol: Vector, expr: sympy.Expr) -> None:
        """Compute a vector; its name is written into its block, or on the wire where it has none."""
        index = self.value(expr)
        node = self.nodes[index]
        if not isinstance(symbol, State) and symbol.name != self.cell.output:
            if node.kind == "block" and not node.name:
                self.nodes[index] = replace(node, name=quantity(symbol), symbol=symbol.name)
            else:
                index = self.add(Node("tag", (Wire(index),), name=quantity(symbol), symbol=symbol.name))
        self.known[symbol] = index

    def ends(self) -> None:
        """The right edge: what the next step receives, and what the cell shows to the outside."""
        for name in (*self.cell.states, *((self.cell.output,) if self.cell.output else ())):
            symbol = self.cell.symbols[name]
            kind: Kind = "new" if isinstance(symbol, State) else "output"
            if not any(node.kind == "new" and node.symbol == name for node in self.nodes):
                self.add(Node(kind, (Wire(self.known[symbol]),), name=quantity(symbol), symbol=name))

    def value(self, expr: sympy.Expr) -> int:
        """The node whose value an expression is."""
        if expr not in self.known:
            self.known[expr] = self._build(expr)
        return self.known[expr]

    def _build(self, expr: sympy.Expr) -> int:
        if isinstance(expr, Quantity):
            return self.add(Node(_source(expr), name=quantity(expr), symbol=expr.label))
        if isinstance(expr, Activated):
            return self._activated(expr)
        if isinstance(expr, Linear):
            return self._mean(expr) if isinstance(expr.map, MeanMap) else self._block([expr])
        if expr.is_Add:
            return self._sum(expr)
        if expr.is_Mul:
            return self._product(expr)
        if expr.is_Pow:
            return self._power(expr)
        return self.add(Node("parameter", label=number(expr)))

    def _unary(self, kind: Kind, text: Label, argument: sympy.Expr) -> int:
        return self.add(Node(kind, (Wire(self.value(argument)),), label=text))

    def _activated(self, expr: Activated) -> int:
        terms = self.notation.terms(expr.argument)
        if any(_weighted(term) for term in terms):
            return self._block(terms, expr.activation)
        return self._unary("squash", _function(expr.activation), expr.argument)

    def _mean(self, expr: Linear) -> int:
        """A mean over units, or the variance that two of them spell."""
        deviating = _deviation(expr)
        if deviating is None:
            return self._unary("function", upright("mean"), expr.vector)
        return self._unary("function", upright("var"), deviating)

    def _block(self, terms: list[sympy.Expr], activation: Activation | None = None) -> int:
        rows, wires = [], []
        for term in terms:
            label, source = self._row(term)
            rows.append(Row(label, wired=source is not None))
            if source is not None:
                wires.append(Wire(self.value(source)))
        return self.add(
            Node(
                "block",
                tuple(wires),
                label=_function(activation) if activation else (),
                rows=tuple(rows),
                gate=bool(activation and activation.is_gate),
            )
        )

    def _row(self, term: sympy.Expr) -> tuple[Label, sympy.Expr | None]:
        """The weights of a term, as written, and the vector that they act on."""
        coefficient, rest = term.as_coeff_Mul()
        factors = self.notation.factors(rest) if rest != 1 else []
        weights = [f for f in factors if isinstance(f, Parameter)]
        others = [f for f in factors if not isinstance(f, Parameter)]
        matrix = len(others) == 1 and _is_map(others[0])
        source = others[0].vector if matrix else sympy.Mul(*others) if others else None
        sign = "−" if coefficient.is_negative else "" if weights or matrix or not others else "+"
        scale = number(abs(coefficient)) if abs(coefficient) != 1 or not factors else ()
        runs: list[Label] = [quantity(w) for w in weights]
        if matrix:
            runs.append(quantity(others[0].map))
        label = tuple(run for i, part in enumerate(runs) for run in (*(upright("⊙") if i else ()), *part))
        tail = upright("\u2009⊙") if weights and others and not matrix else ()
        return (*(upright(sign) if sign else ()), *scale, *label, *tail), source

    def _sum(self, expr: sympy.Expr) -> int:
        constant, _ = expr.as_coeff_Add()
        if constant != 0:
            return self._shifted(constant, expr - constant)
        terms = self.notation.terms(expr)
        mapped = [t for t in terms if _is_map(t.as_coeff_Mul()[1])]
        affine = [t for t in terms if t in mapped or (mapped and isinstance(t.as_coeff_Mul()[1], Parameter))]
        if len(affine) == len(terms):
            return self._block(terms)
        wires = [self._term(t) for t in terms if t not in affine]
        if affine:
            wires.append(Wire(self._block(affine)))
        return self.add(Node("sum", tuple(wires)))

    def _shifted(self, constant: sympy.Expr, rest: sympy.Expr) -> int:
        """``1 - v`` is one small box."""
        negative = not rest.is_Add and bool(rest.as_coeff_Mul()[0].is_negative)
        sign = "−" if negative else "+"
        return self._unary("scale", (*number(constant), *upright(sign)), -rest if negative else rest)

    def _term(self, term: sympy.Expr) -> Wire:
        negative = bool(term.as_coeff_Mul()[0].is_negative)
        return Wire(self.value(-term if negative else term), negative)

    def _product(self, expr: sympy.Expr) -> int:
        coefficient, rest = expr.as_coeff_Mul()
        if coefficient != 1:
            text = upright("−") if coefficient == -1 else (*number(coefficient), *upright("×"))
            return self._unary("scale", text, rest)
        factors = self.notation.factors(expr)
        return self.add(Node("product", tuple(Wire(self.value(f)) for f in factors)))

    def _power(self, expr: sympy.Expr) -> int:
        base, exponent = expr.args
        size = abs(exponent)
        text = {1: "·", 2: "(·)²", sympy.Rational(1, 2): "√·"}.get(size, f"(·)^{size}")
        return self._unary("function", upright(f"1/{text}" if exponent.is_negative else text), base)


def _source(symbol: Quantity) -> Kind:
    return "past" if isinstance(symbol, Previous) else "input" if isinstance(symbol, Input) else "parameter"


def _function(activation: Activation) -> Label:
    return upright(activation.text or activation.name.replace("_", " "))


def _is_map(expr: sympy.Expr) -> bool:
    """Whether an expression is a trained matrix applied to something."""
    return isinstance(expr, Linear) and isinstance(expr.map, Parameter)


def _weighted(term: sympy.Expr) -> bool:
    return any(_is_map(f) or isinstance(f, Parameter) for f in sympy.Mul.make_args(term))


def _deviation(expr: Linear) -> sympy.Expr | None:
    """v, where the expression is mean((v - mean(v))²)."""
    square = expr.vector
    if not (square.is_Pow and square.exp == 2 and square.base.is_Add):
        return None
    for term in square.base.args:
        candidate = square.base - term
        if term == -Linear(expr.map, candidate):
            return candidate
    return None
