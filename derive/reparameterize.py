"""Reparameterizations that leave a cell's function alone: merged biases, flipped signs, mirrored gates.

Each is a change of parameters under which the normal form becomes simpler or stays as simple:

* two biases that only ever occur as their sum are one bias;
* a parameter that only occurs with a minus sign is replaced by its negative;
* an activation with φ(-a) = k - φ(a) whose argument's terms have parameters of their own can be mirrored:
  negate those parameters and write k - φ for φ (z = 1 - i for the logistic sigmoid).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, product

import sympy

from derive.colours import subexpressions
from derive.normal import normalize
from derive.symbols import Activated, Linear, Parameter, atoms

Form = tuple[sympy.Expr | None, ...]


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
    """Merge biases and take out minus signs."""
    same = {p: p for p in parameters}
    form = _without_minus(_merged(Reduced(roots, same, dict(same))))
    for node in _mirrors(form):
        mirrored = mirror(form, node)
        if _cost(mirrored.roots) < _cost(form.roots):
            form = mirrored
    return form


def orientations(form: Reduced) -> Iterator[Reduced]:
    """The form, and the equally simple ones that mirroring its gates gives."""
    ties = [n for n in _mirrors(form) if _cost(mirror(form, n).roots) == _cost(form.roots)]
    for choice in product((False, True), repeat=len(ties)):
        turned = form
        for node, flip in zip(ties, choice, strict=True):
            turned = mirror(turned, node) if flip else turned
        yield turned


def _merged(form: Reduced) -> Reduced:
    biases = sorted((p for p in form.own if len(p.axes) == 1), key=lambda p: p.name)
    for p, q in combinations(biases, 2):
        if p.axes != q.axes or p not in form.new or q not in form.new or not _together(form.roots, p, q):
            continue
        alone = tuple(_rebuild(r, {q: sympy.S.Zero}) for r in form.roots)
        if tuple(_rebuild(r, {p: p + q}) for r in alone) == form.roots:
            new = {k: v for k, v in form.new.items() if k != q} | {p: form.new[p] + form.new[q]}
            form = Reduced(alone, new, {**form.own, q: sympy.S.Zero})
    return form


def _together(roots: Form, p: Parameter, q: Parameter) -> bool:
    """Whether two parameters occur in the same sums: a cheap test before the exact one."""

    def sums(x: Parameter) -> set[sympy.Expr]:
        nodes = (n for r in roots if r is not None for n in r.atoms(sympy.Add))
        return {n for n in nodes if any(x in sympy.Mul.make_args(t) for t in n.args)}

    return bool(sums(p)) and sums(p) == sums(q)


def _without_minus(form: Reduced) -> Reduced:
    for p in sorted(form.new, key=lambda p: p.name):
        flipped = _negate(form, {p})
        if _cost(flipped.roots) < _cost(form.roots):
            form = flipped
    return form


def _negate(form: Reduced, parameters: set[Parameter]) -> Reduced:
    roots = tuple(_rebuild(r, {p: -p for p in parameters}) for r in form.roots)
    new = {p: -e if p in parameters else e for p, e in form.new.items()}
    own = {p: e.xreplace({q: -q for q in parameters}) for p, e in form.own.items()}
    return Reduced(roots, new, own)


def _mirrors(form: Reduced) -> list[Activated]:
    """The activations that can be mirrored, in a fixed order."""
    nodes = {n for r in form.roots if r is not None for n in r.atoms(Activated)}
    able = [
        n for n in nodes if n.activation.reflection is not None and _own_parameters(form.roots, n) is not None
    ]
    return sorted(able, key=str)


def _own_parameters(roots: Form, node: Activated) -> set[Parameter] | None:
    """One parameter for each term of the argument, occurring in it alone; None if a term has none."""
    hidden = sympy.Dummy("hidden")
    outside = set().union(*(atoms(r.xreplace({node: hidden})) for r in roots if r is not None))
    terms = sympy.Add.make_args(node.argument)
    chosen: set[Parameter] = set()
    for index, term in enumerate(terms):
        others = set().union(*(atoms(t) for k, t in enumerate(terms) if k != index))
        free = [p for p in _linear_in(term) if p not in outside and p not in others]
        if not free:
            return None
        chosen.add(min(free, key=lambda p: p.name))
    return chosen


def _linear_in(term: sympy.Expr) -> set[Parameter]:
    """The parameters whose sign is the sign of the term: a bare factor, or the map of a factor."""
    found: set[Parameter] = set()
    for factor in sympy.Mul.make_args(term):
        p = factor.map if isinstance(factor, Linear) else factor
        if isinstance(p, Parameter) and not (isinstance(factor, Linear) and p in atoms(factor.vector)):
            found.add(p)
    return found


def mirror(form: Reduced, node: Activated) -> Reduced:
    """Write k - φ for φ, with the argument's own parameters negated."""
    own = _own_parameters(form.roots, node) or set()
    constant = node.activation.reflection
    turned = replace(form, roots=tuple(_rebuild(r, {node: constant - node}) for r in form.roots))
    new = {p: -e if p in own else e for p, e in form.new.items()}
    back = {p: e.xreplace({q: -q for q in own}) for p, e in form.own.items()}
    return replace(turned, new=new, own=back)


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
    present = [r for r in roots if r is not None]
    nodes: set[sympy.Basic] = set().union(*(subexpressions(r) for r in present))
    inner = {n.argument for n in nodes if isinstance(n, Activated)} | {
        n.vector for n in nodes if isinstance(n, Linear)
    }
    terms = [t for n in {*present, *inner} for t in sympy.Add.make_args(n)]
    return len(terms), sum(bool(t.as_coeff_Mul()[0].is_negative) for t in terms)
