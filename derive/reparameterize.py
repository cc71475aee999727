"""Reparameterizations that leave a cell's function alone: merged biases, flipped signs, mirrored gates.

Each is a change of parameters under which the normal form becomes simpler or stays as simple:

* two biases that only ever occur as their sum are one bias;
* a parameter is replaced by its negative: of all choices of signs, the one with the fewest minuses is taken;
* an activation with φ(-a) = k - φ(a) whose argument's terms have parameters of their own can be mirrored:
  negate those parameters and write k - φ for φ (z = 1 - i for the logistic sigmoid).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations, islice, product

import sympy

from derive.colours import subexpressions
from derive.normal import normalize, spine
from derive.symbols import Activated, Linear, Parameter, Quantity, atoms

Form = tuple[sympy.Expr | None, ...]

MOST_TURNS = 256
"""How many equally simple forms are looked at, at most."""
MOST_FREE_SIGNS = 10
"""Up to so many parameters whose signs depend on each other, the best signs are found by trying all."""


@dataclass(frozen=True)
class Reduced:
    """A normal form in new parameters.

    ``new``: each new parameter as an expression in the cell's own.  ``own``: each of the cell's own
    parameters as an expression in the new ones (where biases were merged, one of the choices).
    """

    roots: Form
    new: Mapping[Parameter, sympy.Expr]
    own: Mapping[Parameter, sympy.Expr]


def reduce(roots: Form, parameters: tuple[Parameter, ...]) -> Reduced:
    """Merge biases, mirror gates and take out minus signs, as long as that makes the form simpler."""
    same = {p: p for p in parameters}
    form = _with_best_signs(_merged(Reduced(roots, same, dict(same))))
    while True:
        mirrored = (_with_best_signs(mirror(form, node)) for node in _worth_mirroring(form))
        simpler = next((m for m in mirrored if _cost(m.roots) < _cost(form.roots)), None)
        if simpler is None:
            return form
        form = simpler


def orientations(form: Reduced) -> Iterator[Reduced]:
    """The form, and those that mirroring its gates and flipping signs give and that may be as simple."""
    return islice(_orientations(form), MOST_TURNS)


def _orientations(form: Reduced) -> Iterator[Reduced]:
    yield form
    seen = {form.roots}
    worth = _worth_mirroring(form)  # alone or together: what one costs, another may give back
    gates = [own for node in worth if (own := _own_parameters(form.roots, node)) is not None]
    for turned in chain.from_iterable(combinations(gates, count) for count in range(len(gates) + 1)):
        found = form
        for own in turned:  # a gate inside another changes it, so each is known by its own parameters
            node = next((n for n in _mirrors(found.roots) if _own_parameters(found.roots, n) == own), None)
            found = mirror(found, node) if node is not None else found
        found = _with_best_signs(found)
        for flips in _ties(found.roots):
            other = _negate(found, flips)
            if other.roots not in seen:
                seen.add(other.roots)
                yield other


def _merged(form: Reduced) -> Reduced:
    biases = sorted((p for p in form.own if len(p.axes) == 1), key=lambda p: p.name)
    for p, q in combinations(biases, 2):
        if p.axes != q.axes or p not in form.new or q not in form.new or not _together(form.roots, p, q):
            continue
        alone = tuple(_rebuild(r, {q: sympy.S.Zero}) for r in form.roots)
        for sign in (1, -1):
            if tuple(_rebuild(r, {p: p + sign * q}) for r in alone) == form.roots:
                new = {k: v for k, v in form.new.items() if k != q}
                new[p] = form.new[p] + sign * form.new[q]
                form = Reduced(alone, new, {**form.own, q: sympy.S.Zero})
                break
    return form


def _together(roots: Form, p: Parameter, q: Parameter) -> bool:
    """Whether two parameters occur in the same sums: a cheap test before the exact one."""

    def sums(x: Parameter) -> set[sympy.Expr]:
        nodes = (n for r in roots if r is not None for n in r.atoms(sympy.Add))
        return {n for n in nodes if any(x in sympy.Mul.make_args(t) for t in n.args)}

    return bool(sums(p)) and sums(p) == sums(q)


# signs


@dataclass(frozen=True)
class _Term:
    """A term of some sum: its sign, the parameters that can turn it, and what it looks like without names."""

    negative: bool
    turned_by: frozenset[Parameter]
    shape: str


def _terms(roots: Form) -> list[_Term]:
    found = []
    for total in _sums(roots):
        for term in sympy.Add.make_args(total):
            number, rest = term.as_coeff_Mul()
            found.append(_Term(bool(number.is_negative), spine(rest), f"{abs(number)} {shape(rest)}"))
    return found


@lru_cache(maxsize=256)
def _sums(roots: Form) -> tuple[sympy.Expr, ...]:
    """Every expression in which a sign can stand: the roots, arguments of activations, bases of powers.

    Not what a linear map is applied to: there the normal form leaves neither sums nor signs.
    """
    present = [r for r in roots if r is not None]
    nodes = set().union(*(subexpressions(r) for r in present))
    inner = {n.argument for n in nodes if isinstance(n, Activated)}
    inner |= {n.base for n in nodes if n.is_Pow and (n.base.is_Add or not n.exp.is_Integer)}
    return (*dict.fromkeys(present), *sorted(inner - set(present), key=str))


@lru_cache(maxsize=1 << 14)
def shape(expr: sympy.Basic) -> str:
    """An expression without names and without signs, as text."""
    if isinstance(expr, Quantity):
        return f"{type(expr).__name__}{expr.axes}"
    if not expr.args:
        return str(abs(expr)) if expr.is_Number else str(expr)
    parts = [shape(a) for a in expr.args]
    if not isinstance(expr, Activated | Linear) and not expr.is_Pow:
        parts.sort()
    return f"{type(expr).__name__}({', '.join(parts)})"


Weight = tuple[int, list[str]]


def _weight(terms: list[_Term], flips: Set[Parameter]) -> Weight:
    """How many terms are negative when these parameters are flipped, and which."""
    negative = sorted(t.shape for t in terms if t.negative != bool(len(t.turned_by & flips) % 2))
    return len(negative), negative


def _with_best_signs(form: Reduced) -> Reduced:
    flips: set[Parameter] = set()
    for members, terms in _groups(_terms(form.roots)):
        flips |= min(_choices(members, terms), key=lambda choice: _weight(terms, choice))
    return _negate(form, flips) if flips else form


def _ties(roots: Form) -> Iterator[set[Parameter]]:
    """All flips that are as good as none."""
    options: list[list[frozenset[Parameter]]] = []
    for members, terms in _groups(_terms(roots)):
        now = _weight(terms, frozenset())
        options.append([c for c in _choices(members, terms) if _weight(terms, c) == now])
    for choice in product(*options):
        yield set().union(*choice)


def _groups(terms: list[_Term]) -> list[tuple[list[Parameter], list[_Term]]]:
    """The parameters in groups whose signs depend on each other, each with the terms that it turns."""
    groups: list[tuple[set[Parameter], list[_Term]]] = []
    for term in terms:
        if not term.turned_by:
            continue
        touched = [g for g in groups if g[0] & term.turned_by]
        groups = [g for g in groups if g not in touched]
        groups.append(
            (set(term.turned_by).union(*(g[0] for g in touched)), [term, *(t for g in touched for t in g[1])])
        )
    return [(sorted(members, key=lambda p: p.name), own) for members, own in groups]


def _choices(members: list[Parameter], terms: list[_Term]) -> list[frozenset[Parameter]]:
    """Which parameters of a group to flip: nothing first, and nothing alone where no term is negative."""
    if not any(t.negative for t in terms):
        return [frozenset()]
    few = members[:MOST_FREE_SIGNS]
    return [frozenset(c) for count in range(len(few) + 1) for c in combinations(few, count)]


def _negate(form: Reduced, parameters: Set[Parameter]) -> Reduced:
    if not parameters:
        return form
    flipped = {p: -p for p in parameters}
    roots = tuple(_rebuild(r, flipped) for r in form.roots)
    new = {p: -e if p in parameters else e for p, e in form.new.items()}
    return Reduced(roots, new, {p: e.xreplace(flipped) for p, e in form.own.items()})


# mirrors


def _mirrors(roots: Form) -> list[Activated]:
    """The activations that can be mirrored, in a fixed order."""
    nodes = {n for r in roots if r is not None for n in subexpressions(r) if isinstance(n, Activated)}
    able = [n for n in nodes if n.activation.reflection is not None and _own_parameters(roots, n) is not None]
    return sorted(able, key=str)


def _worth_mirroring(form: Reduced) -> list[Activated]:
    """Those that may give a form as simple: k - φ cancels a term, or there is a sign to take out."""

    def gains(node: Activated) -> bool:
        constant = node.activation.reflection
        for total in _sums(form.roots):
            terms = sympy.Add.make_args(total)
            for term in terms:
                if node not in subexpressions(term):
                    continue
                if term.as_coeff_Mul()[0].is_negative or (
                    constant != 0 and -term.xreplace({node: constant}) in terms
                ):
                    return True
        return False

    return [node for node in _mirrors(form.roots) if gains(node)]


def _own_parameters(roots: Form, node: Activated) -> frozenset[Parameter] | None:
    """Parameters that turn every term of the argument and occur nowhere else; None if there are none."""
    hidden = sympy.Dummy("hidden")
    elsewhere = set().union(*(atoms(r.xreplace({node: hidden})) for r in roots if r is not None))
    terms = sympy.Add.make_args(node.argument)
    for term in terms:
        elsewhere |= _beside_spine(term)
    chosen: set[Parameter] = set()
    for term in terms:
        turned_by = spine(term)
        if len(turned_by & chosen) % 2 == 0:
            chosen |= {min(turned_by - elsewhere - chosen, key=lambda p: p.name, default=hidden)}
    turned = all(len(spine(term) & chosen) % 2 for term in terms)
    return frozenset(chosen) if turned and hidden not in chosen else None


def _beside_spine(term: sympy.Expr) -> set[Quantity]:
    """What occurs in a term where its sign is not the term's: inside activations and sums."""
    found: set[Quantity] = set()
    for factor in sympy.Mul.make_args(term):
        if isinstance(factor, Linear):
            found |= _beside_spine(factor.vector)
        elif factor.is_Pow and not factor.base.is_Add:
            found |= _beside_spine(factor.base)
        elif not isinstance(factor, Quantity):
            found |= atoms(factor)
    return found


def mirror(form: Reduced, node: Activated) -> Reduced:
    """Write k - φ for φ, with the argument's own parameters negated."""
    own = _own_parameters(form.roots, node) or frozenset()
    roots = tuple(_rebuild(r, {node: node.activation.reflection - node}) for r in form.roots)
    new = {p: -e if p in own else e for p, e in form.new.items()}
    back = {p: e.xreplace({q: -q for q in own}) for p, e in form.own.items()}
    return Reduced(roots, new, back)


def _rebuild(root: sympy.Expr | None, mapping: Mapping[sympy.Expr, sympy.Expr]) -> sympy.Expr | None:
    """Substitute, and normalize what changed.  A matrix mapped to its negative comes out as a sign."""
    if root is None:
        return None

    def visit(expr: sympy.Expr) -> sympy.Expr:
        if expr in mapping:
            return mapping[expr]
        if isinstance(expr, Linear):
            sign = -1 if mapping.get(expr.map) == -expr.map else 1
            return sign * Linear(expr.map, visit(expr.vector))
        if isinstance(expr, Activated):
            return expr.activation(visit(expr.argument))
        return expr.func(*(visit(arg) for arg in expr.args)) if expr.args else expr

    return normalize(visit(root), {})


def _cost(roots: Form) -> tuple[int, int]:
    """Terms of all sums, and minus signs: what reparameterization tries to make small."""
    terms = [t for total in _sums(roots) for t in sympy.Add.make_args(total)]
    return len(terms), sum(bool(t.as_coeff_Mul()[0].is_negative) for t in terms)
