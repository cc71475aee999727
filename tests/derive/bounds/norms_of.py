"""Numbers for the symbols of a bound."""

import numpy as np
import sympy

from derive.bounds import Bound


def norms_of(found: Bound, params: dict[str, np.ndarray]) -> dict[sympy.Symbol, sympy.Expr]:
    """The values of the symbols of norms and of the sizes n and m, for ``xreplace`` (``subs`` is slow)."""
    values: dict[sympy.Symbol, float] = {}
    for name, symbol in found.norms.items():
        v = params[name]
        matrix = float(np.linalg.norm(v, 2 if found.norm == 2 else np.inf)) if v.ndim == 2 else 0.0
        values[symbol] = matrix if v.ndim == 2 else float(np.abs(v).max(initial=0.0))
        for axis, size in zip(found.cell.parameters[name], v.shape, strict=True):
            values[sympy.Symbol(axis, positive=True)] = size
    return {symbol: sympy.Float(v) for symbol, v in values.items()}
