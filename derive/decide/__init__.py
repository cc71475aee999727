"""Decide polynomial inequalities over boxes, exactly, with certificates that anyone can check again.

A :class:`Problem` is a box, hypotheses and a conclusion; :func:`decide` proves it by two independent methods
(vertices, Bernstein form or multipliers, z3, cvc5), or refutes it at an exact rational point, or says
``unknown`` and what was tried.  :func:`recheck` and :func:`replay` start from plain data.
"""

from derive.decide.bernstein import (
    BadBox,
    Below,
    Cover,
    from_monomials,
    halves,
    maximize,
    nonnegative,
    tensor,
)
from derive.decide.certificate import fault, recheck, replay
from derive.decide.portfolio import Decision, decide
from derive.decide.problem import Problem
from derive.decide.relation import NotPolynomial, Relation

__all__ = [
    "BadBox",
    "Below",
    "Cover",
    "Decision",
    "NotPolynomial",
    "Problem",
    "Relation",
    "decide",
    "fault",
    "from_monomials",
    "halves",
    "maximize",
    "nonnegative",
    "recheck",
    "replay",
    "tensor",
]
