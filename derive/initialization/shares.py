"""Each recurrent matrix's share of the step Jacobian at initialization, derived from its words.

With s = x = 0 and the initial biases every coefficient diag(a) of a word is a number times I
(:mod:`derive.initialization.rest`), so the Jacobian is Σ a · W₁ W₂ …: for the GRU ½ I + ¼ W.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from derive.calculus import Jacobian, Word, step_jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError, nearest
from derive.initialization.rest import Values, at_rest, is_uniform, value
from derive.show.notation import PRODUCT
from derive.show.text import TextNotation
from derive.symbols import LinearMap, MeanMap, Parameter


@dataclass(frozen=True)
class Term:
    """``coefficient`` · W₁ W₂ … in the block ∂of/∂wrt; without maps it is a carry, a multiple of I.

    A coefficient in which a parameter or a linear map is left is no number: it is not known at rest.
    """

    of: str
    wrt: str
    coefficient: sympy.Expr
    maps: tuple[LinearMap, ...] = ()


@dataclass(frozen=True)
class JacobianShares:
    """The step Jacobian at rest, by recurrent matrix: ``shares["W"]`` are the terms in which W occurs.

    A matrix whose words all vanish at rest has no terms; ``why(name)`` says which coefficient is zero.
    ``recurrent`` are the names of the matrices that occur in the Jacobian of any step, ``terms`` all terms at
    rest, carries included, ``rest`` the value at rest of each quantity of the step.
    """

    cell: Cell
    rest: Values
    terms: tuple[Term, ...]
    recurrent: tuple[str, ...]

    def __getitem__(self, name: str) -> tuple[Term, ...]:
        if name not in self.recurrent:
            known = ", ".join(self.recurrent) or "none"
            near = nearest(name, self.recurrent)
            raise DeriveError(f"{self.cell.name} has no recurrent matrix {name!r}{near} It has: {known}")
        return tuple(t for t in self.terms if name in (m.name for m in t.maps))

    def carry(self, of: str, wrt: str | None = None) -> sympy.Expr:
        """The multiple of I in one block, such as ½ for the GRU: what reaches the state without a matrix."""
        block = (of, wrt or of)
        return sympy.Add(*(t.coefficient for t in self.terms if (t.of, t.wrt) == block and not t.maps))

    def matrix(self, sizes: Mapping[str, Any]) -> sympy.Matrix:
        """The Jacobian with a number in the place of each matrix: one row and column a state.

        With one recurrent matrix W, the eigenvalues of the whole Jacobian are those of this matrix at each
        eigenvalue of W; and if W is normal (orthogonal, say), its singular values likewise.  A mean over
        units counts as 1, its norm.
        """
        order = self.cell.states
        total = sympy.zeros(len(order), len(order))
        for term in self.terms:
            factors = (1 if isinstance(m, MeanMap) else sizes[m.name] for m in term.maps)
            place = order.index(term.of), order.index(term.wrt)
            total[place] += term.coefficient * sympy.Mul(*map(sympy.sympify, factors))
        return total

    def mean_square(self, of: str, wrt: str, sizes: Mapping[str, Any]) -> sympy.Expr:
        """E‖J v‖² / ‖v‖² of one block: the mean square of its singular values, to leading order in n.

        ``sizes[W]`` is √(n E(w²)) for the matrix W of independent entries of mean zero, or of orthonormal
        rows times that number.  Then E‖a W v‖² = a² n E(w²) ‖v‖²; a product multiplies; and terms that
        differ in a matrix add, since the mean of their scalar product is zero.  A mean over units, of rank
        one, contributes 1/n, which is left out.
        """
        block = (t for t in self.terms if (t.of, t.wrt) == (of, wrt))
        return sympy.Add(
            *(
                t.coefficient**2 * sympy.Mul(*(sympy.sympify(sizes[m.name]) ** 2 for m in t.maps))
                for t in block
                if not any(isinstance(m, MeanMap) for m in t.maps)
            )
        )

    def why(self, name: str) -> str:
        """Why a matrix has no share, such as ``s̃ₜ = 0 at rest``; empty if it has one."""
        if self[name]:
            return ""
        notation = TextNotation(self.cell.equations)
        words = [w for block in step_jacobian(self.cell) for w in block.words if name in _names(w)]
        factors = (f for w in words for c in w.coefficients for f in sympy.Mul.make_args(c))
        zeros = {notation(f): None for f in factors if value(f, self.rest) == 0}
        return f"{' = '.join(zeros)} = 0 at rest" if zeros else "its terms cancel at rest"

    def __str__(self) -> str:
        notation = TextNotation(self.cell.equations)
        lines = []
        for block in step_jacobian(self.cell):
            here = [t for t in self.terms if (t.of, t.wrt) == _place(block)]
            spelled = " + ".join(_spelled(t, notation) for t in here).replace("+ -", "- ") or "0"
            lines.append(f"∂{notation(block.of)}/∂{notation(block.wrt)} = {spelled}")
        lines += [f"{name}: {self.why(name)}" for name in self.recurrent if not self[name]]
        return "\n".join(lines)


def jacobian_shares(cell: Cell | str, biases: Mapping[str, Any] | None = None) -> JacobianShares:
    """The step Jacobian at s = x = 0 and the initial biases, split by recurrent matrix.

    Biases are 0 but for those given, numbers or SymPy symbols (:func:`~derive.initialization.rest.at_rest`).
    Slopes are those at rest; where φ has a kink there, sup|φ'| is taken (relu: 1).  Raises
    :class:`~derive.errors.DeriveError` for unknown biases.

    >>> from derive.initialization import jacobian_shares
    >>> print(jacobian_shares("gru"))
    ∂sₜ/∂sₜ₋₁ = 1/2 I + 1/4 W
    W_r: sₜ₋₁ = 0 at rest
    W_z: sₜ₋₁ - s̃ₜ = 0 at rest
    """
    subject = catalogued(cell)
    values = at_rest(subject, biases)
    terms: dict[tuple[str, str, tuple[LinearMap, ...]], sympy.Expr] = {}
    found: set[str] = set()
    for block in step_jacobian(subject):
        for word in block.words:
            found |= set(_names(word))
            key = (*_place(block), word.maps)
            terms[key] = terms.get(key, sympy.S.Zero) + _coefficient(word, values)
    recurrent = tuple(name for name in subject.parameters if name in found)
    kept = (Term(of, wrt, c, maps) for (of, wrt, maps), c in terms.items() if c != 0)
    return JacobianShares(subject, values, tuple(kept), recurrent)


def _coefficient(word: Word, values: Values) -> sympy.Expr:
    product = sympy.Mul(*(value(c, values) for c in word.coefficients))
    return sympy.simplify(product) if product.free_symbols and is_uniform(product) else product


def _names(word: Word) -> tuple[str, ...]:
    return tuple(m.name for m in word.maps if isinstance(m, Parameter))


def _place(block: Jacobian) -> tuple[str, str]:
    return block.of.label, block.wrt.label


def _spelled(term: Term, notation: TextNotation) -> str:
    maps = " ".join(notation(m, PRODUCT) for m in term.maps) or "I"
    if term.coefficient == 1:
        return maps
    text = str(term.coefficient) if is_uniform(term.coefficient) else notation(term.coefficient)
    return f"({text}) {maps}" if term.coefficient.is_Add else f"{text} {maps}"
