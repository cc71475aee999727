"""Plain Unicode notation for terminals and error messages: ``sₜ = fₜ ⊙ sₜ₋₁ + iₜ ⊙ s̃ₜ``."""

from __future__ import annotations

from typing import Any

import sympy
from sympy.printing.pretty.pretty_symbology import pretty_symbol, pretty_use_unicode

from derive.show.notation import ATOM, FACTOR, PRODUCT, Notation
from derive.symbols import Activated, Linear, MeanMap, Parameter, Previous, Quantity

_MODIFIERS = ("tilde", "hat", "bar", "dot", "prime")


def sympy_name(name: str) -> str:
    """A name as SymPy's printers typeset it: ``s_tilde`` becomes ``stilde``, which prints as s̃."""
    stem, _, modifier = name.rpartition("_")
    return stem + modifier if stem and modifier in _MODIFIERS else name


def typeset(name: str) -> str:
    """``s̃`` for ``s_tilde``; subscripts keep their underscore, since not every letter has one in Unicode."""
    plain = sympy_name(name)
    if plain == name:
        return name
    before = pretty_use_unicode(True)  # SymPy would ask what standard output can show
    try:
        return str(pretty_symbol(plain))
    finally:
        pretty_use_unicode(before)


class TextNotation(Notation):
    def quantity(self, symbol: Quantity) -> str:
        name = typeset(symbol.label)
        if isinstance(symbol, Parameter | MeanMap):
            return name
        return name + ("ₜ₋₁" if isinstance(symbol, Previous) else "ₜ")

    def linear(self, expr: Linear) -> tuple[str, int]:
        if isinstance(expr.map, MeanMap):
            return f"mean({self(expr.vector)})", ATOM
        vector = self(expr.vector, ATOM)
        return f"{self(expr.map)}{'' if vector.startswith('(') else ' '}{vector}", PRODUCT

    def activated(self, expr: Activated) -> tuple[str, int]:
        return f"{expr.activation.text or expr.activation.name}({self(expr.argument)})", ATOM

    def product(self, factors: list[sympy.Expr]) -> str:
        # a number scales: 2 fₜ ⊙ sₜ₋₁
        numbers = [self(f, FACTOR) for f in factors if f.is_number]
        vectors = [self(f, FACTOR) for f in factors if not f.is_number]
        return " ".join(filter(None, [*numbers, " ⊙ ".join(vectors)]))

    def quotient(self, numerator: sympy.Expr, denominator: sympy.Expr) -> tuple[str, int]:
        return f"{self(numerator, PRODUCT)} / {self(denominator, FACTOR)}", PRODUCT

    def power(self, base: sympy.Expr, exponent: sympy.Expr) -> tuple[str, int]:
        if exponent == sympy.Rational(1, 2):
            return f"√({self(base)})", ATOM
        if exponent == 2:
            return f"{self(base, ATOM)}²", ATOM
        return f"{self(base, ATOM)}^{self(exponent, ATOM)}", ATOM


def equation(symbol: Quantity, expr: sympy.Expr, notation: Notation | None = None) -> str:
    """One equation on one line."""
    notation = notation or TextNotation()
    return f"{notation(symbol)} = {notation(expr)}"


class _AnyText(TextNotation):
    """The same for what may be no expression of a cell: where the notation ends, Python's own text begins."""

    def __call__(self, expr: Any, outer: int = 0) -> str:
        return super().__call__(expr, outer) if isinstance(expr, sympy.Expr) else str(expr)

    def _spell(self, expr: Any) -> tuple[str, int]:
        try:
            return super()._spell(expr)
        except (TypeError, AttributeError):
            return str(expr), ATOM


def spell(expr: Any) -> str:
    """Anything at all, as an error message shows it."""
    return _AnyText()(expr)
