"""The strategies draw what they say: well-formed cells in which things happen."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from derive import Cell, cell, evaluate
from tests.features import FEATURES, features
from tests.strategies import cells, gated_cells, numbers, smooth_cells

ROOT = Path(__file__).resolve().parent.parent
KINKED = {"relu", "hard_sigmoid"}
# What a derived cell never has.
FOREIGN_TO_GATED = {
    "three states",
    "no output",
    "bare bias",
    "shared parameter",
    "nested linear",
    "identity",
    "softplus",
}


def sample(strategy: st.SearchStrategy[Cell], count: int) -> list[Cell]:
    drawn: list[Cell] = []

    @settings(derandomize=True, max_examples=count, database=None, deadline=None)
    @given(strategy)
    def collect(cell: Cell) -> None:
        drawn.append(cell)

    collect()
    return drawn


@pytest.mark.parametrize(
    ("strategy", "lacks", "count"),
    [
        pytest.param(cells(), set(), 200, id="cells"),
        pytest.param(smooth_cells(), KINKED, 60, id="smooth"),
        pytest.param(gated_cells(), FOREIGN_TO_GATED, 100, id="gated"),
    ],
)
def test_each_feature_occurs(strategy: st.SearchStrategy[Cell], lacks: set[str], count: int) -> None:
    drawn = sample(strategy, count)
    counts = Counter(feature for cell in drawn for feature in features(cell))
    assert len(drawn) == count  # no draw was thrown away
    assert {feature for feature in FEATURES if counts[feature] < count // 40} == lacks
    assert not lacks & set(counts)
    assert len(set(drawn)) > count // 2


def test_the_features_of_a_known_cell() -> None:
    assert features(cell("peephole-lstm")) == {
        "two states",
        "states in another order",
        "input",
        "output is a state",
        "gates",
        "gated carry",
        "shadow state",
        "read after write",
        "bias",
        "elementwise product",
        "sigmoid",
        "tanh",
    }


@given(st.one_of(cells(), gated_cells()))
def test_numbers_fit_and_stay_tame(cell: Cell) -> None:
    params, inputs, state = numbers(cell, n=4, m=3, T=5, B=2, seed=7)
    assert {name: a.shape for name, a in params.items()} == {
        name: tuple({"n": 4, "m": 3}[axis] for axis in axes) for name, axes in cell.parameters.items()
    }
    assert inputs.shape == (5, 2, 3 if cell.inputs else 0)
    assert [s.shape for s in state] == [(2, 4)] * len(cell.states)
    outputs, final = evaluate(cell, params, inputs, state)
    assert all(np.isfinite(a).all() and np.abs(a).max(initial=0) < 1e6 for a in (outputs, *final))


def test_numbers_depend_on_the_seed_alone() -> None:
    gru = cell("gru")
    (p, x, s), (q, y, t), (r, _, _) = numbers(gru), numbers(gru), numbers(gru, seed=1)
    assert all(np.array_equal(p[name], q[name]) for name in p)
    assert np.array_equal(x, y)
    assert np.array_equal(s, t)
    assert not np.array_equal(p["W"], r["W"])
    assert numbers(gru, B=None)[1].shape == (4, 2)


def test_cells_shrink() -> None:
    """The smallest cell with some feature has little else."""
    quick = settings(
        derandomize=True, max_examples=50, database=None, suppress_health_check=list(HealthCheck)
    )
    small = find(cells(), lambda cell: "normalization" in features(cell), settings=quick)
    assert len(small.equations) <= 2
    assert len(small.parameters) <= 2


def test_draws_are_the_same_in_every_process() -> None:
    program = (
        "from tests.test_strategies import sample; from tests.strategies import cells, gated_cells\n"
        "print([hash_free for s in (cells(), gated_cells()) for hash_free in map(repr, sample(s, 5))])"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert len(ast.literal_eval(runs[0])) == 10
