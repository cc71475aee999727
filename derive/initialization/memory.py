"""Biases that make the gates keep a state for a wanted number of steps.

A carry of 1 - 1/T forgets by a factor e in about T steps, and a write of 1/T takes in as much as is lost.
With σ this is b = ln(T - 1) for the gate that keeps, and -ln(T - 1) for the one that writes: Tallec and
Ollivier, Can recurrent neural networks warp time?, ICLR 2018 (chrono initialization, section 3, where T - 1
is drawn uniformly for each unit).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import sympy

from derive.activations import Activation, a
from derive.anatomy import Write, gate_factors, memories
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import DeriveError
from derive.initialization.rest import at_rest, is_uniform, value
from derive.symbols import Activated, Parameter, Vector, atoms


@dataclass(frozen=True)
class Keeper:
    """A gate that a carry (``keeps``) or a write consists of, alone or with ``others`` more.

    ``direct`` is whether the gate itself is the factor, rather than 1 minus it.
    """

    gate: Vector
    keeps: bool
    direct: bool
    others: int = 0

    def value(self, length: sympy.Expr) -> sympy.Expr:
        """What the gate must be for a memory of that length."""
        whole = 1 - 1 / length if self.keeps else 1 / length
        factor = whole ** sympy.Rational(1, 1 + self.others)
        return factor if self.direct else 1 - factor


def memory_biases(cell: Cell | str, T: Any) -> dict[str, sympy.Expr]:
    """The biases that give each memory's carry the value 1 - 1/T, and its write 1/T, at s = x = 0.

    ``T`` > 1 is a number of steps, or a SymPy symbol that stands for one.  The gates are found in the
    equations: the factors of a state's carry keep, the gates that multiply all of its increment write.  Where
    both are one gate (z and 1 - z) there is one bias.  A product of k gates is divided evenly.  Each gate's
    activation is inverted exactly.

    Raises :class:`~derive.errors.DeriveError` if T is 1 or less; if no gate decides what any state keeps; if
    such a gate has no bias of its own, or cannot take the value that is needed; or if one gate would have to
    take two values.

    >>> from derive.initialization import memory_biases
    >>> memory_biases("lstm", 10)
    {'b_f': log(9), 'b_i': -log(9)}
    >>> memory_biases("gru", 10)
    {'b_z': log(9)}
    """
    subject = catalogued(cell)
    given = _length(subject, T)
    beyond = sympy.Symbol("beyond", positive=True)  # T - 1: that it is positive, SymPy must know
    length = given if given.is_number else 1 + beyond
    found = list(_keepers(subject))
    if not any(keeper.keeps for keeper in found):
        raise DeriveError(
            f"{subject.name}: no gate decides how much of a state is kept, so a memory length of {T} "
            "cannot be asked for; it takes a carry such as f ⊙ s or (1 - i) ⊙ s"
        )
    wanted: dict[Vector, sympy.Expr] = {}
    for keeper in found:
        needed = sympy.simplify(keeper.value(length))
        if sympy.simplify(wanted.setdefault(keeper.gate, needed) - needed) != 0:
            raise DeriveError(
                f"{subject.name}: for a memory length of {T} the gate {keeper.gate.name} would have to be "
                f"{wanted[keeper.gate]} and {needed} at once:\n  {subject.line(keeper.gate)}"
            )
    solved = (_bias(subject, gate, needed) for gate, needed in wanted.items())
    return {name: bias.subs(beyond, given - 1) for name, bias in solved}


def forget_biases(cell: Cell | str, value: float = 1.0) -> dict[str, float]:
    """The initial biases that make each memory's forget gate start open: ``{"b_f": 1.0}`` for the LSTM.

    The forget gate is found as the carry of a state's write; where the carry is 1 - i, the sign is turned.
    """
    subject = catalogued(cell)
    found: dict[str, float] = {}
    for keeper in _keepers(subject):
        if keeper.keeps and not keeper.others:
            sign = 1 if keeper.direct else -1
            found |= {bias: sign * way * value for bias, way in _own_bias(subject, keeper.gate)}
    return found


def _keepers(cell: Cell) -> Iterator[Keeper]:
    for memory in memories(cell):
        carry = _consists_of(cell, memory.carry)
        yield from (Keeper(gate, True, direct, len(carry) - 1) for gate, direct in carry)
        write = _written_through(cell, memory)
        if any((gate, not direct) in write for gate, direct in carry):
            continue  # coupled: what is not kept is written
        yield from (Keeper(gate, False, direct, len(write) - 1) for gate, direct in sorted(write, key=str))


def _consists_of(cell: Cell, carry: sympy.Expr) -> list[tuple[Vector, bool]]:
    """The gates whose product a carry is, each with whether it is direct; none if there is more to it."""
    factors = sympy.Mul.make_args(carry)
    gates = [(gate, factor == gate) for factor in factors for gate in gate_factors(cell, factor)]
    return gates if len(gates) == len(factors) else []


def _written_through(cell: Cell, memory: Write) -> set[tuple[Vector, bool]]:
    """The gates that multiply every term of the increment."""
    terms = sympy.Add.make_args(memory.increment)
    sets = [
        {
            (gate, factor == gate)
            for factor in sympy.Mul.make_args(term)
            for gate in gate_factors(cell, factor)
        }
        for term in terms
    ]
    return set.intersection(*sets)


def _bias(cell: Cell, gate: Vector, needed: sympy.Expr) -> tuple[str, sympy.Expr]:
    """The gate's own bias, and its value with which the gate is ``needed`` at rest."""
    own = _own_bias(cell, gate)
    if not own:
        raise DeriveError(
            f"{cell.name}: the gate {gate.name} must start at {needed}, but it has no bias of its own:\n"
            f"  {cell.line(gate)}"
        )
    ((name, sign),) = own
    expr = cell.equations[gate]
    offset = value(expr.argument, at_rest(cell, {name: 0}))
    if not is_uniform(offset):
        raise DeriveError(
            f"{cell.name}: what the gate {gate.name} adds to its bias is not known at s = x = 0, but "
            f"{offset}:\n  {cell.line(gate)}"
        )
    try:
        argument = inverse(expr.activation, needed)
    except DeriveError as error:
        raise DeriveError(f"{cell.name}: {error}:\n  {cell.line(gate)}") from None
    return name, sign * (argument - offset)


def _own_bias(cell: Cell, gate: Vector) -> list[tuple[str, int]]:
    """A bias that the gate adds and nothing else reads, with its sign; of several, the first."""
    expr = cell.equations[gate]
    others = set().union(*(atoms(e) for v, e in cell.equations.items() if v != gate))
    if not isinstance(expr, Activated):
        return []
    terms = [term.as_coeff_Mul() for term in sympy.Add.make_args(expr.argument)]
    own = [(p.name, int(c)) for c, p in terms if abs(c) == 1 and isinstance(p, Parameter) and p not in others]
    return sorted(own)[:1]


@lru_cache(maxsize=1024)
def inverse(activation: Activation, output: sympy.Expr) -> sympy.Expr:
    """The argument at which a monotone activation has a value, exactly.

    Between two kinks the formula is smooth and is solved there.  An ``output`` with symbols stands for any
    value in (0, 1), which one piece must then cover.  Raises :class:`~derive.errors.DeriveError` if the
    activation does not take the value.
    """
    kinks = (-sympy.oo, *sorted(activation.kinks), sympy.oo)
    for low, high in pairwise(kinks):
        piece = _piece(activation.formula, low, high)
        ends = sympy.limit(piece, a, low), sympy.limit(piece, a, high)
        inside = ends[0] <= output <= ends[1] if output.is_number else ends[0] <= 0 and ends[1] >= 1
        solutions = sympy.solve(piece - output, a) if inside and a in piece.free_symbols else []
        real = [x for x in solutions if not output.is_number or (x.is_real and low <= x <= high)]
        if len(real) == 1:
            return real[0]
    raise DeriveError(f"no argument is known at which {activation.name} is {output}")


def _piece(formula: sympy.Expr, low: sympy.Expr, high: sympy.Expr) -> sympy.Expr:
    """The formula between two neighbouring kinks, without Min and Max."""
    if not formula.has(sympy.Min, sympy.Max, sympy.Piecewise):
        return formula
    within = (low + high) / 2 if low.is_finite and high.is_finite else high - 1 if high.is_finite else low + 1
    cases = sympy.piecewise_fold(formula.rewrite(sympy.Piecewise))
    return next(expr for expr, condition in cases.args if condition.subs(a, within))


def _length(cell: Cell, given: Any) -> sympy.Expr:
    try:
        length = sympy.sympify(given, strict=True)
    except (sympy.SympifyError, TypeError):
        length = None
    is_number = isinstance(length, sympy.Expr) and length.is_number
    if not isinstance(length, sympy.Expr) or (is_number and not (length.is_real and length > 1)):
        raise DeriveError(
            f"{cell.name}: a memory length of {given!r}; expected a number of steps above 1, or a symbol"
        )
    return length
