"""``Derivation``: the steps from one cell to another; prints as text, LaTeX, and Python that rebuilds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from derive.catalogue import ROOT, published
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.counts import counts
from derive.prove import prove
from derive.rule import Rule, Step, apply
from derive.show.latex import equations_latex


@dataclass(frozen=True)
class Derivation:
    """A chain of steps, each step's ``before`` the ``after`` of the one before it."""

    start: Cell
    steps: tuple[Step, ...] = ()

    @property
    def cell(self) -> Cell:
        """Where the derivation arrives."""
        return self.steps[-1].after if self.steps else self.start

    def then(self, rule: str | Rule, /, **options: Any) -> Derivation:
        """The derivation with one more step."""
        return Derivation(self.start, (*self.steps, apply(rule, self.cell, **options)))

    def __str__(self) -> str:
        parts = [f"{self.start.name}  ({counts(self.start)})", str(self.start)]
        for number, step in enumerate(self.steps, 1):
            parts += ["", f"{number}. {step}", f"  {counts(step.after)}", f"  {step.rule.reason}"]
            parts += [f"  {claim}" for claim in step.claims]
            parts += [f"  {line}" for line in changed_claims(step)]
        return "\n".join(parts)

    def latex(self) -> str:
        """The derivation as a sequence of aligned blocks, each headed by its rule."""
        blocks = [equations_latex(self.start.equations)]
        for step in self.steps:
            blocks += [rf"\text{{{step.rule.name}}}", equations_latex(step.after.equations)]
        return "\n\n".join(f"\\[\n{block}\n\\]" for block in blocks)

    def python(self) -> str:
        """Python that rebuilds the derivation from the start cell."""
        known = published().get(self.start.name)
        if known is not None and known.cell == self.start:
            lines = ["from derive import Derivation, cell"]
            lines.append(f"derivation = Derivation(cell({self.start.name!r}))")
        else:
            lines = ["from derive import *", f"derivation = Derivation({self.start!r})"]
        for step in self.steps:
            options = "".join(f", {name}={value!r}" for name, value in step.options.items())
            lines.append(f"derivation = derivation.then({step.rule.name!r}{options})")
        return "\n".join(lines) + "\n"

    def _repr_latex_(self) -> str:
        return self.latex().replace("\\[", "$$").replace("\\]", "$$")


def changed_claims(step: Step) -> list[str]:
    """What a step bought and lost, as lines: the claims proved after it and not before it (+), before it and
    not after it (−), and those that say something else now (±).  A change of names changes no claim."""
    if not step.rule.search:
        return []
    before, after = (
        {claim.name: claim.statement for claim in prove(cell) if claim.status == "proved"}
        for cell in (step.before, step.after)
    )
    lost = [f"− {name}: {statement}" for name, statement in before.items() if name not in after]
    now = [
        f"± {name}: {statement} (before: {before[name]})" if name in before else f"+ {name}: {statement}"
        for name, statement in after.items()
        if before.get(name) != statement
    ]
    return lost + now


def derive_through(start: Cell, rules: Iterable[tuple[str, Mapping[str, Any]]]) -> Derivation:
    """Apply rules one after the other."""
    derivation = Derivation(start)
    for rule, options in rules:
        derivation = derivation.then(rule, **options)
    return derivation


def derivation(name: str) -> Derivation:
    """The article's derivation of a catalogue cell from the vanilla cell."""
    catalogued(name)
    chain: list[tuple[str, Mapping[str, Any]]] = []
    while name != ROOT:
        entry = published()[name]
        chain = [*entry.rules, *chain]
        name = entry.parent
    return derive_through(catalogued(ROOT), chain)
