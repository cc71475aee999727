"""Certified eigenvalues against known ones, NumPy's, and Arb's own solver."""

import numpy as np
import pytest
from flint import acb_mat, arb, ctx

from derive.balls import balls, box, ends
from derive.dynamics import spectrum


def sizes(matrix: np.ndarray) -> np.ndarray:
    return np.sort(np.abs(np.linalg.eigvals(matrix)))[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_bounds_enclose_numpys_eigenvalues(seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(6, 6))
    with ctx.workprec(128):
        found = spectrum(balls(matrix))
    assert np.all(np.array(found.lower) - 1e-12 <= sizes(matrix))
    assert np.all(sizes(matrix) <= np.array(found.upper) + 1e-12)
    assert np.max(np.array(found.upper) - found.lower) < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_arbs_own_solver_agrees(seed: int) -> None:
    matrix = np.random.default_rng(seed).normal(size=(5, 5)) / 2
    with ctx.workprec(128):
        found = spectrum(balls(matrix))
        low, high = ends(
            np.array([abs(v) for v in acb_mat(matrix.tolist()).eig(multiple=True)], dtype=object)
        )
    assert np.all(np.array(found.lower) <= np.sort(high)[::-1])
    assert np.all(np.sort(low)[::-1] <= found.upper)


def test_verdicts() -> None:
    rotation = np.array([[0.6, -0.8], [0.8, 0.6]])
    with ctx.workprec(128):
        assert spectrum(balls(0.9 * rotation)).verdict == "stable"
        assert spectrum(balls(1.1 * rotation)).verdict == "unstable"
        assert spectrum(balls(np.diag([0.5, 1.5]))).verdict == "unstable"
        assert spectrum(balls(np.eye(2))).verdict == "unknown"
        assert spectrum(balls(np.array([[0.5, 100.0], [0.0, 0.4]]))).verdict == "stable"


def test_equal_eigenvalues_without_eigenvectors() -> None:
    """A Jordan block has one eigenvector: the bounds widen, and hold."""
    jordan = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]])
    with ctx.workprec(128):
        found = spectrum(balls(jordan))
    assert max(found.lower) <= 0.5 <= min(found.upper)


def test_every_matrix_of_a_box_is_enclosed() -> None:
    matrix = np.array([[0.2, 0.5], [-0.3, 0.6]])
    found = spectrum(box(matrix - 0.01, matrix + 0.01))
    rng = np.random.default_rng(0)
    for _ in range(50):
        inside = sizes(matrix + rng.uniform(-0.01, 0.01, (2, 2)))
        assert np.all((np.array(found.lower) <= inside) & (inside <= np.array(found.upper)))


def test_discs_that_touch_share_their_eigenvalues() -> None:
    """Discs |λ - 1| ≤ 2 and |λ - 2| ≤ 1/2: both eigenvalues may be in the first, so 1.5 bounds neither."""
    wide = box([[1.0, -2.0], [-0.5, 2.0]], [[1.0, 2.0], [0.5, 2.0]])
    found = spectrum(wide)
    member = sizes(np.array([[1.0, 2.0], [0.5, 2.0]]))
    np.testing.assert_allclose(member, [2.618, 0.382], atol=1e-3)
    assert np.all((np.array(found.lower) <= member) & (member <= np.array(found.upper)))
    assert found.verdict == "unknown"


def test_balls_without_bound_say_nothing() -> None:
    found = spectrum(np.array([[arb("nan")]], dtype=object))
    assert found.verdict == "unknown"
    assert found.upper == (np.inf,)


def test_empty_and_text() -> None:
    assert spectrum(balls(np.zeros((0, 0)))).radius == (0.0, 0.0)
    with ctx.workprec(128):
        text = str(spectrum(balls(np.array([[0.25]]))))
    assert text == "stable: the spectral radius is in [0.25, 0.25]"
