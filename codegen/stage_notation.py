"""Statements of plans and loops as lines of plain text: ``a_r, a_z = [W_r; W_z] sₜ₋₁ + (x_r, x_z)``."""

from __future__ import annotations

from collections.abc import Sequence

import sympy

from codegen.loop import LoopStatement, Mean, Transposed, matrices
from codegen.plan import Product
from derive.show.notation import ATOM, FACTOR
from derive.show.text import TextNotation, typeset
from derive.symbols import Activated, Linear, Previous, Quantity, Vector


class StageNotation(TextNotation):
    """Plain text in which only the past has an index, for all else is of one step."""

    def quantity(self, symbol: Quantity) -> str:
        return typeset(symbol.label) + ("ₜ₋₁" if isinstance(symbol, Previous) else "")

    def _spell(self, expr: sympy.Expr) -> tuple[str, int]:
        if isinstance(expr, sympy.Heaviside):
            return f"[{self(expr.args[0])} > 0]", ATOM
        if isinstance(expr, sympy.Abs):
            return f"|{self(expr.args[0])}|", ATOM
        if expr.is_Function and not isinstance(expr, Linear | Activated):
            return f"{expr.func.__name__}({self(expr.args[0])})", ATOM
        return super()._spell(expr)

    def statement(self, statement: LoopStatement) -> list[str]:
        """One statement, on one line."""
        names = self.listed(statement.symbols)
        if isinstance(statement, Product):
            return [f"{names} = {self._product(statement)}"]
        if isinstance(statement, Transposed):
            return [f"{names} = {self._transposed(statement.product, statement.gradients)}"]
        if isinstance(statement, Mean):
            return [f"{names} = mean({self(statement.expr)})"]
        return [f"{names} = {self(statement.expr)}"]

    def listed(self, symbols: Sequence[Quantity]) -> str:
        return ", ".join(map(self, symbols))

    def _stacked(self, symbols: Sequence[Quantity], mark: str = "") -> str:
        names = [self(symbol) + mark for symbol in symbols]
        return names[0] if len(names) == 1 else f"[{'; '.join(names)}]"

    def _together(self, symbols: Sequence[Quantity]) -> str:
        return self(symbols[0]) if len(symbols) == 1 else f"({self.listed(symbols)})"

    def _product(self, product: Product) -> str:
        text = f"{self._stacked(matrices(product))} {self(product.operand, ATOM)}"
        sums = [" + ".join(map(self, part.biases)) for part in product.parts]
        if any(sums):
            text += f" + {sums[0] if len(sums) == 1 else '(' + ', '.join(s or '0' for s in sums) + ')'}"
        if product.addends:
            text += f" + {self._together(product.addends)}"
        return text

    def _transposed(self, product: Product, gradients: Sequence[Vector]) -> str:
        return f"{self._stacked(matrices(product))}ᵀ {self._together(gradients)}"

    def transposed(self, product: Product, gradients: Sequence[Vector]) -> str:
        """The gradient of a product's operand."""
        return f"d({self(product.operand)}) = {self._transposed(product, gradients)}"

    def gradient(self, product: Product, gradients: Sequence[Vector]) -> str:
        """The gradient of a product's matrices."""
        names = [f"d_{self(m)}" for m in matrices(product)]
        stacked = names[0] if len(names) == 1 else f"[{'; '.join(names)}]"
        return f"{stacked} = Σ {self._together(gradients)} {self(product.operand, ATOM)}ᵀ"

    def total(self, constant: Quantity, expr: sympy.Expr) -> str:
        """The gradient of what all steps share."""
        return f"d_{self(constant)} = Σ {self(expr, FACTOR)}"
