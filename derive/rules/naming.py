"""Names carry no meaning; this rule changes them."""

from __future__ import annotations

from collections.abc import Mapping

from derive.cell import Cell
from derive.errors import nearest
from derive.rule import Rewrite, Rule, no_claims, refuse
from derive.symbols import Parameter, Previous, Quantity, Vector, atoms


def rename(cell: Cell, names: Mapping[str, str] | None = None) -> Rewrite:
    """Every new name is free:  old ⟶ new, for any vector, state or parameter.

    Parameters that only one vector's equation reads, and that end in its name, follow it: W_o with o.
    """
    if not names:
        raise refuse(cell, "rename needs names={'old': 'new', …}")
    plain = {name: q for name, q in cell.symbols.items() if not isinstance(q, Previous)}
    for old in names:
        if old not in plain:
            raise refuse(cell, f"nothing is called {old!r}{nearest(old, plain)}")
    full = dict(names) | {
        p: new for old in names for p, new in _followers(cell, old, names[old]).items() if p not in names
    }
    result = [full.get(name, name) for name in plain]
    twice = next((name for name in result if result.count(name) > 1), None)
    if twice is not None:
        owner = next(
            (s for s, e in cell.equations.items() if twice in {q.label for q in (s, *atoms(e))}), None
        )
        raise refuse(cell, f"the name {twice!r} is taken", owner)
    mapping: dict[Quantity, Quantity] = {}
    for old, new in full.items():
        q = plain[old]
        mapping[q] = type(q)(new, *q.axes)
        if isinstance(q, Vector):
            mapping[Previous(old, *q.axes)] = Previous(new, *q.axes)
    equations = [(s.xreplace(mapping), e.xreplace(mapping)) for s, e in cell.equations.items()]
    after = cell.replace(
        equations=equations,
        output=full.get(cell.output, cell.output) if cell.output else None,
        states=tuple(full.get(s, s) for s in cell.states),
    )
    return Rewrite(after, (mapping, {}), no_claims)


def _followers(cell: Cell, old: str, new: str) -> dict[str, str]:
    own = {p for s, e in cell.equations.items() if s.name == old for p in e.atoms(Parameter)}
    foreign = {p for s, e in cell.equations.items() if s.name != old for p in e.atoms(Parameter)}
    return {p.name: p.name.removesuffix(old) + new for p in own - foreign if p.name.endswith(f"_{old}")}


RULES = (
    Rule(
        name="rename",
        law="a  ⟶  b",
        condition="the new names are free",
        reason="To conform to the letters used in the literature.",
        buys="nothing: the cell is the same",
        rewrite=rename,
        options={"names": ()},
        search=(),
    ),
)
