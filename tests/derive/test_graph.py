"""The data-flow graph: exact on known cells, and on random cells the same as numbers say."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from derive import Cell, Input, Parameter, State, Vector, cell, mean, sigmoid, tanh
from derive.evaluate import value
from derive.graph import Use, uses
from derive.symbols import Previous, Quantity, affine_parameters
from tests.strategies import cells, gated_cells, numbers

s, x = State("s"), Input("x")
W, U, b = affine_parameters()


def edges(cell: Cell) -> dict[tuple[str, str], list[tuple[int, str]]]:
    """(from, to) → the uses, each as its lag and the maps it goes through."""
    return {
        (u, v): [(use.lag, " ".join(use.through)) for use in d["uses"]]
        for u, v, d in cell.graph.edges(data=True)
    }


def test_vanilla() -> None:
    assert edges(cell("vanilla")) == {("s", "s"): [(1, "W")], ("x", "s"): [(0, "U")]}


def test_gru() -> None:
    assert edges(cell("gru")) == {
        ("s", "r"): [(1, "W_r")],
        ("x", "r"): [(0, "U_r")],
        ("s", "z"): [(1, "W_z")],
        ("x", "z"): [(0, "U_z")],
        ("s", "s_tilde"): [(1, "W")],
        ("r", "s_tilde"): [(0, "W")],
        ("x", "s_tilde"): [(0, "U")],
        ("s", "s"): [(1, "")],
        ("z", "s"): [(0, "")],
        ("s_tilde", "s"): [(0, "")],
    }


def test_lstm() -> None:
    gates = {(u, v): w for v in "iof" for u, w in (("h", [(1, f"W_{v}")]), ("x", [(0, f"U_{v}")]))}
    assert edges(cell("lstm")) == gates | {
        ("h", "c_tilde"): [(1, "W")],
        ("x", "c_tilde"): [(0, "U")],
        ("c", "c"): [(1, "")],
        ("f", "c"): [(0, "")],
        ("i", "c"): [(0, "")],
        ("c_tilde", "c"): [(0, "")],
        ("o", "h"): [(0, "")],
        ("c", "h"): [(0, "")],
    }


def test_a_peephole_sees_the_state_just_written() -> None:
    found = edges(cell("peephole-lstm"))
    assert found["c", "o"] == [(0, "P_o")]
    assert found["c", "i"] == [(1, "P_i")]
    assert found["c", "f"] == [(1, "P_f")]


def test_normalization() -> None:
    found = cell("normalized-prototype").graph.edges["a", "s"]
    assert found["uses"] == (Use(0, ()), Use(0, ("mean",)), Use(0, ("mean", "mean")))
    assert (found["lag"], found["kind"]) == (0, "mixed")
    assert [use.kind for use in found["uses"]] == ["elementwise", "linear", "linear"]


def test_nested_maps_are_listed_outermost_first_and_lags_are_kept_apart() -> None:
    V, f = Parameter("V", "n", "n"), Vector("f")
    odd = Cell(
        "odd",
        {s: tanh(W @ tanh(V @ s.prev + s.prev)) + s.prev, f: sigmoid(W @ s) * s.prev * mean(s)},
        output=f,
    )
    assert edges(odd) == {
        ("s", "s"): [(1, ""), (1, "W"), (1, "W V")],
        ("s", "f"): [(0, "W"), (0, "mean"), (1, "")],
    }
    kinds = {e: (d["kind"], d["lag"]) for e, d in odd.graph.edges.items()}
    assert kinds == {("s", "s"): ("mixed", 1), ("s", "f"): ("mixed", 0)}


def test_nodes() -> None:
    nodes = dict(cell("pseudo-lstm-d1").graph.nodes(data=True))
    kinds = {name: data["kind"] for name, data in nodes.items()}
    assert kinds == dict.fromkeys(("i", "o", "f", "c_tilde", "y"), "vector") | {
        "h": "state",
        "c": "state",
        "x": "input",
    }
    assert {name for name, data in nodes.items() if data["output"]} == {"y"}
    assert nodes["x"]["axes"] == ("m",)
    assert nodes["c"]["axes"] == ("n",)


def test_parameters_are_no_nodes() -> None:
    assert set(cell("vanilla").graph) == {"s", "x"}
    assert list(uses(W @ s + b)) == [(s, Use(0, ("W",)))]


def test_the_graph_is_frozen_and_made_once() -> None:
    gru = cell("gru")
    assert gru.graph is gru.graph
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        gru.graph.add_edge("r", "z")
    gru.graph.copy().remove_node("r")
    assert "r" in gru.graph


@given(cell=st.one_of(cells(), gated_cells()), seed=st.integers(0, 99))
def test_numbers_say_the_same(cell: Cell, seed: int) -> None:
    """Perturb one vector at a time; exactly the equations that read it, by the graph, may change.

    A kinked or saturated activation can hide a read at a single point, so a few points are tried, and a read
    counts as seen if any of them shows it.
    """
    seen: set[tuple[str, str, int]] = set()
    for trial in range(3):
        seen |= _perturbed(cell, 1000 * trial + seed)
    reads = {(u, v, use.lag) for u, v, d in cell.graph.edges(data=True) for use in d["uses"]}
    assert seen <= reads
    hidden = {(u, v, lag) for u, v, lag in reads - seen if not _may_hide(cell)}
    assert hidden == set()


def _may_hide(cell: Cell) -> bool:
    return any(name in repr(cell) for name in ("relu", "hard_sigmoid"))


def _perturbed(cell: Cell, seed: int) -> set[tuple[str, str, int]]:
    rng = np.random.default_rng(seed)
    params, inputs, state = numbers(cell, n=3, m=2, T=1, B=None, seed=seed)
    env: dict[Quantity, np.ndarray] = {cell.symbols[name]: p for name, p in params.items()}
    env |= {cell.symbols[name]: inputs[0] for name in cell.inputs}
    env |= {Previous(name): v for name, v in zip(cell.states, state, strict=True)}
    env |= {v: rng.uniform(-0.9, 0.9, 3) for v in cell.equations}
    before = {v: value(expr, env) for v, expr in cell.equations.items()}
    found = set()
    for q in [q for q in env if not isinstance(q, Parameter)]:
        moved = env | {q: env[q] + rng.uniform(0.1, 0.3, env[q].shape)}
        for v, expr in cell.equations.items():
            if np.abs(value(expr, moved) - before[v]).max() > 1e-12:
                found.add((q.label, v.name, int(isinstance(q, Previous))))
    return found
