"""What makes a list of equations a cell; an error shows the equation at fault and its neighbours."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import sympy

from derive.errors import MalformedCell, nearest
from derive.show.text import spell
from derive.symbols import (
    Activated,
    Input,
    Linear,
    LinearMap,
    MeanMap,
    Parameter,
    Previous,
    Quantity,
    State,
    Vector,
    atoms,
)

_CELL_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def check(
    name: Any, pairs: Sequence[Any], output: str | None, states: tuple[str, ...] | None
) -> dict[Vector, sympy.Expr]:
    """The equations as an ordered dict, or :class:`MalformedCell`."""
    if not isinstance(name, str) or not _CELL_NAME.fullmatch(name):
        expected = "lower-case words joined by hyphens, such as 'pseudo-lstm'"
        raise MalformedCell(f"a cell's name is {expected}, not {name!r}")
    if not pairs:
        raise MalformedCell(f"{name}: no equations; expected at least one that writes a state")
    report = _Report(name, pairs)
    _left_sides(report)
    equations = {symbol: _expression(report, index) for index, (symbol, _) in enumerate(report.pairs)}
    report.pairs = list(equations.items())
    _names(report)
    _binding(report)
    _axes(report)
    _states(report, states)
    _output(report, output)
    _dead(report, output)
    return equations


class _Report:
    """Collects what an error needs to show."""

    def __init__(self, name: str, pairs: Sequence[Any]) -> None:
        self.name = name
        for pair in pairs:
            if not isinstance(pair, list | tuple) or len(pair) != 2:
                raise MalformedCell(f"{name}: an equation is a pair (vector, expression), not {pair!r}")
        self.pairs: list[tuple[Any, Any]] = [(left, right) for left, right in pairs]

    @property
    def written(self) -> list[Vector]:
        return [symbol for symbol, _ in self.pairs]

    def fail(self, problem: str, expected: str, index: int | None = None) -> MalformedCell:
        lines = [f"{self.name}: {problem}"]
        if index is not None:
            for i in range(max(0, index - 1), min(len(self.pairs), index + 2)):
                arrow, (left, right) = "→" if i == index else " ", self.pairs[i]
                lines += [f"  {arrow} {spell(left)} = {spell(right)}"]
        lines.append(f"  expected: {expected}")
        return MalformedCell("\n".join(lines))


def _left_sides(report: _Report) -> None:
    seen: dict[str, Any] = {}
    for index, (symbol, _) in enumerate(report.pairs):
        if isinstance(symbol, Previous):
            raise report.fail(
                f"{symbol} is in the past and cannot be written", f"{symbol.label}, its value now", index
            )
        if not isinstance(symbol, Vector):
            kind = type(symbol).__name__
            raise report.fail(f"{spell(symbol)} ({kind}) stands on a left side", "a Vector or a State", index)
        if symbol.name in seen:
            raise report.fail(f"{symbol} is written twice", "one equation for each vector", index)
        seen[symbol.name] = symbol


def _expression(report: _Report, index: int) -> sympy.Expr:
    _, raw = report.pairs[index]
    try:
        expr = sympy.sympify(raw, strict=True)
    except (sympy.SympifyError, TypeError):
        raise report.fail(f"the right side is a {type(raw).__name__}", "a SymPy expression", index) from None
    for node in _nodes(expr):
        problem = _foreign(node, report)
        if problem:
            raise report.fail(*problem, index)
    # coefficients are float64, as they are evaluated and printed
    return expr.xreplace({f: sympy.Float(float(f)) for f in expr.atoms(sympy.Float)})


def _nodes(expr: Any) -> Iterator[Any]:
    """Every part of an expression; an activation only where it is applied to nothing."""
    yield expr
    for arg in expr.args[isinstance(expr, Activated) and _is_activation(expr.args[0]) :]:
        yield from _nodes(arg)


def _foreign(node: Any, report: _Report) -> tuple[str, str] | None:
    """What is wrong with a node that has no place in a cell's equations, and what was expected."""
    if isinstance(node, Linear):
        if not isinstance(node.map, LinearMap) or len(node.map.axes) != 2:
            return (
                f"{node.map} is applied with @ but is no matrix",
                "a Parameter with two axes (to, from) left of @",
            )
    elif isinstance(node, MeanMap):
        if len(set(node.axes)) != 1:
            return (
                f"a mean over axis {node.axes[-1]} at axis {node.axes[0]}",
                "the same axis twice, as in mean(v)",
            )
    elif isinstance(node, Vector | Previous | Input | Parameter):
        if not node.axes:
            return f"{node} has no axes", f"one or two, such as {type(node).__name__}({node.label!r}, 'n')"
        if not isinstance(node, Parameter) and len(set(node.axes)) < len(node.axes):
            return (
                f"{_describe(node)} has an axis twice",
                "different axes, else a linear map does not know its own",
            )
    elif isinstance(node, Quantity):
        return f"{node} is a bare {type(node).__name__}", "a Vector, State, Input or Parameter"
    elif _is_activation(node):
        return f"the activation {node} is applied to nothing", f"{node}(v)"
    elif isinstance(node, Activated):
        if not _is_activation(node.activation):
            return f"{node.activation} is no activation", "an entry of derive.ACTIVATIONS, such as tanh"
    elif node.is_Add or node.is_Mul:
        return None
    elif node.is_Pow:
        if not node.exp.is_Rational:
            return (
                f"the exponent {node.exp} is no rational number",
                "powers such as v**2 or v**Rational(-1, 2)",
            )
    elif isinstance(node, sympy.Expr) and (node.is_Number or node in (sympy.I, sympy.zoo)):
        if not node.is_finite or not node.is_real or abs(node) > sys.float_info.max:
            return f"{node} is no finite real number", "a finite real coefficient"
    elif isinstance(node, sympy.Expr) and node.is_number and not node.args:
        return f"{node} is no rational number or float", f"its value, {float(node)}"
    elif isinstance(node, sympy.Symbol):
        now = (q.state if isinstance(q, Previous) else q for q in _all(report))
        known = {q.label: type(q).__name__ for q in sorted(now, key=str)}
        if node.name in known:
            kind = known[node.name]
            return (
                f"{node} is a plain SymPy symbol, not the {kind} of that name",
                f"{kind}({node.name!r}, ...)",
            )
        return (
            f"{node} is a free name{nearest(node.name, known, none='')}",
            "a Vector, State, Input or Parameter",
        )
    elif isinstance(node, sympy.Expr):
        return (
            f"{node} ({type(node).__name__}) is not in the ring of the cell's vectors",
            "sums, elementwise products, rational powers, matrix @ vector, and activations; "
            "for another function, add an entry to derive.activations",
        )
    else:
        return f"{node} is a {type(node).__name__}", "a SymPy expression of vectors"
    return None


def _is_activation(node: Any) -> bool:
    return isinstance(node, sympy.Atom) and hasattr(node, "is_gate")


def _all(report: _Report) -> set[Quantity]:
    found: set[Quantity] = set(report.written)
    for _, expr in report.pairs:
        if isinstance(expr, sympy.Expr):
            found |= atoms(expr)
    return found


def _names(report: _Report) -> None:
    seen: dict[str, tuple[Quantity, int]] = {}
    for index, (symbol, expr) in enumerate(report.pairs):
        for q in [symbol, *sorted(atoms(expr), key=lambda q: q.name)]:
            if not q.label.isidentifier() or keyword.iskeyword(q.label):
                expected = "a Python identifier, since code is emitted with it"
                raise report.fail(f"{q.label!r} is no name", expected, index)
            now = q.state if isinstance(q, Previous) else q
            other, _ = seen.setdefault(q.label, (now, index))
            if other == now:
                continue
            if isinstance(q, Previous) and not isinstance(other, State):
                problem = f"{q} is read but {_describe(other)} is no state, so it has no past"
                raise report.fail(problem, _describe(now), index)
            raise report.fail(
                f"the name {q.label} stands for two things: {_describe(other)} and {_describe(now)}",
                "one name, one kind, one tuple of axes",
                index,
            )
    inputs = sorted(q.name for q, _ in seen.values() if isinstance(q, Input))
    if len(inputs) > 1:
        expected = "at most one input; concatenate them outside the cell"
        raise report.fail(f"several inputs: {', '.join(inputs)}", expected)


def _describe(q: Quantity) -> str:
    return f"{type(q).__name__}({', '.join((q.label, *q.axes))})"


def _binding(report: _Report) -> None:
    written = {symbol.name for symbol in report.written}
    states = [symbol.name for symbol in report.written if isinstance(symbol, State)]
    bound: set[str] = set()
    for index, (symbol, expr) in enumerate(report.pairs):
        for q in sorted(atoms(expr), key=lambda q: q.name):
            if isinstance(q, Previous) and q.label not in written:
                near = nearest(q.label, states, none="")
                problem = f"{q} is read but {q.label} is never written{near}"
                raise report.fail(problem, f"an equation for {q.label}", index)
            if not isinstance(q, Vector) or q.name in bound:
                continue
            past = f", or {q.name}.prev" if isinstance(q, State) else ""
            if q.name == symbol.name:
                hint = f"{q.name}.prev, its last value" if past else "vectors written above"
                raise report.fail(f"{q.name} is defined by itself", hint, index)
            if q.name in written:
                raise report.fail(
                    f"{q.name} is used before it is written", f"its equation above{past}", index
                )
            problem = f"{q.name} is read but never written{nearest(q.name, written, none='')}"
            raise report.fail(problem, f"an equation for {q.name}", index)
        bound.add(symbol.name)


def axes_of(expr: sympy.Expr) -> tuple[str, ...]:
    """The axes of an expression's value, ``()`` for a constant; raises ValueError where they disagree."""
    if isinstance(expr, Quantity):
        return expr.axes
    if isinstance(expr, Linear):
        inner = axes_of(expr.vector)
        to, source = expr.map.axes
        if source not in inner:
            raise ValueError(
                f"{expr.map} takes axis {source} but is applied to {_shaped(expr.vector, inner)}"
            )
        return tuple(to if axis == source else axis for axis in inner)
    if isinstance(expr, Activated):
        return axes_of(expr.argument)
    found: tuple[str, ...] = ()
    first: sympy.Expr | None = None
    for arg in expr.args:
        axes = axes_of(arg)
        if axes and found and axes != found:
            kind = "a sum" if expr.is_Add else "an elementwise product"
            raise ValueError(f"{kind} of {_shaped(first, found)} and {_shaped(arg, axes)}")
        if axes and not found:
            found, first = axes, arg
    return found


def _shaped(expr: Any, axes: tuple[str, ...]) -> str:
    return f"{spell(expr)} with " + (f"axes ({', '.join(axes)})" if axes else "no axes")


def _axes(report: _Report) -> None:
    for index, (symbol, expr) in enumerate(report.pairs):
        try:
            axes = axes_of(expr)
        except ValueError as error:
            expected = "equal axes in sums and products; W (to, from) @ v"
            raise report.fail(f"axes disagree: {error}", expected, index) from None
        if axes != symbol.axes:
            problem = f"{_shaped(symbol, symbol.axes)} stands for {_shaped(expr, axes)}"
            raise report.fail(problem, f"a right side with axes ({', '.join(symbol.axes)})", index)


def _states(report: _Report, order: tuple[str, ...] | None) -> None:
    states = [symbol.name for symbol in report.written if isinstance(symbol, State)]
    if not states:
        raise report.fail("no state is written", "at least one State, else nothing recurs")
    past = {q.label for q in _all(report) if isinstance(q, Previous)}
    for index, symbol in enumerate(report.written):
        if isinstance(symbol, State) and symbol.name not in past:
            expected = f"a use of {symbol}.prev, or Vector({symbol.name!r})"
            raise report.fail(f"the past of state {symbol} is never read", expected, index)
    if order is not None and sorted(order) != sorted(states):
        raise report.fail(f"states={order!r} does not list the states", f"some order of {', '.join(states)}")


def _output(report: _Report, output: str | None) -> None:
    names = [symbol.name for symbol in report.written]
    if output is not None and output not in names:
        near = nearest(output, names, none="")
        raise report.fail(f"the output {output} is not written{near}", f"one of {', '.join(names)}, or None")


def _readers(expr: sympy.Expr) -> Iterator[str]:
    for q in atoms(expr):
        if isinstance(q, Vector | Previous):
            yield q.label


def _dead(report: _Report, output: str | None) -> None:
    sources = {symbol.name: set(_readers(expr)) for symbol, expr in report.pairs}
    alive: set[str] = set()
    frontier = [output] if output is not None else [s.name for s in report.written if isinstance(s, State)]
    while frontier:
        name = frontier.pop()
        if name not in alive:
            alive.add(name)
            frontier += sources[name]
    for index, symbol in enumerate(report.written):
        if symbol.name not in alive:
            goal = f"the output {output}" if output is not None else "any state"
            problem = f"{symbol} is dead: nothing on the way to {goal} reads it"
            raise report.fail(problem, "a reader, or no equation", index)
