"""Cells and expressions as plain data (JSON), and back.

An expression is a name (``"W"``, ``"s[t-1]"``), a number (``["num", "1/2"]``), or a list that starts with
what it is: ``["+", …]``, ``["*", …]``, ``["^", base, exponent]``, ``["@", map, vector]``, or the name of an
activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import sympy

from derive.activations import Activation
from derive.cell import Cell
from derive.errors import DeriveError
from derive.symbols import Activated, Input, Linear, MeanMap, Parameter, Previous, Quantity, State, Vector

_CLASSES: dict[str, type[Quantity]] = {
    "state": State,
    "vector": Vector,
    "past": Previous,
    "input": Input,
    "parameter": Parameter,
    "mean": MeanMap,
}
_NAMES = {cls: name for name, cls in _CLASSES.items()}


class NotPlain(DeriveError, ValueError):
    """An expression that the plain form has no word for, or plain data that is no expression."""


def to_plain(expr: sympy.Expr) -> Any:
    """An expression as plain data; symbols go by their names."""
    if isinstance(expr, sympy.Symbol):
        return expr.name
    if isinstance(expr, sympy.Rational) or expr in (sympy.oo, -sympy.oo):
        return ["num", str(expr)]
    if isinstance(expr, Linear):
        return ["@", to_plain(expr.map), to_plain(expr.vector)]
    if isinstance(expr, Activated):
        return [expr.activation.name, to_plain(expr.argument)]
    for word, kind in (("+", sympy.Add), ("*", sympy.Mul), ("^", sympy.Pow), ("max", sympy.Max)):
        if isinstance(expr, kind):
            args = expr.args if kind is sympy.Pow else sorted(expr.args, key=sympy.default_sort_key)
            return [word, *map(to_plain, args)]
    raise NotPlain(f"{expr} is no expression of vectors, maps, activations, sums, products and powers")


def from_plain(data: Any, names: Mapping[str, sympy.Basic]) -> sympy.Expr:
    """The expression again; ``names`` says what the names stand for."""
    if isinstance(data, str):
        if data not in names:
            raise NotPlain(f"nothing is called {data!r}")
        return names[data]
    if not isinstance(data, list | tuple) or not data or not isinstance(data[0], str):
        raise NotPlain(f"{data!r} is no expression")
    word, *parts = data
    if word == "num":
        return number_from_plain(parts[0])
    args = [from_plain(part, names) for part in parts]
    if word == "@":
        return Linear(*args)
    algebra = {"+": sympy.Add, "*": sympy.Mul, "^": sympy.Pow, "max": sympy.Max}
    return algebra[word](*args) if word in algebra else Activated(Activation(word), *args)


def number_from_plain(text: Any) -> sympy.Expr:
    """A rational, or ±oo, from its text."""
    if text in ("oo", "-oo"):
        return sympy.oo if text == "oo" else -sympy.oo
    try:
        number = Fraction(str(text))
        return sympy.Rational(number.numerator, number.denominator)
    except (ValueError, ZeroDivisionError) as error:
        raise NotPlain(f"{text!r} is no rational number") from error


def cell_to_plain(cell: Cell) -> dict[str, Any]:
    """A cell as plain data: what every name is, and the equations in order."""
    return {
        "name": cell.name,
        "quantities": {name: [_NAMES[type(q)], *q.axes] for name, q in cell.symbols.items()},
        "equations": [[symbol.name, to_plain(expr)] for symbol, expr in cell.equations.items()],
        "states": list(cell.states),
        "output": cell.output,
    }


def cell_from_plain(data: Mapping[str, Any]) -> Cell:
    """The cell again, checked for being well-formed as any other."""
    names: dict[str, Any] = {}
    for name, (kind, *axes) in data["quantities"].items():
        if kind not in _CLASSES:
            raise NotPlain(f"{name}: {kind!r} is none of {', '.join(_CLASSES)}")
        names[name] = _CLASSES[kind](name, *axes)
    equations = [(from_plain(name, names), from_plain(expr, names)) for name, expr in data["equations"]]
    return Cell(data["name"], equations, output=data["output"], states=data["states"])
