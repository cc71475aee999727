"""Groups the linear maps of a phase by the vector they act on: one fused product for each distinct vector.

A fused product can take what is added to it along for free: the biases, or whole blocks of what was
computed before the loop (the input's share of each sum).  It does so only if every part of the product has
such a term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from codegen.lowering.names import Names, describe
from codegen.plan import Part, Product
from derive.show.notation import Notation
from derive.symbols import Linear, MeanMap, Parameter, Vector

Roots = Sequence[tuple[Vector, sympy.Expr]]
Addends = Mapping[Vector, int]
"""What a product may take along of the phase before: vectors, with the number of their product there."""


@dataclass(frozen=True)
class Grouped:
    """A phase with its linear maps taken out: the products, and what is left of the equations."""

    products: tuple[Product, ...]
    roots: tuple[tuple[Vector, sympy.Expr], ...]


def group_products(roots: Roots, notation: Notation, names: Names, addends: Addends | None = None) -> Grouped:
    """Take every matrix product out of the right sides.

    A right side that is nothing but one part of a product disappears: the part takes its name.
    """
    return _Grouping(roots, notation, names, addends or {}).result()


@dataclass
class _Site:
    """Where a linear map stands: the equation it was first met in, and the sums and other nodes around it."""

    owner: Vector
    parents: list[sympy.Expr | None] = field(default_factory=list)  # None: it is a whole right side

    @property
    def sum(self) -> sympy.Add | None:
        """The one sum that the map is a term of, if that is all it is."""
        alone = len(self.parents) == 1 and isinstance(self.parents[0], sympy.Add)
        return self.parents[0] if alone else None


class _Grouping:
    def __init__(self, roots: Roots, notation: Notation, names: Names, addends: Addends) -> None:
        self.roots = list(roots)
        self.notation = notation
        self.names = names
        self.addends = addends
        self.sites: dict[Linear, _Site] = {}
        self.taken: dict[sympy.Expr, set[sympy.Expr]] = {}
        self.part_of: dict[Linear, Part] = {}
        self.collapsed: set[Vector] = set()
        seen: set[sympy.Expr] = set()
        for owner, expr in self.roots:
            self._visit(expr, None, owner, seen)

    def _visit(
        self, expr: sympy.Expr, parent: sympy.Expr | None, owner: Vector, seen: set[sympy.Expr]
    ) -> None:
        is_map = _is_product(expr)
        if not is_map and expr in seen:
            return
        if not (is_map and expr in self.sites):
            for arg in self._in_order(expr):
                self._visit(arg, expr, owner, seen)
        seen.add(expr)
        if is_map:
            self.sites.setdefault(expr, _Site(owner)).parents.append(parent)

    def _in_order(self, expr: sympy.Expr) -> Sequence[sympy.Expr]:
        if expr.is_Add:
            return self.notation.terms(expr)
        if expr.is_Mul:
            return self.notation.factors(expr)
        return [arg for arg in expr.args if isinstance(arg, sympy.Expr)]

    def result(self) -> Grouped:
        groups: dict[sympy.Expr, list[Linear]] = {}
        for node in self.sites:
            groups.setdefault(node.vector, []).append(node)
        for nodes in groups.values():
            extras = self._absorb(nodes)
            for node, (biases, addend) in zip(nodes, extras, strict=True):
                symbol = self._symbol(node, absorbs=bool(biases or addend))
                self.part_of[node] = Part(symbol, self.sites[node].owner, node.map, biases, addend)
        rewrite = _Rewriting(self.taken, self.part_of)
        products = tuple(
            Product(rewrite(operand), tuple(self.part_of[node] for node in nodes))
            for operand, nodes in groups.items()
        )
        left = tuple((symbol, rewrite(expr)) for symbol, expr in self.roots if symbol not in self.collapsed)
        return Grouped(products, left)

    def _absorb(self, nodes: Sequence[Linear]) -> list[tuple[tuple[Parameter, ...], Vector | None]]:
        """For each part the biases and the addend that its product takes along; all parts or none."""
        sums = [self.sites[node].sum for node in nodes]
        if None not in sums and len(set(sums)) == len(sums):
            addends = [self._first(s, lambda term: term in self.addends) for s in sums]
            if (
                all(addends)
                and len(set(addends)) == len(addends)
                and len({self.addends[a[0]] for a in addends}) == 1
            ):
                self._take(sums, addends)
                return [((), addend[0]) for addend in addends]
            biases = [self._first(s, lambda term: isinstance(term, Parameter), several=True) for s in sums]
            if all(biases):
                self._take(sums, biases)
                return [(bias, None) for bias in biases]
        return [((), None) for _ in nodes]

    def _first(
        self, total: sympy.Expr, wanted: Callable[[sympy.Expr], bool], several: bool = False
    ) -> tuple[sympy.Expr, ...]:
        taken = self.taken.get(total, set())
        found = tuple(term for term in self.notation.terms(total) if wanted(term) and term not in taken)
        return found if several else found[:1]

    def _take(self, sums: Sequence[sympy.Expr], terms: Sequence[tuple[sympy.Expr, ...]]) -> None:
        for total, gone in zip(sums, terms, strict=True):
            self.taken.setdefault(total, set()).update(gone)

    def _is_all(self, total: sympy.Expr) -> bool:
        """Whether nothing is left of a sum but one linear map."""
        return len(self.taken[total]) + 1 == len(total.args)

    def _symbol(self, node: Linear, absorbs: bool) -> Vector:
        """A part's name: the equation's where it is all of it, ``a_i`` for the sum inside i's activation."""
        site = self.sites[node]
        around = site.sum
        whole = around if around is not None and absorbs and self._is_all(around) else node
        target = next((symbol for symbol, expr in self.roots if expr == whole), None)
        if target is not None and len(site.parents) == 1:
            self.collapsed.add(target)
            return target
        wish = f"a_{site.owner.name}" if absorbs else describe(node)
        return Vector(self.names.fresh(wish), node.map.axes[0])


class _Rewriting:
    """Puts the parts' names where the products stood."""

    def __init__(self, taken: Mapping[sympy.Expr, set[sympy.Expr]], part_of: Mapping[Linear, Part]) -> None:
        self.taken = taken
        self.part_of = part_of

    def __call__(self, expr: sympy.Expr) -> sympy.Expr:
        if expr in self.part_of:
            return self.part_of[expr].symbol
        if not expr.args:
            return expr
        gone = self.taken.get(expr, set())
        return expr.func(*(self(arg) for arg in expr.args if arg not in gone))


def _is_product(expr: sympy.Expr) -> bool:
    return isinstance(expr, Linear) and not isinstance(expr.map, MeanMap)
