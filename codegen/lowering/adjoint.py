"""The adjoint of a flat step: reverse-mode differentiation of symbols, not of recorded operations.

Every statement is met once, from the last to the first.  What reads a value adds to its gradient; by the time
the value's own statement is met the gradient is whole and gets a name.  A mean is its own adjoint, and that
of a matrix product is the product with the transposed matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sympy

from codegen.errors import Unsupported
from codegen.loop import Backward, LoopStatement, Mean, Transposed
from codegen.lowering.flatten import is_root
from codegen.lowering.names import Names
from codegen.plan import Assignment, Product
from derive import activations
from derive.symbols import Activated, Quantity, State, Vector
from derive.wellformed import axes_of


def adjoint(
    forward: Sequence[LoopStatement],
    *,
    states: Sequence[State],
    exports: Sequence[Vector],
    taken: Sequence[Quantity],
    constants: Sequence[Quantity],
    names: Names,
    share: bool = False,
) -> Backward:
    """One step of the reverse pass, without a decision yet of what is recomputed.

    With ``share`` products whose parts have the same gradients have them in the same place, where those of
    one lie side by side among those of the other.

    Raises :class:`~codegen.errors.Unsupported` where an activation declares no slope.
    """
    reverse = _Reverse(names, share)
    carried = {s: reverse.fresh(s, f"d_{s.label}_next") for s in states}
    arriving = {v: reverse.fresh(v, f"d_{v.label}_out") for v in exports}
    for symbol in (*carried.items(), *arriving.items()):
        reverse.add(*symbol)
    for statement in reversed(forward):
        reverse.meet(statement)
    # several past states may have the same gradient: each gets its own name, for each is a result
    of_previous = {s: reverse.result(s.prev, f"d_{s.label}_prev") for s in states}
    of_blocks = {q: reverse.settle(q) for q in taken}
    sums = {c: reverse.known(c) for c in constants}
    return Backward(
        recomputed=(),
        statements=tuple(reverse.statements),
        carried=carried,
        arriving=arriving,
        of_previous=of_previous,
        of_blocks=of_blocks,
        of_parts=reverse.of_parts,
        sums=sums,
    )


def slope(whole: Activated, output: Quantity) -> sympy.Expr:
    """φ'(argument) in the output and, where that does not suffice, in the argument."""
    phi = whole.activation
    declared = phi.derivative if phi.derivative is not None else phi.slope
    if declared is None:
        raise Unsupported(
            f"the activation {phi.name} declares neither a derivative nor a slope (derive.activations), "
            "which a derived adjoint needs; the eager backend leaves it to autograd"
        )
    found: sympy.Expr = declared.xreplace({activations.y: output, activations.a: whole.argument})
    return found


class _Reverse:
    def __init__(self, names: Names, share: bool) -> None:
        self.names = names
        self.share = share
        self.arrays: list[tuple[Vector, ...]] = []
        self.statements: list[LoopStatement] = []
        self.of_parts: dict[Product, tuple[Vector, ...]] = {}
        self._terms: dict[Quantity, list[sympy.Expr]] = {}
        self._settled: dict[Quantity, Vector] = {}
        self._known: dict[sympy.Expr, Vector] = {}
        self._rows: set[Quantity] = set()

    def fresh(self, like: sympy.Expr, wish: str) -> Vector:
        return Vector(self.names.fresh(wish), *axes_of(like))

    def add(self, quantity: Quantity, term: sympy.Expr) -> None:
        self._terms.setdefault(quantity, []).append(term)

    def total(self, quantity: Quantity) -> sympy.Expr:
        return sympy.Add(*self._terms.get(quantity, []))

    def settle(self, quantity: Quantity) -> Vector:
        """The name of a gradient that is whole; where it is one other gradient, that one's."""
        if quantity not in self._settled:
            total = self.known(quantity)
            self._settled[quantity] = total if isinstance(total, Vector) else self.result(quantity)
        return self._settled[quantity]

    def result(self, quantity: Quantity, wish: str = "") -> Vector:
        """A name of its own for a whole gradient."""
        symbol = self.fresh(quantity, wish or f"d_{quantity.label}")
        self.statements.append(Assignment(symbol, self.known(quantity)))
        if (total := self.total(quantity)) != 0:
            self._known.setdefault(total, symbol)
        return symbol

    def known(self, quantity: Quantity) -> sympy.Expr:
        """A whole gradient, or the name that it already has as that of another quantity."""
        total = self.total(quantity)
        return self._known.get(total, total)

    def meet(self, statement: LoopStatement) -> None:
        if isinstance(statement, Product):
            self._product(statement)
        elif isinstance(statement, Mean):
            self._mean(statement)
        elif isinstance(statement, Assignment) and self.total(statement.symbol) != 0:
            self._assignment(statement)

    def _assignment(self, statement: Assignment) -> None:
        gradient, expr = self.settle(statement.symbol), statement.expr
        factor: sympy.Expr = gradient
        if isinstance(expr, Activated):
            factor, expr = gradient * slope(expr, statement.symbol), expr.argument
        elif is_root(expr):
            # y = e^p: dy/de = p y^((p - 1)/p), which needs no second root where p is ±1/2 or -1
            power = (expr.exp - 1) / expr.exp
            inner = statement.symbol**power if power.is_Integer else expr.base ** (expr.exp - 1)
            factor, expr = gradient * expr.exp * inner, expr.base
        self._spread(factor, expr)

    def _mean(self, statement: Mean) -> None:
        total = self.total(statement.symbol)
        self._rows.add(statement.symbol)
        if total != 0 and not self._cancels(total, statement):
            symbol = self.fresh(statement.symbol, f"d_{statement.symbol.label}")
            self._rows.add(symbol)
            self.statements.append(Mean(symbol, total))
            self._spread(symbol, statement.expr)

    def _cancels(self, total: sympy.Expr, statement: Mean) -> bool:
        """Whether the mean of a gradient is zero: v - mean(v) times what each row has one of.

        So it is in every variance, whose inner mean needs no way back.
        """
        vector = statement.expr
        if not isinstance(vector, Quantity) or not total.atoms(Quantity) <= {*self._rows, vector}:
            return False
        linear = not sympy.diff(total, vector).has(vector)
        return linear and bool(sympy.expand(total.xreplace({vector: statement.symbol})) == 0)

    def _spread(self, factor: sympy.Expr, expr: sympy.Expr) -> None:
        for quantity in sorted(expr.atoms(Quantity), key=lambda q: q.sort_key()):
            self.add(quantity, factor * sympy.diff(expr, quantity))

    def _product(self, statement: Product) -> None:
        gradients = self._parts(statement.symbols)
        self.of_parts[statement] = gradients
        for part, gradient in zip(statement.parts, gradients, strict=True):
            if part.addend is not None:
                self.add(part.addend, gradient)
        operand = self.fresh(statement.operand, f"d_{statement.operand.label}_read")
        self.statements.append(Transposed(operand, statement, gradients))
        self.add(statement.operand, operand)

    def _parts(self, symbols: Sequence[Vector]) -> tuple[Vector, ...]:
        """The gradients of a product's parts, which lie side by side."""
        known = tuple(self.known(symbol) for symbol in symbols)
        if self.share and self._side_by_side(known):
            return known
        found = tuple(self.result(symbol) for symbol in symbols)
        self.arrays.append(found)
        return found

    def _side_by_side(self, wanted: tuple[sympy.Expr, ...]) -> bool:
        """Whether gradients lie in one array, or can if arrays that exist are put one after the other."""
        count = len(wanted)
        if any(array[k : k + count] == wanted for array in self.arrays for k in range(len(array))):
            return True
        inside = [array for array in self.arrays if set(array) & set(wanted)]
        starts = sorted((wanted.index(array[0]), array) for array in inside if array[0] in wanted)
        joined = tuple(gradient for _, array in starts for gradient in array)
        if len(starts) < len(inside) or joined != wanted:
            return False
        self.arrays = [array for array in self.arrays if array not in inside] + [joined]
        return True


def gradient_reads(backward: Backward) -> Mapping[Quantity, None]:
    """The forward values and old states that the reverse step and the sums read, in a fixed order."""
    bound = {symbol for s in backward.statements for symbol in s.symbols}
    bound |= {*backward.carried.values(), *backward.arriving.values()}
    found = [q for s in backward.statements for q in sorted(s.reads, key=lambda q: q.sort_key())]
    found += [
        q for e in backward.sums.values() for q in sorted(e.atoms(Quantity), key=lambda q: q.sort_key())
    ]
    return dict.fromkeys(q for q in found if q not in bound)
