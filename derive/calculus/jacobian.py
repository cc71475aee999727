"""``jacobian(cell, of, wrt)``: one block of the derivative of a step, as a sum of words and as numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from derive.calculus.differentiate import Differentiator
from derive.calculus.words import Word, added, collected
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError, EvaluationError, nearest
from derive.evaluate import check_shapes, step, value
from derive.show.latex import LatexNotation
from derive.show.text import TextNotation, typeset
from derive.symbols import Input, Parameter, Previous, Quantity, State, Vector
from derive.wellformed import axes_of

Array = np.ndarray[Any, Any]
Evaluator = Callable[[sympy.Expr, Mapping[Quantity, Any]], Any]


@dataclass(frozen=True)
class Jacobian:
    """∂of/∂wrt of one step: a sum of words, in which every vector has its value at that step.

    ``of`` is a vector of the cell now, ``wrt`` a state one step earlier, the input, or a parameter.  An empty
    sum is zero.
    """

    cell: Cell
    of: Vector
    wrt: Quantity
    words: tuple[Word, ...]

    @property
    def is_diagonal(self) -> bool:
        """Whether no word mixes units."""
        return all(word.is_diagonal for word in self.words)

    def diagonal(self) -> sympy.Expr:
        """The coefficient of the identity: the sum of the words without a map."""
        return sympy.Add(*(word.leading for word in self.words if word.is_diagonal))

    def substituted(self, values: Mapping[Any, Any]) -> Jacobian:
        """Values put into all coefficients, ``{"f": 1, "i": 0}``; words that vanish are gone.

        The keys are quantities of the cell or their names.  Raises :class:`~derive.errors.DeriveError` for
        other names.
        """
        clean = {_quantity(self.cell, key): sympy.sympify(number) for key, number in values.items()}
        words = (word.substituted(clean) for word in self.words)
        terms = added({word.tail: word.leading} for word in words)
        return Jacobian(self.cell, self.of, self.wrt, collected(terms))

    def evaluate(self, params: Mapping[str, Any], inputs: Any, state: Sequence[Any]) -> Array:
        """The numbers at one step, unbatched: inputs (m,), state a tuple of (n,) in ``cell.states`` order.

        The shape is that of ``of`` followed by that of ``wrt``: (n, n), (n, m), (n, n, m) by a matrix.
        Raises :class:`~derive.errors.EvaluationError` on missing or misshapen numbers.
        """
        env = environment(self.cell, params, inputs, state)
        return self.at(env)

    def at(self, env: Mapping[Quantity, Array], evaluator: Evaluator = value) -> Array:
        """The numbers, given the value of every quantity of the step (:func:`environment`).

        ``evaluator`` computes an expression from ``env``: :func:`derive.evaluate.value`, or
        :func:`derive.balls.ball_value` on enclosures.
        """
        shape = np.shape(env[self.wrt])
        own = np.shape(env[self.of])
        total = np.zeros((int(np.prod(shape)), *own))
        for word in self.words:
            total = total + _on_basis(word, self.wrt, env, evaluator)
        return np.moveaxis(total, 0, -1).reshape(*own, *shape)

    def __str__(self) -> str:
        notation = TextNotation(self.cell.equations)
        return f"{self._ratio(notation)} = {_sum([w.spelled(notation) for w in self.words])}"

    def _ratio(self, notation: TextNotation) -> str:
        return f"∂{notation(self.of)}/∂{notation(self.wrt)}"

    def latex(self) -> str:
        r"""As LaTeX: ``\frac{\partial s_t}{\partial s_{t-1}} = \mathrm{diag}(z_t) + …``."""
        notation = LatexNotation(self.cell.equations)
        left = rf"\frac{{\partial {notation(self.of)}}}{{\partial {notation(self.wrt)}}}"
        words = [
            w.spelled(notation).replace("diag(", r"\operatorname{diag}(").replace("δ", r"\delta")
            for w in self.words
        ]
        return f"{left} = {_sum(words)}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"


def _sum(words: Sequence[str]) -> str:
    joined = " + ".join(words) or "0"
    return joined.replace("+ -", "- ")


def jacobian(cell: Cell | str, of: Any, wrt: Any) -> Jacobian:
    """The symbolic Jacobian of one step, as a sum of words (idea 3 of the design; Pascanu et al., 2013).

    ``of`` is a vector of the cell (a state, the output, a gate), ``wrt`` a state (meaning its value one step
    earlier), the input or a parameter; both are symbols or their names.  Raises
    :class:`~derive.errors.DeriveError` for other names.

    >>> from derive import jacobian
    >>> print(jacobian("vanilla", "s", "s"))
    ∂sₜ/∂sₜ₋₁ = diag(1 - sₜ²) W
    """
    subject = catalogued(cell)
    return _jacobian(subject, _target(subject, of), _source(subject, wrt))


@lru_cache(maxsize=4096)
def _jacobian(cell: Cell, of: Vector, wrt: Quantity) -> Jacobian:
    return Jacobian(cell, of, wrt, collected(_differentiator(cell, wrt)(of)))


@lru_cache(maxsize=512)
def _differentiator(cell: Cell, wrt: Quantity) -> Differentiator:
    return Differentiator(cell.equations, wrt)


def _quantity(cell: Cell, key: Any) -> sympy.Expr:
    """A quantity by its name (s[t-1] is the past of s); an expression stands for itself."""
    if isinstance(key, sympy.Expr):
        return key
    if key not in cell.symbols:
        raise DeriveError(f"{cell.name} has no {key!r}{nearest(str(key), cell.symbols)}")
    return cell.symbols[key]


def _name(symbol: Any) -> str:
    return symbol.label if isinstance(symbol, Quantity) else str(symbol)


def _target(cell: Cell, of: Any) -> Vector:
    written = {symbol.name: symbol for symbol in cell.equations}
    if _name(of) not in written:
        near = nearest(_name(of), written)
        raise DeriveError(f"{cell.name} computes no {_name(of)!r}{near} Vectors: {', '.join(written)}")
    return written[_name(of)]


def _source(cell: Cell, wrt: Any) -> Quantity:
    """The quantity to differentiate by; a state stands for its past."""
    name = _name(wrt).removesuffix("[t-1]")
    able = [*cell.states, *cell.inputs, *cell.parameters]
    if name not in able:
        hint = f"{typeset(name)} is computed within the step; " if name in cell.symbols else ""
        raise DeriveError(
            f"{cell.name}: no derivative by {name!r}{nearest(name, able, none='')}\n"
            f"  {hint}expected a state, the input or a parameter: {', '.join(able)}"
        )
    return Previous(name, *cell.axes(name)) if name in cell.states else cell.symbols[name]


def environment(
    cell: Cell, params: Mapping[str, Any], inputs: Any, state: Sequence[Any]
) -> dict[Quantity, Array]:
    """The value of every quantity of one unbatched step: parameters, input, past states, vectors."""
    x = np.asarray(inputs, dtype=np.float64)
    if x.ndim != 1:
        raise EvaluationError(f"{cell.name}: the input of one step has shape {x.shape}, expected (m,)")
    if not isinstance(state, tuple | list) or len(state) != len(cell.states):
        raise EvaluationError(f"{cell.name}: expected the state as a tuple of {cell.states}")
    past = tuple(np.asarray(s, dtype=np.float64) for s in state)
    check_shapes(cell, params, x[None], past)
    vectors = step(cell, params, x, past)
    env: dict[Quantity, Array] = {}
    for name, quantity in cell.symbols.items():
        if isinstance(quantity, Parameter):
            env[quantity] = np.asarray(params[name], dtype=np.float64)
        elif isinstance(quantity, Input):
            env[quantity] = x
        elif isinstance(quantity, Vector):
            env[quantity] = vectors[name]
    return env | {Previous(s, *cell.axes(s)): v for s, v in zip(cell.states, past, strict=True)}


def _on_basis(word: Word, wrt: Quantity, env: Mapping[Quantity, Array], evaluator: Evaluator) -> Array:
    """The word applied to every unit perturbation of ``wrt``: a leading axis that counts them."""
    axes: tuple[str, ...]
    if word.operand is None:
        size = np.shape(env[wrt])
        axes, basis = wrt.axes, np.eye(int(np.prod(size))).reshape(-1, *size)
    else:
        axes, basis = _outer(word.operand, wrt, env, evaluator)
    delta = State("∂", *axes)  # no identifier, so no cell's own name
    return np.asarray(evaluator(word.applied(delta), {**env, delta: basis}))


def _outer(
    operand: sympy.Expr, wrt: Quantity, env: Mapping[Quantity, Array], evaluator: Evaluator
) -> tuple[tuple[str, ...], Array]:
    """``δ v`` for every unit matrix δ: entry (p, q) puts the q-th slice of v into row p."""
    to, source = wrt.axes
    axes = axes_of(operand)
    rows, columns = np.shape(env[wrt])
    place = axes.index(source)
    v = np.moveaxis(np.asarray(evaluator(operand, env)), place, 0)
    v = np.broadcast_to(v, (columns, *v.shape[1:]))
    units = np.einsum("pi,q...->pqi...", np.eye(rows), v).reshape(rows * columns, rows, *v.shape[1:])
    return tuple(to if a == source else a for a in axes), np.moveaxis(units, 1, 1 + place)
