"""Carries, writes, reads and gates are found: in the catalogue, by hand, and in random cells."""

import networkx as nx
import pytest
import sympy
from hypothesis import given
from sympy import Rational, S, sqrt

import derive
from derive import (
    Cell,
    Input,
    Parameter,
    State,
    Vector,
    hard_sigmoid,
    relu,
    sigmoid,
    softsign,
    tanh,
    variance,
)
from derive.anatomy import (
    Write,
    closing,
    depends_on,
    find_reads,
    gate_factors,
    gates,
    is_fraction,
    is_shadow,
    linear_part,
    map_reads,
    memories,
    mirrors_of,
    past_reads,
    readers,
    reads_shadow,
    states,
    without_carry,
    write,
)
from derive.symbols import Previous, affine_parameters, atoms
from tests.strategies import cells, gated_cells

s, h, c, x = State("s"), State("h"), State("c"), Input("x")
a, f, i, o, z, y, s_tilde = (Vector(name) for name in ("a", "f", "i", "o", "z", "y", "s_tilde"))
W, U, b = affine_parameters()
V, p = Parameter("V", "n", "n"), Parameter("p", "n")


@pytest.mark.parametrize(
    ("expr", "carry", "rest"),
    [
        (s.prev, S.One, S.Zero),
        (f * s.prev + i * s_tilde, f, i * s_tilde),
        ((1 - i) * s.prev + i * s_tilde, 1 - i, i * s_tilde),
        (-s.prev / 2, Rational(-1, 2), S.Zero),
        (f * (s.prev + s_tilde), f, f * s_tilde),
        (p * s.prev + f * s.prev, f + p, S.Zero),
        (tanh(s.prev), S.Zero, tanh(s.prev)),
        (W @ s.prev, S.Zero, W @ s.prev),
        (s.prev**2, S.Zero, s.prev**2),
        (f * s.prev + W @ s.prev, f, W @ s.prev),
        (tanh(s.prev) * s.prev, tanh(s.prev), S.Zero),
    ],
)
def test_linear_part(expr: sympy.Expr, carry: sympy.Expr, rest: sympy.Expr) -> None:
    assert linear_part(expr, s.prev) == (carry, rest)


@given(cells())
def test_linear_part_adds_up(cell: Cell) -> None:
    for expr in cell.equations.values():
        for past in (s.prev for s in states(cell)):
            carry, rest = linear_part(expr, past)
            assert sympy.expand(carry * past + rest - expr) == 0


@given(cells())
def test_a_write_is_its_equation(cell: Cell) -> None:
    """Carry and increment stand at the site; elementwise factors lead from the state to it."""
    for state in states(cell):
        found = write(cell, state)
        whole = found.carry * state.prev + found.increment
        assert sympy.expand(whole - cell.equations[found.site]) == 0
        assert found.via[0] == state
        assert found.is_incremental == (found in memories(cell))
        for above, below in zip(found.via, found.via[1:], strict=False):
            assert linear_part(cell.equations[above], below)[0] != 0


@pytest.mark.parametrize(
    ("name", "state", "carry", "increment"),
    [
        ("vanilla", s, S.Zero, tanh(W @ s.prev + U @ x + b)),
        ("prototype", s, f, i * s_tilde),
        ("gru", s, z, (1 - z) * s_tilde),
        ("lstm", c, f, i * Vector("c_tilde")),
        ("lstm", h, S.Zero, o * tanh(c)),
    ],
)
def test_writes_of_the_catalogue(name: str, state: State, carry: sympy.Expr, increment: sympy.Expr) -> None:
    assert write(derive.cell(name), state) == Write(state, state, carry, increment, (state,))


def test_a_write_through_an_intermediate() -> None:
    cell = derive.cell("normalized-prototype")
    found = write(cell, s)
    assert found == Write(s, a, f, i * s_tilde, (s, a), 1 / sqrt(variance(a) + 1))
    assert without_carry(cell, found, a) == f + i * s_tilde
    assert without_carry(cell, found, o) == cell.equations[o]


def test_states_are_in_the_order_of_the_layer() -> None:
    assert states(derive.cell("lstm")) == (h, c)
    assert [w.state for w in memories(derive.cell("lstm"))] == [c]
    assert memories(derive.cell("vanilla")) == ()


def test_shadow_states() -> None:
    cell = derive.cell("pseudo-lstm-d1")
    assert is_shadow(cell, h)
    assert not is_shadow(cell, c)
    assert not is_shadow(derive.cell("vanilla"), s)
    assert mirrors_of(cell, write(cell, c)) == (h,)
    assert reads_shadow(cell, write(cell, c))
    # h read by a gate alone is not read by the candidate
    aside = Cell(
        "aside",
        {
            o: sigmoid(W @ h.prev),
            c: c.prev + tanh(V @ c.prev),
            h: o * tanh(c),
        },
        output=h,
    )
    assert not reads_shadow(aside, write(aside, c))
    # a second layer is no shadow: it reads the first through a matrix
    stacked = Cell("stacked", {c: tanh(V @ c.prev), h: tanh(W @ h.prev + V @ c)}, output=h)
    assert not is_shadow(stacked, h)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("vanilla", ""),
        ("prototype", "i o f"),
        ("gru", "r z"),
        ("normalized-prototype", "i o f"),
        ("lstm", "i o f"),
        ("peephole-lstm", "i f o"),
    ],
)
def test_gates_of_the_catalogue(name: str, found: str) -> None:
    assert [g.name for g in gates(derive.cell(name))] == found.split()


def test_what_is_a_gate() -> None:
    cell = Cell(
        "mixed",
        {
            i: hard_sigmoid(U @ x),  # multiplies
            f: relu(U @ x),  # multiplies, but is no fraction
            o: sigmoid(U @ x + b),  # is a fraction, but multiplies nothing
            z: sigmoid(V @ s.prev),  # multiplies as 1 - z
            s: f * s.prev + i * tanh(W @ o + b) + (1 - z) * softsign(U @ x),
        },
        output=s,
    )
    assert gates(cell) == (i, z)
    assert [v.name for v in cell.equations if is_fraction(cell, v)] == ["i", "o", "z"]
    assert not is_fraction(cell, 1 - z)
    assert set(gate_factors(cell, f * i * (1 - z) * s.prev)) == {i, z}
    assert closing(cell, i * s_tilde) == {i: 0}
    assert closing(cell, (1 - z) * s_tilde) == {z: 1}
    assert closing(cell, s_tilde) == {}


def test_a_state_is_never_a_gate() -> None:
    cell = Cell("squashed", {s: sigmoid(W @ s.prev), y: s * tanh(s)}, output=y)
    assert gates(cell) == ()


def test_candidates() -> None:
    assert readers(derive.cell("lstm"), write(derive.cell("lstm"), c)) == (Vector("c_tilde"), c)
    inline = Cell("inline", {i: sigmoid(U @ x), s: s.prev + i * tanh(W @ s.prev)}, output=s)
    assert readers(inline, write(inline, s)) == (s,)
    deep = Cell("deep", {a: W @ s.prev, s_tilde: tanh(a), s: s.prev + s_tilde}, output=s)
    assert readers(deep, write(deep, s)) == (a, s_tilde, s)


def reads(name: str, state: State) -> list[tuple[str, str, str]]:
    cell = derive.cell(name)
    found = past_reads(cell, write(cell, state))
    return [(v.name, str(read), " ".join(g.name for g in around)) for v, read, around in found]


def test_reads_of_the_catalogue() -> None:
    assert reads("gru", s) == [("r", "s[t-1]", ""), ("z", "s[t-1]", ""), ("s_tilde", "s[t-1]", "r")]
    assert reads("pseudo-lstm-d2", s) == [
        ("o", "tanh(s[t-1])", ""),
        ("i", "tanh(s[t-1])", "o"),
        ("f", "tanh(s[t-1])", "o"),
        ("s_tilde", "tanh(s[t-1])", "o"),
    ]
    assert reads("lstm", c) == []
    assert reads("lstm", h) == [(name, "h[t-1]", "") for name in ("i", "o", "f", "c_tilde")]


def test_a_matrix_hides_the_gate_before_it() -> None:
    """In o ⊙ (W s') the gate multiplies the product, not the read."""
    cell = derive.apply("reset-after", "gru").after
    assert find_reads(cell, cell.equations[s_tilde], s.prev) == [(s.prev, ())]


def test_map_reads() -> None:
    cell = derive.cell("pseudo-lstm")
    expr = cell.equations[s_tilde]
    assert map_reads(cell, expr, s.prev, lambda read, _: read) == expr
    swapped = map_reads(cell, expr, s.prev, lambda read, around: s.prev if around == (o,) else read)
    assert swapped == expr.xreplace({tanh(s.prev): s.prev})


@given(cells())
def test_reads_are_all_there_is_beside_the_carry(cell: Cell) -> None:
    """Every read replaced, nothing of the state's past is left."""
    for state in states(cell):
        found = write(cell, state)
        for symbol in cell.equations:
            expr = without_carry(cell, found, symbol)
            left = map_reads(cell, expr, state.prev, lambda *_: S.Zero)
            assert state.prev not in atoms(left)


def test_depends_on() -> None:
    cell = derive.cell("prototype")
    assert depends_on(cell, s_tilde, s.prev)
    assert not depends_on(cell, s_tilde, s.prev, {o: S.Zero})
    assert depends_on(cell, s_tilde, s.prev, {o: S.One})
    assert depends_on(cell, s, x, {i: S.Zero})  # through the gates
    assert not depends_on(cell, s, x, {i: S.Zero, f: S.One})
    assert not depends_on(cell, s_tilde, Previous("h"))
    assert depends_on(derive.cell("lstm"), h, c)
    assert not depends_on(derive.cell("lstm"), h, c, {o: S.Zero})


@given(gated_cells())
def test_dependence_is_a_path_in_the_graph(cell: Cell) -> None:
    """With nothing held, depends_on is reachability by edges of lag 0."""
    graph = nx.DiGraph()
    graph.add_nodes_from(v.name for v in cell.equations)
    for u, v, data in cell.graph.edges(data=True):
        graph.add_edges_from([(u if use.lag == 0 else f"{u}[t-1]", v) for use in data["uses"]])
    for target in cell.equations:
        for source in cell.symbols.values():
            if isinstance(source, Vector | Previous | Input):
                reachable = source.name in graph and nx.has_path(graph, source.name, target.name)
                assert depends_on(cell, target, source) == reachable
