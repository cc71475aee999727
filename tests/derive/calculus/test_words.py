"""Words as linear functions: products, sums, and how they are written."""

import itertools

import numpy as np
import pytest
import sympy
from sympy import Rational

from derive import Input, Linear, MeanMap, Parameter, State, Vector, jacobian, mean
from derive.calculus.words import Tail, Word, added, collected
from derive.evaluate import value

W, V = Parameter("W", "n", "n"), Parameter("V", "n", "n")
f, g, s = Vector("f"), Vector("g"), State("s")
M = MeanMap()
ENV = {q: np.random.default_rng(k).normal(size=[3] * len(q.axes)) for k, q in enumerate((W, V, f, g, s))}


def matrix(word: Word) -> np.ndarray:
    """The word's matrix, by matrix products."""
    maps = {W: ENV[W], V: ENV[V], M: np.full((3, 3), 1 / 3)}
    total = np.eye(3)
    for k, coefficient in enumerate(word.coefficients):
        total = total @ np.diag(np.broadcast_to(value(coefficient, ENV), 3))
        total = total @ maps[word.maps[k]] if k < len(word.maps) else total
    return total


WORDS = (
    Word((sympy.S.One,)),
    Word((f,)),
    Word((f * (1 - f), g), (W,)),
    Word((sympy.S.One, f, g), (V, W)),
    Word((2 * f, 1 - g), (M,)),
    Word((f, g, s, f), (M, W, M)),
)


@pytest.mark.parametrize("word", WORDS, ids=str)
def test_applied_is_the_product_with_a_vector(word: Word) -> None:
    np.testing.assert_allclose(value(word.applied(s), ENV), matrix(word) @ ENV[s], rtol=1e-13)


@pytest.mark.parametrize(("one", "other"), list(itertools.product(WORDS, WORDS)), ids=str)
def test_after_is_the_product_of_matrices(one: Word, other: Word) -> None:
    product = one.after(other)
    assert len(product.coefficients) == len(product.maps) + 1
    np.testing.assert_allclose(matrix(product), matrix(one) @ matrix(other), rtol=1e-12, atol=1e-14)


def test_after_keeps_the_operand_of_the_word_applied_first() -> None:
    by_matrix = Word((f,), operand=s)
    assert Word((g, f), (W,)).after(by_matrix) == Word((g, f**2), (W,), operand=s)


def test_anatomy_of_a_word() -> None:
    word = Word((f, g), (W,))
    assert word.leading == f
    assert word.tail == Tail((W,), (g,))
    assert not word.is_diagonal
    assert Word((f,)).is_diagonal
    assert not Word((f,), operand=s).is_diagonal


def test_words_with_equal_tails_add_up() -> None:
    terms = added([{Tail((W,), (f,)): g}, {Tail((W,), (f,)): 1 - g}, {Tail((V,), (f,)): g}, {Tail(): -g}])
    found = collected(terms)
    assert found == (Word((-g,)), Word((g, f), (V,)), Word((sympy.S.One, f), (W,)))


def test_words_meet_however_their_coefficients_are_written() -> None:
    """(1 - f)(1 + f), 1 - f² and 2f² - 2 are one coefficient but for a number."""
    terms = {
        Tail((W,), ((1 - f) * (1 + f),)): g,
        Tail((W,), (1 - f**2,)): g,
        Tail((W,), (2 * f**2 - 2,)): g / 2,
    }
    assert collected(terms) == (Word((g, 1 - f**2), (W,)),)


def test_what_vanishes_is_left_out() -> None:
    zero = (f + g) ** 2 - f**2 - 2 * f * g - g**2  # not zero at first sight
    assert collected({Tail(): zero, Tail((W,), (zero,)): f, Tail(operand=sympy.S.Zero): f}) == ()


def test_two_means_in_a_row_are_one() -> None:
    """M diag(e) M = mean(e) M for M = 11ᵀ/n."""
    word = Word((f, g, s), (M, M))
    (found,) = collected({word.tail: word.leading})
    assert found.maps == (M,)
    np.testing.assert_allclose(matrix(found), matrix(word), rtol=1e-13)
    assert found.leading == f * mean(g)


def test_means_separated_by_a_map_stay() -> None:
    word = Word((f, g, sympy.S.One, s), (M, W, M))
    assert collected({word.tail: word.leading}) == (word,)


def test_three_means_and_means_over_other_axes() -> None:
    thrice = Word((f, g, g, sympy.S.One), (M, M, M))
    (found,) = collected({thrice.tail: thrice.leading})
    assert (found.maps, found.leading) == ((M,), f * mean(g) ** 2)
    other = MeanMap("mean_w", "w", "w")
    mixed = Word((sympy.S.One, sympy.S.One, sympy.S.One), (M, other))
    assert collected({mixed.tail: mixed.leading}) == (mixed,)


def test_the_mean_of_a_deviation_is_zero() -> None:
    """The second term of the variance's derivative: M diag(v - mean v) M = 0."""
    word = Word((f, 2 * (s - mean(s)), sympy.S.One), (M, M))
    assert collected({word.tail: word.leading}) == ()


@pytest.mark.parametrize(
    ("word", "text"),
    [
        (Word((sympy.S.One,)), "I"),
        (Word((-sympy.S.One,)), "-I"),
        (Word((Rational(1, 2),)), "1/2 I"),
        (Word((f,)), "diag(fₜ)"),
        (Word((-f,)), "-diag(fₜ)"),
        (Word((sympy.S.One, sympy.S.One), (W,)), "W"),
        (Word((Rational(-1, 4), sympy.S.One), (W,)), "-1/4 W"),
        (Word((2 - 2 * f, g, sympy.S.One), (W, V)), "2 diag(1 - fₜ) W diag(gₜ) V"),
        (Word((f, sympy.S.One), (W,), operand=s), "diag(fₜ) W δ sₜ"),
        (Word((sympy.S.One,), operand=Input("x") + s), "δ (sₜ + xₜ)"),
        (Word((f, g), (M,)), "diag(fₜ) mean diag(gₜ)"),
    ],
)
def test_text(word: Word, text: str) -> None:
    assert str(word) == text


def test_substituting_computes_what_is_then_known() -> None:
    word = Word((f * (1 - g), Linear(W, s) + g), (V,))
    assert word.substituted({f: sympy.S.One, s: sympy.S.Zero}) == Word((1 - g, g), (V,))
    assert word.substituted({g: sympy.S.One}).leading == 0


def test_words_of_a_normalized_state_have_rank_one_terms() -> None:
    """Every word through the variance has exactly one mean: q³ a ⊗ (a - mean a) / n in front of the rest."""
    words = jacobian("normalized-prototype", "s", "s").words
    assert {sum(isinstance(m, MeanMap) for m in word.maps) for word in words} == {0, 1}
    through = [word for word in words if any(isinstance(m, MeanMap) for m in word.maps)]
    assert len(through) == len(words) / 2
    assert all(isinstance(word.maps[0], MeanMap) for word in through)
