"""What a cell costs: parameters, and operations a step, as polynomials in the axes' sizes."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from derive.cell import Cell
from derive.symbols import INPUT_AXIS, STATE_AXIS, Activated, Linear, MeanMap, Quantity
from derive.wellformed import axes_of


def size(axes: tuple[str, ...]) -> sympy.Expr:
    """The number of elements of an array with these axes."""
    return sympy.Mul(*(sympy.Symbol(a, positive=True, integer=True) for a in axes))


def polynomial(expr: sympy.Expr) -> str:
    """A polynomial in the axes on one line, highest powers first: ``4n² + 4nm + 4n``."""
    symbols = sorted(expr.free_symbols, key=lambda s: (s.name != STATE_AXIS, s.name != INPUT_AXIS, s.name))
    if not symbols:
        return str(expr)
    names = [s.name for s in symbols]
    terms = sympy.Poly(expr, *symbols).terms()
    return " + ".join(_monomial(coefficient, powers, names) for powers, coefficient in terms)


def _monomial(coefficient: sympy.Expr, powers: tuple[int, ...], names: list[str]) -> str:
    raised = zip(names, powers, strict=True)
    factors = [name + (str(p).translate(_SUPERSCRIPTS) if p > 1 else "") for name, p in raised if p]
    text = ("·" if any(len(name) > 1 for name in names) else "").join(factors)
    return text if coefficient == 1 and text else f"{coefficient}{text}"


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Counts:
    """Sizes are SymPy polynomials in the axes' names.

    ``parameters``: trained numbers.  ``multiply_adds``: of the matrix products, one step, one sequence.
    ``elementwise``: additions and products of vectors.  ``activations``: activation values.
    """

    parameters: sympy.Expr
    multiply_adds: sympy.Expr
    elementwise: sympy.Expr
    activations: sympy.Expr

    def __str__(self) -> str:
        return (
            f"{polynomial(self.parameters)} parameters; "
            f"a step: {polynomial(self.multiply_adds)} multiply-adds, "
            f"{polynomial(self.elementwise)} elementwise operations, "
            f"{polynomial(self.activations)} activations"
        )


def counts(cell: Cell) -> Counts:
    """Count each distinct subexpression once, as code with common subexpressions named computes it."""
    seen: set[sympy.Expr] = set()
    products = elementwise = activations = sympy.S.Zero
    for expr in cell.equations.values():
        for node in sympy.preorder_traversal(expr):
            if (
                node in seen
                or not isinstance(node, sympy.Expr)
                or isinstance(node, Quantity)
                or node.is_Number
            ):
                continue
            seen.add(node)
            elements = size(axes_of(node))
            if isinstance(node, Linear):
                if isinstance(node.map, MeanMap):
                    elementwise += elements
                else:
                    products += size(node.map.axes) * sympy.Mul(*(_extra(node)))
            elif isinstance(node, Activated):
                activations += elements if node.activation.torch else 0
            elif axes_of(node):
                elementwise += elements * _operations(node)
    parameters = sympy.Add(*(size(axes) for axes in cell.parameters.values()))
    return Counts(*(sympy.expand(e) for e in (parameters, products, elementwise, activations)))


def _operations(node: sympy.Expr) -> int:
    """The additions or products of one node; a minus sign is no product: the sum around it subtracts."""
    if node.is_Pow:
        return 1
    return len([a for a in node.args if a != -1]) - 1


def _extra(node: Linear) -> list[sympy.Expr]:
    """The axes that a product runs over besides the map's own."""
    return [size((a,)) for a in axes_of(node.vector) if a != node.map.axes[1]]
