"""A question for the provers: does a polynomial relation hold on a box, given polynomial hypotheses?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

import sympy

from derive.decide.bernstein import fraction
from derive.decide.relation import COMPARE, NotPolynomial, Question, Relation, bound, normal, read

Variable: TypeAlias = tuple[str, Fraction | None, Fraction | None]  # None: no bound on that side

# Words of SMT-LIB and names that solvers predefine: a variable called so is renamed in the script.
# fmt: off
_RESERVED = frozenset((
    "Array", "BINARY", "Bool", "DECIMAL", "HEXADECIMAL", "Int", "NUMERAL", "Real", "STRING", "_", "abs",
    "and", "arccos", "arcsin", "arctan", "as", "assert", "check_sat", "concat", "const", "cos", "cosh",
    "cot", "csc", "declare_const", "define_fun", "distinct", "div", "divisible", "e", "euler", "exists",
    "exit", "exp", "false", "forall", "if", "implies", "int2bv", "is", "is_int", "ite", "lambda", "let",
    "ln", "log", "map", "match", "max", "min", "mod", "not", "or", "par", "par_or", "pi", "pop", "pow",
    "push", "rem", "reset", "root_obj", "sec", "select", "set", "sin", "sinh", "sqrt", "store", "tan",
    "tanh", "to_int", "to_real", "true", "xor",
))
# fmt: on


@dataclass(frozen=True)
class Problem:
    """On the closed box of ``variables``, wherever all ``hypotheses`` hold, does ``conclusion`` hold?"""

    variables: tuple[Variable, ...]
    hypotheses: tuple[Relation, ...]
    conclusion: Relation

    @classmethod
    def of(
        cls,
        variables: Mapping[sympy.Symbol, tuple[Any, Any]],
        conclusion: Question,
        hypotheses: Iterable[Question] = (),
    ) -> Problem:
        """Read SymPy relations.

        A relation is ``sympy.Ge(p, q)`` and its like, or a triple ``(p, ">=", q)``, which SymPy cannot
        simplify away.  Assumptions of symbols say nothing here: only intervals and hypotheses count.
        """
        symbols = tuple(variables)
        box = tuple((s.name, bound(low, -1, s), bound(high, 1, s)) for s, (low, high) in variables.items())
        problem = cls(box, tuple(read(h, symbols) for h in hypotheses), read(conclusion, symbols))
        _check(problem)
        return problem

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.variables)

    def relation(self, question: Question) -> Relation:
        """Read one more relation between the variables of this problem."""
        symbols = tuple(sympy.Symbol(name) for name in self.names)
        if isinstance(question, Relation):
            return question
        by_name = dict(zip(self.names, symbols, strict=True))
        sides = question if isinstance(question, tuple) else (question,)
        plain = [
            sympy.sympify(s).xreplace({v: by_name.get(v.name, v) for v in sympy.sympify(s).free_symbols})
            if not isinstance(s, str)
            else s
            for s in sides
        ]
        return read(tuple(plain) if isinstance(question, tuple) else plain[0], symbols)

    def given(self, relations: Iterable[Relation]) -> Problem:
        """The same problem with more hypotheses."""
        return replace(self, hypotheses=(*self.hypotheses, *relations))

    def concluding(self, conclusion: Relation) -> Problem:
        """The same box and hypotheses with another conclusion."""
        return replace(self, conclusion=conclusion)

    def used(self) -> tuple[int, ...]:
        """The variables that occur in the conclusion, by position."""
        return tuple(i for i in range(len(self.variables)) if self.conclusion.degree(i))

    def values(self, point: Mapping[str, Any]) -> tuple[Fraction, ...]:
        """The point as a tuple in the order of the variables."""
        missing = [name for name in self.names if name not in point]
        if missing:
            raise ValueError(f"the point {dict(point)} has no value for {', '.join(missing)}")
        return tuple(fraction(point[name]) for name in self.names)

    def applies_at(self, point: Mapping[str, Any]) -> bool:
        """Whether the point lies in the box and all hypotheses hold there."""
        values = self.values(point)
        inside = all(
            (low is None or low <= x) and (high is None or x <= high)
            for x, (_, low, high) in zip(values, self.variables, strict=True)
        )
        return inside and all(h.holds(values) for h in self.hypotheses)

    def holds_at(self, point: Mapping[str, Any]) -> bool:
        """The truth at one point, exactly: False makes the point a counterexample.

        True where the conclusion holds and also where the point is outside the box or violates a hypothesis.
        """
        return not self.applies_at(point) or self.conclusion.holds(self.values(point))

    def to_json(self) -> dict[str, Any]:
        """Plain data: names, strings and small integers."""
        return {
            "variables": [
                [name, "-oo" if low is None else str(low), "oo" if high is None else str(high)]
                for name, low, high in self.variables
            ],
            "hypotheses": [self._plain(h) for h in self.hypotheses],
            "conclusion": self._plain(self.conclusion),
        }

    def _plain(self, relation: Relation) -> dict[str, Any]:
        terms = [
            [str(c), {n: e for n, e in zip(self.names, exponents, strict=True) if e}]
            for exponents, c in relation.terms
        ]
        return {"terms": terms, "op": relation.op}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Problem:
        box: list[Variable] = []
        for name, low, high in data["variables"]:
            box.append(
                (
                    str(name),
                    None if low == "-oo" else Fraction(low),
                    None if high == "oo" else Fraction(high),
                )
            )
        names = [name for name, _, _ in box]

        def read_plain(plain: Mapping[str, Any]) -> Relation:
            sums: dict[tuple[int, ...], Fraction] = {}
            for coefficient, powers in plain["terms"]:
                strange = [n for n in powers if n not in names] + [e for e in powers.values() if int(e) < 1]
                if strange:
                    raise NotPolynomial(f"the term {coefficient} {dict(powers)} has {strange[0]!r}")
                exponents = tuple(int(powers.get(n, 0)) for n in names)
                sums[exponents] = sums.get(exponents, Fraction(0)) + Fraction(coefficient)
            if plain["op"] not in COMPARE:
                raise NotPolynomial(f"{plain['op']!r} is none of {', '.join(COMPARE)}")
            return Relation(normal(sums), plain["op"])

        problem = cls(
            tuple(box), tuple(read_plain(h) for h in data["hypotheses"]), read_plain(data["conclusion"])
        )
        _check(problem)
        return problem

    def smt_names(self) -> tuple[str, ...]:
        """What the variables are called in :meth:`smtlib`: their names where every solver takes those."""
        plain = re.compile(r"(?!v\d+$)[A-Za-z][A-Za-z0-9_]*$")
        return tuple(
            name if plain.match(name) and name not in _RESERVED else f"v{i}"
            for i, name in enumerate(self.names)
        )

    def smtlib(self) -> str:
        """A complete SMT-LIB 2 script; ``unsat`` means that the conclusion follows."""
        names = self.smt_names()
        lines = ["; unsat: on this box and under these hypotheses, the conclusion holds"]
        lines += [f"; {s} is {n}" for s, n in zip(names, self.names, strict=True) if s != n]
        lines.append("(set-logic QF_NRA)")
        lines += [f"(declare-const {name} Real)" for name in names]
        for name, (_, low, high) in zip(names, self.variables, strict=True):
            lines += [f"(assert (>= {name} {_number(low)}))"] if low is not None else []
            lines += [f"(assert (<= {name} {_number(high)}))"] if high is not None else []
        lines += [f"(assert {_smt(h, names)})" for h in self.hypotheses]
        lines += ["; not the conclusion", f"(assert (not {_smt(self.conclusion, names)}))", "(check-sat)"]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        names = self.names
        box = ", ".join(
            f"{n} in [{'-oo' if a is None else a}, {'oo' if b is None else b}]" for n, a, b in self.variables
        )
        given = "".join(f", {h.show(names)}" for h in self.hypotheses)
        return f"{box}{given} ⊢ {self.conclusion.show(names)}"


def _check(problem: Problem) -> None:
    names = problem.names
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two variables are called {twice[0]!r}")
    for name, low, high in problem.variables:
        if low is not None and high is not None and low > high:
            raise ValueError(f"the interval of {name} is empty: [{low}, {high}]")


def _number(number: Fraction) -> str:
    size = f"{abs(number.numerator)}.0"
    size = size if number.denominator == 1 else f"(/ {size} {number.denominator}.0)"
    return f"(- {size})" if number < 0 else size


def _smt(relation: Relation, names: Sequence[str]) -> str:
    sums = []
    for exponents, coefficient in relation.terms:
        factors = [name for name, e in zip(names, exponents, strict=True) for _ in range(e)]
        factors = [_number(coefficient)] * (coefficient != 1 or not factors) + factors
        sums.append(factors[0] if len(factors) == 1 else f"(* {' '.join(factors)})")
    left = "0.0" if not sums else sums[0] if len(sums) == 1 else f"(+ {' '.join(sums)})"
    return f"({'=' if relation.op == '==' else relation.op} {left} 0.0)"
