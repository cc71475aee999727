"""Each rule's law as a theorem about the cells before and after it, proved by z3, not by the engine."""

import dataclasses
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import sympy
import z3
from hypothesis import given, settings

import derive
from derive import RULES, Cell, RuleDoesNotApply, State, Step, Vector
from tests.smt import Translation, can_differ, law
from tests.strategies import cells, gated_cells

CHOICES: dict[str, list[dict[str, Any]]] = {
    "normalize-state": [{}, {"center": True}],
    "squash-reads": [{}, {"activation": "softsign"}, {"activation": "identity"}],
    "reset-after": [{}, {"bias": True}],
    "add-peepholes": [{}, {"form": "diagonal"}],
    "rename": [],
}


def steps(cell: Cell) -> Iterator[Step]:
    for name in RULES:
        for options in CHOICES.get(name, [{}]):
            try:
                yield derive.apply(name, cell, **options)
            except RuleDoesNotApply:
                continue


@cache
def catalogued(cell: str) -> tuple[Step, ...]:
    return tuple(steps(derive.cell(cell)))


def test_every_rule_applies_somewhere() -> None:
    """Else the tests below would be empty for it."""
    found = {step.rule.name for cell in derive.catalogue() for step in catalogued(cell)}
    found |= {step.rule.name for step in derive.derivation("gru").steps}
    assert found == set(RULES)


@pytest.mark.parametrize("cell", derive.catalogue())
def test_laws_on_the_catalogue(cell: str) -> None:
    for step in catalogued(cell):
        assert law(step) == z3.unsat, step


@pytest.mark.parametrize("cell", ["gru", "peephole-lstm", "pseudo-lstm-d23"])
def test_laws_along_the_derivations(cell: str) -> None:
    derivation = derive.derivation(cell)
    assert derivation.steps
    for step in derivation.steps:
        assert law(step) == z3.unsat, step


@settings(max_examples=30)
@given(gated_cells())
def test_laws_on_gated_cells(cell: Cell) -> None:
    for step in steps(cell):
        assert law(step) == z3.unsat, step


@settings(max_examples=15)
@given(cells())
def test_laws_on_any_cells(cell: Cell) -> None:
    for step in steps(cell):
        assert law(step) == z3.unsat, step


@pytest.mark.parametrize("names", [{"s": "m"}, {"o": "r", "W_f": "V"}, {"s": "o", "o": "s"}])
def test_renaming_changes_nothing(names: dict[str, str]) -> None:
    step = derive.apply("rename", "prototype", names=names)
    assert law(step) == z3.unsat


def broken(step: Step, symbol: Vector, change: Any) -> Step:
    equations = dict(step.after.equations)
    equations[symbol] = change(equations[symbol])
    return dataclasses.replace(step, after=step.after.replace(equations=equations))


S = State("s")


def test_a_wrong_factor_is_found() -> None:
    """Gating what is carried and not what is written: a rewrite that looks right and is not."""
    incremental = derive.apply("write-incrementally", "vanilla").after
    step = derive.apply("gate-write", incremental)
    assert law(step) == z3.unsat
    i, candidate = Vector("i"), Vector("s_tilde")
    assert law(broken(step, S, lambda _: i * S.prev + 2 * i * candidate)) == z3.sat
    assert law(broken(step, S, lambda _: S.prev + (1 - i) * candidate)) == z3.sat


def test_a_wrong_read_is_found() -> None:
    step = derive.apply("read-after-write", "pseudo-lstm")
    h, o = State("h"), Vector("o")
    candidate = Vector("s_tilde")
    assert law(step) == z3.unsat
    ungated = broken(step, candidate, lambda e: e.xreplace({h.prev: o * h.prev}))
    assert law(ungated) == z3.sat


def test_a_wrong_agreement_is_found() -> None:
    step = derive.apply("gate-read", derive.apply("write-incrementally", "vanilla").after)
    half = {Vector("o"): sympy.Rational(1, 2)}
    assert law(dataclasses.replace(step, agreement=({}, half))) == z3.sat
    assert law(dataclasses.replace(step, agreement=({}, {}))) == z3.sat


def test_cells_of_the_catalogue_differ_without_a_substitution() -> None:
    """The translation does not identify what is different: no step of the derivations is without effect."""
    for name in ("lstm", "gru", "normalized-prototype"):
        for step in derive.derivation(name).steps:
            if step.rule.name != "rename":
                assert can_differ(Translation(step.before, {}), Translation(step.after, {})) == z3.sat
