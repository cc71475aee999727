"""Sums of gradients: the numbers that the reverse step itself gives, and as few names as possible."""

import numpy as np
import pytest
import sympy

from codegen.loop import Mean
from codegen.plan import Assignment
from codegen.writing.gradient_terms import GradientTerms
from tests.codegen.writing.steps import CELLS, steps
from tests.loops import Env, LoopRun


def reverse_step(run: LoopRun) -> Env:
    """All values of one step back, with random gradients arriving."""
    loop, sizes = run.loop, run.sample.sizes
    rng = np.random.default_rng(0)
    env = run.at_hand(1)
    run.count.statements(loop.backward.recomputed, env, sizes)
    given = [*loop.backward.carried.values(), *loop.backward.arriving.values()]
    env |= {q: rng.normal(size=(*run.batch, sizes[q.axes[0]])) for q in given}
    run.count.statements(loop.backward.statements, env, sizes)
    return env


@pytest.mark.parametrize("sink", [False, True], ids=["outside", "sunk"])
@pytest.mark.parametrize("name", CELLS)
def test_terms_add_up_to_the_gradient(name: str, sink: bool) -> None:
    some = steps(name, sink=sink)
    run, back = some.run, some.loop.backward
    env = reverse_step(run)
    linear = GradientTerms(some.loop, some.operator.names)

    def total(terms) -> np.ndarray:
        values = [env[q] * run.count.formula(factor, env) for q, factor in terms]
        return sum(values, np.zeros(()))

    statements = {s.symbol: s for s in back.statements if isinstance(s, Assignment | Mean)}
    assert linear.of.keys() <= statements.keys()
    for symbol, terms in linear.of.items():
        found = np.broadcast_to(total(terms), env[symbol].shape)
        if isinstance(statements[symbol], Mean):
            found = np.broadcast_to(found.mean(-1, keepdims=True), found.shape)
        np.testing.assert_allclose(found, env[symbol], rtol=1e-11, atol=1e-13, err_msg=str(symbol))
        for quantity, factor in terms:
            assert quantity in linear.gradients
            assert not factor.atoms(*map(type, linear.gradients)) & linear.gradients
    for constant, expr in back.sums.items():
        found = np.broadcast_to(total(linear.of_sum(expr)), env[next(iter(back.carried.values()))].shape)
        expected = np.broadcast_to(run.count.formula(expr, env), found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13, err_msg=str(constant))


def test_what_is_a_result_keeps_its_name_and_what_is_only_on_the_way_loses_it() -> None:
    some = steps("gru")
    back = some.loop.backward
    linear = GradientTerms(some.loop, some.operator.names)
    results = {*back.of_previous.values(), *back.of_blocks.values()}
    results |= {q for parts in back.of_parts.values() for q in parts}
    named = {s.symbol for s in back.statements if isinstance(s, Assignment)}
    assert results & named <= linear.of.keys()
    assert {q.name for q in named - linear.of.keys()} == {"d_s_tilde", "d_r", "d_z"}


def test_a_gradient_that_does_not_exist_has_no_terms() -> None:
    linear = GradientTerms(steps("gru").loop, steps("gru").operator.names)
    assert linear.of_sum(sympy.S.Zero) == []
