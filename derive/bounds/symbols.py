"""The symbols that bounds are written in: ‖W‖ for a parameter's norm, |s| for the bound of a state."""

from __future__ import annotations

from typing import Any

import sympy

from derive.errors import DeriveError
from derive.show.text import typeset


def norm_symbol(parameter: str) -> sympy.Symbol:
    """‖W‖: the induced norm of a matrix; for a bias or a diagonal, max |bᵢ|, its norm as diag(b)."""
    return sympy.Symbol(f"norm_{parameter}", nonnegative=True)


def state_symbol(state: str) -> sympy.Symbol:
    """A bound of |s|, elementwise, that the caller has yet to give."""
    return sympy.Symbol(f"bound_{state}", nonnegative=True)


def input_symbol(name: str) -> sympy.Symbol:
    """A bound of |x|, elementwise."""
    return sympy.Symbol(f"bound_{name}", nonnegative=True)


def read_norm(norm: Any) -> Any:
    """``2`` or ``oo`` for what a caller wrote: 2, "2", "inf", math.inf, sympy.oo."""
    text = str(norm).lower()
    if text in ("2", "2.0"):
        return 2
    if text in ("inf", "oo", "infinity"):
        return sympy.oo
    raise DeriveError(f"norm={norm!r}; expected 2 or 'inf'")


def typeset_bound(expr: sympy.Expr) -> str:
    """An expression in these symbols as Unicode text: ‖W‖, |s|, z̄."""
    names = {s: sympy.Symbol(_spelled(s.name)) for s in expr.free_symbols if isinstance(s, sympy.Symbol)}
    if expr == sympy.oo:
        return "∞"
    return str(expr.xreplace(names)).replace("**2", "²").replace("*", "·")


def _spelled(name: str) -> str:
    if name.startswith("norm_"):
        return f"‖{typeset(name.removeprefix('norm_'))}‖"
    if name.startswith("bound_"):
        return f"|{typeset(name.removeprefix('bound_'))}|"
    if name.endswith("_bar"):
        stem = typeset(name.removesuffix("_bar"))
        return f"{stem}̄" if len(stem) == 1 else f"sup {stem}"
    return typeset(name)
