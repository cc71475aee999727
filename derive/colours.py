"""Signatures of normal forms that do not depend on names, and matching two forms by them.

A signature is a hash of the expression trees in which every parameter and state is known by its colour only.
Marking one quantity and hashing again tells what that quantity does; quantities that do the same are told
apart by trial.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import sympy

from derive.symbols import Activated, Linear, MeanMap, Previous, Quantity, atoms

Colours = Mapping[Quantity, Any]
Roots = Sequence[sympy.Expr | None]


def quantities(roots: Roots) -> list[Quantity]:
    """Everything that has a name in a normal form, in a fixed order."""
    found: set[Quantity] = set().union(*(atoms(r) for r in roots if r is not None))
    return sorted((q for q in found if not isinstance(q, MeanMap)), key=lambda q: (type(q).__name__, q.name))


def signature(roots: Roots, states: Sequence[Previous], colours: Colours) -> int:
    """The hash of a form: a multiset of (state, its next value), and the output."""
    memo: dict[sympy.Expr, int] = {}

    def sign(expr: Any) -> int:
        if expr not in memo:
            memo[expr] = hash(_parts(expr, sign, colours))
        return memo[expr]

    nexts = sorted(hash((sign(s), sign(r))) for s, r in zip(states, roots[:-1], strict=True))
    return hash((tuple(nexts), None if roots[-1] is None else sign(roots[-1])))


def _parts(expr: Any, sign: Any, colours: Colours) -> tuple[Any, ...]:
    if isinstance(expr, Quantity):
        return (type(expr).__name__, expr.axes, colours.get(expr))
    if isinstance(expr, Activated):
        return ("φ", expr.activation.name, sign(expr.argument))
    if isinstance(expr, Linear):
        return ("@", sign(expr.map), sign(expr.vector))
    if expr.is_Number:
        return ("number", str(expr))
    parts = [sign(arg) for arg in expr.args]
    return (expr.func.__name__, *(parts if expr.is_Pow else sorted(parts)))


def marked(roots: Roots, states: Sequence[Previous], colours: Colours) -> dict[Quantity, int]:
    """Each quantity's role: the signature of the form with that quantity marked."""
    return {
        q: signature(roots, states, {**colours, q: ("marked", colours.get(q))}) for q in quantities(roots)
    }


def key(roots: Roots, states: Sequence[Previous]) -> int:
    """A hash that equal cells share whatever their names: cheaper than :func:`marked`, to visit each once."""
    nodes: set[Any] = set()
    for root in roots:
        nodes |= subexpressions(root) if root is not None else frozenset()
    uses = Counter(q for node in nodes for q in node.args if isinstance(q, Quantity))
    roles = sorted((type(q).__name__, q.axes, count) for q, count in uses.items())
    return hash((signature(roots, states, {}), tuple(roles)))


@lru_cache(maxsize=1 << 16)
def subexpressions(expr: sympy.Basic) -> frozenset[sympy.Basic]:
    """An expression and everything in it."""
    return frozenset((expr,)).union(*(subexpressions(arg) for arg in expr.args))


def matchings(
    a: Roots,
    a_states: Sequence[Previous],
    b: Roots,
    b_states: Sequence[Previous],
    colours: tuple[Colours, Colours] = ({}, {}),
) -> Iterator[dict[Quantity, Quantity]]:
    """Renamings of a's quantities to b's that may make the forms equal; the caller checks exact equality."""
    if signature(a, a_states, colours[0]) != signature(b, b_states, colours[1]):
        return
    roles_a, roles_b = _by_role(marked(a, a_states, colours[0])), _by_role(marked(b, b_states, colours[1]))
    if {k: len(v) for k, v in roles_a.items()} != {k: len(v) for k, v in roles_b.items()}:
        return
    ambiguous = [k for k, v in roles_a.items() if len(v) > 1 and v[0] not in colours[0]]
    if not ambiguous:
        yield {qa: qb for k, members in roles_a.items() for qa, qb in zip(members, roles_b[k], strict=True)}
        return
    role = min(ambiguous, key=lambda k: (len(roles_a[k]), roles_a[k][0].name))
    first, colour = roles_a[role][0], len(colours[0]) + 1
    for other in roles_b[role]:
        yield from matchings(
            a, a_states, b, b_states, ({**colours[0], first: colour}, {**colours[1], other: colour})
        )


def _by_role(roles: Mapping[Quantity, int]) -> dict[int, list[Quantity]]:
    grouped: dict[int, list[Quantity]] = defaultdict(list)
    for q, role in roles.items():
        grouped[role].append(q)
    return grouped
