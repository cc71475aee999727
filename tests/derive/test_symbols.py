"""The Hadamard ring: SymPy's algebra works on cell expressions, and the opaque nodes stay opaque."""

import copy
import itertools
import os
import pickle  # noqa: TID251  symbols travel between processes; no weights here
import subprocess
import sys
from pathlib import Path

import pytest
import sympy
from hypothesis import given
from sympy import Rational

from derive import (
    Activated,
    Cell,
    Input,
    Linear,
    MeanMap,
    Parameter,
    State,
    Vector,
    mean,
    relu,
    sigmoid,
    tanh,
    variance,
)
from derive.symbols import (
    LinearMap,
    Previous,
    Quantity,
    affine_parameters,
    at_present,
    atoms,
    substitute,
)
from tests.strategies import cells

ROOT = Path(__file__).resolve().parent.parent.parent
s, c, x = State("s"), State("c"), Input("x")
f, i, z = Vector("f"), Vector("i"), Vector("z")
W, U, b = affine_parameters()


ALIKE = [
    Vector("s"),
    State("s"),
    Previous("s"),
    Input("s"),
    Input("s", "n"),
    Parameter("s"),
    Parameter("s", "n"),
    Parameter("s", "n", "n"),
    Parameter("s", "n", "m"),
    MeanMap("s"),
    LinearMap("s", "n", "n"),
    Quantity("s", "n"),
    State("s", "m"),
    Previous("s", "m"),
    sympy.Symbol("s"),
    sympy.Symbol("s", real=True),
    sympy.Symbol("s[t-1]", real=True),
]


@pytest.mark.parametrize(("p", "q"), list(itertools.combinations(ALIKE, 2)))
def test_quantities_differ_by_class_and_axes(p: sympy.Symbol, q: sympy.Symbol) -> None:
    assert p != q
    assert p - q != 0
    assert len({p, q}) == 2
    assert (p * q).subs(p, 2) == 2 * q


@pytest.mark.parametrize("q", [q for q in ALIKE if isinstance(q, Quantity)], ids=sympy.srepr)
def test_a_quantity_made_again_is_equal(q: Quantity) -> None:
    for twin in (type(q)(q.label, *q.axes), copy.copy(q), copy.deepcopy(q), pickle.loads(pickle.dumps(q))):
        assert twin == q
        assert hash(twin) == hash(q)
        assert twin.axes == q.axes
        assert type(twin) is type(q)
        assert twin - q == 0


def test_default_axes() -> None:
    assert [q.axes for q in (Vector("v"), s, s.prev, x, MeanMap())] == [
        ("n",),
        ("n",),
        ("n",),
        ("m",),
        ("n", "n"),
    ]
    assert [p.axes for p in (W, U, b)] == [("n", "n"), ("n", "m"), ("n",)]
    assert [p.name for p in affine_parameters("i")] == ["W_i", "U_i", "b_i"]
    assert State("M", "slots", "width").prev.axes == ("slots", "width")


def test_the_past_of_a_state() -> None:
    assert s.prev == Previous("s") == Previous("s[t-1]")
    assert s.prev.state == s
    assert (s.prev.name, s.prev.label, s.label) == ("s[t-1]", "s", "s")
    assert s.prev != s
    assert not isinstance(s.prev, State)
    assert not hasattr(Vector("v"), "prev")


@pytest.mark.parametrize("wrong", [(3,), (None,), ("v", 3), (s,)], ids=repr)
def test_names_and_axes_are_strings(wrong: tuple[object, ...]) -> None:
    for kind in (Vector, State, Input, Parameter):
        with pytest.raises(TypeError, match="takes strings"):
            kind(*wrong)


def test_the_ring_is_commutative_and_distributes() -> None:
    candidate = tanh(W @ (z * s.prev) + U @ x + b)
    write = z * s.prev + (1 - z) * candidate
    assert sympy.expand(write) == z * s.prev + candidate - z * candidate
    assert (W @ s) * f == f * (W @ s)
    assert f * s.prev * i == i * f * s.prev
    assert sympy.expand((f - i) * (f + i)) == f**2 - i**2
    assert sympy.expand((W @ s + b) ** 2) == (W @ s) ** 2 + 2 * b * (W @ s) + b**2


def test_collect_finds_the_carry() -> None:
    candidate = tanh(W @ (z * s.prev) + b)
    write = sympy.expand((z + i) * s.prev + (1 - z) * (candidate - s.prev))
    carry = sympy.collect(write, s.prev, evaluate=False)
    assert sympy.expand(carry[s.prev] - (2 * z + i - 1)) == 0
    # the read inside the candidate is not part of it
    assert sympy.expand(carry[sympy.S.One] - (1 - z) * candidate) == 0
    assert write.coeff(s.prev) == 2 * z + i - 1


def test_collect_by_an_opaque_node() -> None:
    a = tanh(W @ s.prev)
    assert sympy.collect(f * a + i * a + b, a) == a * (f + i) + b
    assert sympy.collect(f * (W @ s) - i * (W @ s), W @ s) == (f - i) * (W @ s)
    assert sympy.factor(f * a + f * b) == f * (a + b)
    assert sympy.Poly(a**2 * f + a, a).coeffs() == [f, 1]


def test_solve_and_differentiate_between_linear_maps() -> None:
    a = W @ s.prev
    assert sympy.solve(f * s.prev + i * a - c, f) == [(c - i * a) / s.prev]
    assert sympy.diff(z * s.prev + (1 - z) * f, z) == s.prev - f
    # nothing pretends to know the derivative across a linear map or an activation
    assert sympy.diff(a, s.prev) == sympy.Derivative(a, s.prev)
    assert sympy.diff(tanh(s.prev), s.prev).has(sympy.Derivative)


def test_opaque_nodes_do_not_open() -> None:
    assert sympy.expand(W @ (s + c)) == W @ (s + c) != W @ s + W @ c
    assert sympy.expand(W @ (f * (s + c))) == W @ (f * s + f * c)  # expand works inside, too
    assert W @ (2 * s) != 2 * (W @ s)
    assert tanh(-s) != -tanh(s)
    assert tanh(s) != sigmoid(s)
    assert tanh(s) != sympy.tanh(s)
    assert tanh(0 * s) == Activated(tanh, 0) != 0
    assert sympy.simplify(tanh(s) * W.name.__len__()) == tanh(s)


def test_equal_nodes_are_equal() -> None:
    assert W @ (f * s) == W @ (s * f)
    assert hash(W @ (f * s)) == hash(W @ (s * f))
    assert tanh(b + W @ s) == tanh(W @ s + b)
    assert W @ s - W @ s == 0
    assert W @ s != U @ s
    assert (W @ s).is_real
    assert tanh(s).is_real
    assert (W @ s).is_commutative


@pytest.mark.parametrize(
    "node", [W @ (f * s.prev), tanh(W @ s + b), variance(s), relu(mean(x, "m"))], ids=str
)
def test_nodes_survive_a_copy(node: sympy.Expr) -> None:
    for twin in (copy.deepcopy(node), pickle.loads(pickle.dumps(node)), node.func(*node.args)):
        assert twin == node
        assert hash(twin) == hash(node)
        assert twin - node == 0


def test_parts_of_nodes() -> None:
    linear, activated = W @ (f * s), tanh(b)
    assert (linear.map, linear.vector) == (W, f * s)
    assert (activated.activation, activated.argument) == (tanh, b)
    assert (str(W @ s), str(activated)) == ("W(s)", "tanh(b)")


@pytest.mark.parametrize(
    "wrong", ["s", None, [s], (s, s), True, s > 0, object()], ids=lambda v: type(v).__name__
)
def test_what_is_no_vector_is_refused_at_once(wrong: object) -> None:
    with pytest.raises(TypeError, match=r"W @ v takes an expression of vectors as v, not the "):
        W @ wrong
    with pytest.raises(TypeError, match=r"tanh\(v\) takes an expression of vectors as v, not the "):
        tanh(wrong)


def test_strings_are_not_run_as_code() -> None:
    with pytest.raises(TypeError, match="not the str"):
        tanh("__import__('os').getpid()")


@pytest.mark.parametrize("left", [s, 2, s + c], ids=str)
def test_a_matrix_on_the_right_is_refused(left: object) -> None:
    with pytest.raises(TypeError, match="write the matrix on the left, W @ vector"):
        left @ W


def test_maps_and_activations_must_be_ones() -> None:
    with pytest.raises(TypeError, match="takes a Parameter as its map, not 'W'"):
        Linear("W", s)
    with pytest.raises(TypeError, match="takes an Activation such as tanh, not 'tanh'"):
        Activated("tanh", s)


def test_mean_and_variance() -> None:
    assert mean(s) == Linear(MeanMap(), s)
    assert variance(s) == mean((s - mean(s)) ** 2)
    assert mean(x, "m").map.axes == ("m", "m")
    assert mean(x, "m").map.name != mean(s).map.name  # both in one cell are two quantities


def test_atoms_sees_inside_everything() -> None:
    assert atoms(tanh(W @ (f * s.prev) + U @ x + b) / 2) == {W, U, b, f, s.prev, x}
    assert atoms(variance(s)) == {s, MeanMap()}


def test_substitute_is_simultaneous_and_deep() -> None:
    assert substitute(f * tanh(W @ i), {f: i, i: f}) == i * tanh(W @ f)
    assert (
        substitute(W @ s.prev + b, {b: 0, W: Parameter("V", "n", "n")}) == Parameter("V", "n", "n") @ s.prev
    )
    assert substitute(z + i, {z: 1 - i}) == 1
    assert substitute(s.prev + s, {s: c}) == s.prev + c


def test_at_present() -> None:
    assert at_present(tanh(W @ s.prev + U @ x) + c.prev * Rational(1, 2)) == tanh(W @ s + U @ x) + c / 2


@given(cells())
def test_expand_is_the_same_function(cell: Cell) -> None:
    """What SymPy does to an expression does not depend on what is inside an opaque node."""
    for expr in cell.equations.values():
        nodes = {n: sympy.Dummy(real=True) for n in expr.atoms(Linear, Activated) if not _inside(n, expr)}
        flat = expr.xreplace(nodes)
        back = {dummy: sympy.expand(node) for node, dummy in nodes.items()}
        assert sympy.expand(expr) == sympy.expand(flat).xreplace(back)


def _inside(node: sympy.Expr, expr: sympy.Expr) -> bool:
    return any(node != outer and outer.has(node) for outer in expr.atoms(Linear, Activated))


SHOW_ALL = """
import derive
for name in derive.catalogue():
    cell = derive.cell(name)
    print(cell, repr(cell), cell.latex(), cell.parameters, list(cell.symbols), sep="\\n")
    print([derive.cell(name).replace(name="x").equations[v] for v in cell.equations])
    print(sorted(cell.graph.edges(data=True), key=str))
s, W = derive.State("s"), derive.Parameter("W", "n", "n")
print((s + s.prev) * (s.prev - s) + W @ s - W @ s.prev, derive.tanh(s) + derive.sigmoid(s) + derive.relu(s))
"""


def test_order_does_not_depend_on_the_hash_seed() -> None:
    shown = []
    for seed in ("0", "4711"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-W", "error", "-c", SHOW_ALL]
        run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        shown.append(run.stdout)
    assert shown[0].count("Cell(") == 13
    assert shown[0] == shown[1]
