"""``Rule`` and ``Step``: a named transformation of cells, its law, its condition, and what it must buy."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

import sympy

from derive.cell import Cell
from derive.claim import Claim
from derive.errors import AlreadyHolds, BrokenPromise, RuleDoesNotApply, UnknownRule, nearest
from derive.show.text import TextNotation, equation
from derive.symbols import Quantity, Vector

Values = Mapping[Any, Any]


@dataclass(frozen=True)
class Rewrite:
    """What a rule did.

    ``agreement`` is the law as a theorem: substituting its first mapping into the old cell's step and its
    second into the new cell's makes the two steps equal (the read gate at 1, the peepholes at 0, …).  The
    tests prove it with an SMT solver for every rewrite.  ``claims`` decides what the rule promises about the
    new cell.
    """

    cell: Cell
    agreement: tuple[Values, Values]
    claims: Callable[[Cell], Iterable[Claim]]


@dataclass(frozen=True)
class Rule:
    """A transformation that applies to any cell that meets its condition.

    ``law`` is before ⟶ after in symbols, ``condition`` what must hold, ``reason`` the article's argument,
    ``buys`` what must hold afterwards.  ``options`` lists the choices of each option, the default first;
    ``search`` says which of them a search for derivations tries (an empty tuple: the rule is no move of a
    search).  ``lowers`` says which counts of :func:`derive.search.features` the rule may lower, and by how
    much for each memory; searches prune with it.
    """

    name: str
    law: str
    condition: str
    reason: str
    buys: str
    rewrite: Callable[..., Rewrite]
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    search: tuple[Mapping[str, Any], ...] = (MappingProxyType({}),)
    lowers: Mapping[str, int] = field(default_factory=dict)

    def apply(self, cell: Cell, **options: Any) -> Step:
        """Apply the rule and decide its promises; raises RuleDoesNotApply, UnknownRule or BrokenPromise."""
        self._check(options)
        done = self.rewrite(cell, **options)
        claims = tuple(done.claims(done.cell)) or self._undecided()
        for claim in claims:
            if claim.status == "refuted":
                raise BrokenPromise(f"{self.name} on {cell.name}: {claim.statement}: {claim.counterexample}")
        return Step(self, cell, done.cell, claims, MappingProxyType(dict(options)), done.agreement)

    def _undecided(self) -> tuple[Claim, ...]:
        """What the rule promises, where no method here decides it for this cell."""
        if not self.search:
            return ()  # a change of names promises nothing
        return (Claim(self.name, self.buys, "unknown", "not decided by the structure of the equations"),)

    def _check(self, options: Mapping[str, Any]) -> None:
        for name, value in options.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise UnknownRule(
                    f"{self.name} has no option {name!r}{nearest(name, self.options)} Options: {known}"
                )
            choices = self.options[name]
            if choices and value not in choices:
                raise UnknownRule(
                    f"{self.name}: {name}={value!r}{nearest(str(value), choices)} Choices: {list(choices)}"
                )

    def __str__(self) -> str:
        return f"{self.name}: {self.law}"


@dataclass(frozen=True)
class Step:
    """One application of a rule: ``before`` and ``after`` are cells, ``claims`` what the rule bought."""

    rule: Rule
    before: Cell
    after: Cell
    claims: tuple[Claim, ...]
    options: Mapping[str, Any]
    agreement: tuple[Values, Values]

    def changes(self) -> tuple[list[str], list[str]]:
        """The equations that went and the equations that came, as lines of text."""
        old, new = _lines(self.before), _lines(self.after)
        return [line for line in old if line not in new], [line for line in new if line not in old]

    def __str__(self) -> str:
        gone, came = self.changes()
        body = [f"  - {line}" for line in gone] + [f"  + {line}" for line in came]
        return "\n".join([f"{self.rule.name}: {self.rule.law}", *body])

    def __reduce__(self) -> tuple[Any, ...]:
        return _apply_again, (self.rule.name, self.before, dict(self.options))


def _lines(cell: Cell) -> list[str]:
    notation = TextNotation(cell.equations)
    lines = [equation(symbol, expr, notation) for symbol, expr in cell.equations.items()]
    return [*lines, f"output: {notation(cell.symbols[cell.output])}"] if cell.output else lines


@cache
def rules() -> Mapping[str, Rule]:
    """Every rule by name: one file a family in ``derive/rules``, found by looking into the folder."""
    import derive.rules as folder

    modules = [
        importlib.import_module(f"{folder.__name__}.{m.name}") for m in pkgutil.iter_modules(folder.__path__)
    ]
    found = [rule for module in modules for rule in module.RULES]
    return MappingProxyType({rule.name: rule for rule in found})


class _Rules(Mapping[str, Rule]):
    """``derive.RULES``: loads the folder when first looked at."""

    def __getitem__(self, name: str) -> Rule:
        return rule(name)

    def __iter__(self) -> Iterator[str]:
        return iter(rules())

    def __len__(self) -> int:
        return len(rules())

    def __repr__(self) -> str:
        return f"<rules: {', '.join(rules())}>"


RULES: Mapping[str, Rule] = _Rules()


def rule(name: str | Rule) -> Rule:
    """The rule of that name; raises :class:`UnknownRule` with the nearest names."""
    if isinstance(name, Rule):
        return name
    if name not in rules():
        raise UnknownRule(f"unknown rule {name!r}{nearest(name, rules())} The rules: {', '.join(rules())}")
    return rules()[name]


def apply(name: str | Rule, /, cell: Cell | str, **options: Any) -> Step:
    """Apply a rule to a cell: a :class:`Step`, or :class:`RuleDoesNotApply` naming the equation at fault."""
    from derive.catalogue import cell as catalogued

    return rule(name).apply(catalogued(cell), **options)


def _apply_again(name: str, cell: Cell, options: Mapping[str, Any]) -> Step:
    return apply(name, cell, **options)


def refuse(cell: Cell, problem: str, at: Vector | None = None) -> RuleDoesNotApply:
    """The refusal of a rule, with the equation at fault."""
    return RuleDoesNotApply(cell, problem, at)


def already(cell: Cell, problem: str, at: Vector | None = None) -> AlreadyHolds:
    """The refusal of a rule whose work is done already."""
    return AlreadyHolds(cell, problem, at)


def no_claims(_: Cell) -> tuple[Claim, ...]:
    return ()


def agree(
    before: Mapping[Quantity, Any] | None = None, after: Mapping[Quantity, Any] | None = None
) -> tuple[Values, Values]:
    """The two substitutions of a law, as SymPy values."""

    def clean(values: Mapping[Quantity, Any] | None) -> Values:
        return {key: sympy.sympify(value) for key, value in (values or {}).items()}

    return clean(before), clean(after)
