"""What a rule is: options, refusals, promises, steps; every rule on every cell of the catalogue, as text."""

import dataclasses
import pickle  # noqa: TID251  steps travel between processes; no weights here
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import derive
from derive import RULES, Cell, Claim, Input, Rule, RuleDoesNotApply, State, Step, UnknownRule, Vector
from derive.anatomy import write
from derive.claims.carry import carries_at
from derive.errors import AlreadyHolds, BrokenPromise, DeriveError
from derive.evaluate import value
from derive.rule import Rewrite, agree, rule, rules
from derive.symbols import Parameter, Previous, Quantity
from tests.strategies import cells, gated_cells, numbers

s, i, s_tilde = State("s"), Vector("i"), Vector("s_tilde")
CHOICES: dict[str, list[dict[str, Any]]] = {
    "normalize-state": [{}, {"center": True}],
    "squash-reads": [{}, {"activation": "relu"}],
    "reset-after": [{}, {"bias": True}],
    "add-peepholes": [{}, {"form": "diagonal"}],
    "rename": [{"names": {"s": "state"}}, {"names": {"h": "shadow", "x": "u"}}],
}


def report(name: str, cell: str, options: dict[str, Any]) -> str:
    title = f"{cell}  {options}" if options else cell
    try:
        step = derive.apply(name, cell, **options)
    except RuleDoesNotApply as refusal:
        kind = "already" if isinstance(refusal, AlreadyHolds) else "no"
        return f"{title}\n  {kind}: {refusal}"
    gone, came = step.changes()
    lines = [*(f"- {line}" for line in gone), *(f"+ {line}" for line in came), *map(str, step.claims)]
    return "\n  ".join([title, *lines])


@pytest.mark.parametrize("name", sorted(RULES))
def test_what_a_rule_makes_of_the_catalogue(name: str, golden: Callable[[str, str], None]) -> None:
    told = RULES[name]
    head = f"{told}\nif {told.condition}\nbuys {told.buys}\n"
    parts = [
        report(name, cell, options) for cell in derive.catalogue() for options in CHOICES.get(name, [{}])
    ]
    golden(f"derivations/rules/{name}.txt", "\n".join([head, *parts]) + "\n")


# the mapping of the rules


def test_the_rules_by_name() -> None:
    assert len(RULES) == len(set(RULES)) == 14
    assert all(RULES[name].name == name for name in RULES)
    assert rule("rename") is RULES["rename"] is rule(RULES["rename"])
    assert "gate-write" in repr(RULES)
    for told in RULES.values():
        assert all([told.law, told.condition, told.reason, told.buys])
        assert told.rewrite.__doc__, told.name


def test_an_unknown_rule() -> None:
    with pytest.raises(UnknownRule, match=r"unknown rule 'gate-wrte'; did you mean 'gate-write'") as caught:
        derive.apply("gate-wrte", "vanilla")
    assert isinstance(caught.value, KeyError)
    with pytest.raises(UnknownRule, match=r"unknown rule 'zzz'\. The rules: .*normalize-state"):
        rule("zzz")


def test_unknown_options() -> None:
    with pytest.raises(
        UnknownRule,
        match=r"gate-write has no option 'gates'; did you mean 'gate' or 'state'\? Options: state, gate",
    ):
        derive.apply("gate-write", "vanilla", gates="i")
    with pytest.raises(UnknownRule, match=r"normalize-state: center=1\.5\. Choices: \[False, True\]"):
        derive.apply("normalize-state", "prototype", center=1.5)
    with pytest.raises(UnknownRule, match=r"gate-write has no option 'name'"):
        derive.apply("gate-write", "prototype", name="i")


def test_options_that_name_things_are_free() -> None:
    step = derive.apply("gate-write", derive.apply("write-incrementally", "vanilla").after, gate="input_gate")
    assert step.options == {"gate": "input_gate"}
    assert step.after.parameters.keys() >= {"W_input_gate", "U_input_gate", "b_input_gate"}


# promises


def gate_nothing(cell: Cell) -> Rewrite:
    """A rule that promises to close the write and gates the carry."""
    target = write(cell, s)
    equations = dict(cell.equations) | {s: i * s.prev + target.increment}
    gated = {i: derive.sigmoid(derive.Parameter("W_i", "n", "n") @ s.prev), **equations}

    def claims(done: Cell) -> Iterator[Claim]:
        yield carries_at(done, s, {i: 0})

    return Rewrite(cell.replace(equations=gated), agree(after={i: 1}), claims)


def test_a_broken_promise_is_an_error() -> None:
    liar = Rule("liar", "s ⟶ s", "none", "none", "at i = 0 nothing is written", gate_nothing)
    cell = derive.apply("write-incrementally", "vanilla").after
    with pytest.raises(BrokenPromise, match=r"liar on vanilla: at i = 0 the step returns s unchanged: "):
        liar.apply(cell)


def test_an_unknown_promise_is_none() -> None:
    def unsure(cell: Cell) -> Rewrite:
        claim = Claim("maybe", "perhaps", "unknown", "none")
        return Rewrite(cell, agree(), lambda _: [claim])

    step = Rule("unsure", "s ⟶ s", "none", "none", "perhaps", unsure).apply(derive.cell("gru"))
    assert [claim.status for claim in step.claims] == ["unknown"]


def test_what_no_method_decides_is_told_as_unknown() -> None:
    """A rule that promises something never comes without a claim."""
    (claim,) = derive.apply("normalize-state", "prototype").claims
    assert (claim.status, claim.statement) == ("unknown", RULES["normalize-state"].buys)
    assert not claim.recheck()
    assert derive.apply("rename", "gru", names={"s": "h"}).claims == ()


def test_promises_of_the_catalogue_are_rechecked() -> None:
    claims = [c for name in derive.catalogue() for step in derive.derivation(name).steps for c in step.claims]
    proved = [c for c in claims if c.status == "proved"]
    assert len(proved) > 40
    assert all(c.certificate is not None and c.recheck() for c in proved)
    undecided = {c.name for c in claims if c.status != "proved"}
    assert undecided == {"normalize-state", "gate-gate-reads"}  # through a shadow state: of the last step


# any cell


def check(name: str, cell: Cell, options: dict[str, Any]) -> bool:
    """A rule either refuses with the equation at fault, or keeps its promises and its law."""
    refusal: RuleDoesNotApply | None = None
    try:
        step = derive.apply(name, cell, **options)
    except RuleDoesNotApply as error:
        refusal = error
    if refusal is not None:
        assert refusal.at in cell.equations
        assert str(refusal).endswith(f"\n  at: {cell.line(refusal.at)}")
        assert str(refusal).startswith(f"{cell.name}: ")
        return False
    assert step.before == cell
    assert all(claim.status != "refuted" for claim in step.claims)
    assert all(claim.recheck() for claim in step.claims if claim.status == "proved")
    assert_agreement(step)
    return True


def assert_agreement(step: Step) -> None:
    """The law by numbers: both cells, with its substitutions made, take the same step."""
    params, x, state = numbers(step.before, B=None)
    new = numbers(step.after, B=None, seed=1)
    params = {p: params.get(p, new[0].get(p)) for p in {**params, **new[0]}}
    names = {**step.before.symbols, **step.after.symbols}
    past = dict(zip(step.before.states, state, strict=True))
    past |= {q: v for q, v in zip(step.after.states, new[2], strict=True) if q not in past}
    with np.errstate(all="ignore"):
        results = [
            one_step(cell, values, names, params, x[0], past)
            for cell, values in zip((step.before, step.after), step.agreement, strict=True)
        ]
    common = [state_ for state_ in step.before.states if state_ in step.after.symbols]  # others nobody reads
    assert common
    for state_ in common:
        np.testing.assert_allclose(results[1][state_], results[0][state_], rtol=1e-7, atol=1e-7)
    if step.before.output and step.after.output:
        shown = [r[c.output] for r, c in zip(results, (step.before, step.after), strict=True)]
        np.testing.assert_allclose(shown[1], shown[0], rtol=1e-7, atol=1e-7)


def one_step(cell: Cell, values: Any, names: dict[str, Quantity], params: Any, x: Any, past: Any) -> Any:
    env: dict[Quantity, Any] = {names[p]: array for p, array in params.items()}
    env |= {Input(name, *cell.axes(name)): x for name in cell.inputs}
    env |= {Previous(q, *cell.axes(q)): past[q] for q in cell.states}
    constants = {v for v in values.values() if v.is_Number}
    arrays = {v: Parameter(f"all {v}", "n") for v in constants}  # W @ 0 has no axes
    env |= {p: np.full(3, float(v)) for v, p in arrays.items()}
    values = {k: arrays.get(v, v) for k, v in values.items()}
    for symbol, expr in cell.equations.items():
        env[symbol] = np.broadcast_to(value(expr.xreplace(values), env), (3,))
    return {symbol.name: env[symbol] for symbol in cell.equations}


@given(cells())
def test_every_rule_on_any_cell(cell: Cell) -> None:
    for name in RULES:
        if name != "rename":
            for options in CHOICES.get(name, [{}]):
                check(name, cell, options)


@given(gated_cells())
def test_every_rule_on_gated_cells(cell: Cell) -> None:
    applied = {name: check(name, cell, {}) for name in RULES if name != "rename"}
    assert any(applied.values())


def test_the_agreement_by_numbers_finds_a_wrong_one() -> None:
    step = derive.apply("gate-read", derive.apply("write-incrementally", "vanilla").after)
    assert_agreement(step)
    with pytest.raises(AssertionError):
        assert_agreement(dataclasses.replace(step, agreement=({}, {})))


# steps


def test_a_step_travels() -> None:
    step = derive.apply("couple-forget-to-write", "prototype")
    again = pickle.loads(pickle.dumps(step))
    assert (again.rule, again.before, again.after) == (step.rule, step.before, step.after)
    assert again.claims == step.claims
    assert all(claim.recheck() for claim in again.claims)
    named = derive.apply("rename", "gru", names={"r": "o"})
    assert pickle.loads(pickle.dumps(named)).after == named.after


def test_a_step_as_text() -> None:
    assert str(derive.apply("gate-output", "gru")) == (
        "gate-output: yₜ = ρ(sₜ)  ⟶  yₜ = oₜ ⊙ ρ(sₜ)\n  - output: sₜ\n  + yₜ = rₜ ⊙ sₜ\n  + output: yₜ"
    )


def test_a_refusal_is_no_usage_error() -> None:
    assert issubclass(RuleDoesNotApply, DeriveError)
    assert not issubclass(RuleDoesNotApply, KeyError)


# adding a rule is adding a file

NEW_RULE = """
from derive.rule import Rewrite, Rule, agree
from derive.symbols import Input, Parameter


def forget_the_input(cell, slowly=False):
    inputs = {cell.symbols[p]: 0 for p in cell.parameters}
    return Rewrite(cell.replace(title="unchanged"), agree(), lambda _: [])


RULES = (
    Rule(
        name="leave-alone",
        law="s ⟶ s",
        condition="none",
        reason="A test.",
        buys="nothing",
        rewrite=forget_the_input,
        options={"slowly": (False, True)},
        search=(),
    ),
)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import derive.rules

    monkeypatch.setattr(derive.rules, "__path__", [*derive.rules.__path__, str(tmp_path)])
    rules.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    rules.cache_clear()


def test_adding_a_rule_is_adding_a_file(folder: Path) -> None:
    assert "leave-alone" not in RULES
    (folder / "temporary_family.py").write_text(NEW_RULE, encoding="utf-8")
    rules.cache_clear()
    assert "leave-alone" in RULES
    step = derive.apply("leave-alone", "lstm", slowly=True)
    assert step.after.title == "unchanged"
    with pytest.raises(UnknownRule, match=r"did you mean 'leave-alone'"):
        rule("leave-along")
    with pytest.raises(UnknownRule, match=r"slowly='yes'\. Choices: \[False, True\]"):
        derive.apply("leave-alone", "lstm", slowly="yes")


def test_the_file_is_gone_again() -> None:
    assert "leave-alone" not in RULES
