"""Certificates: true ones are rechecked, tampered ones are caught, whatever they say about themselves."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from sympy import Eq, Rational, oo

from derive.decide import Problem, decide, fault, recheck, replay
from derive.decide.certificate import fills, path_of, path_text
from tests.derive.decide.problems import (
    DETERMINANT,
    MINORS_QUESTIONS,
    NORMS,
    PEAK,
    a,
    b,
    c,
    d,
    gru_norms,
    gru_row,
    peak,
    s,
    t,
    w,
    z,
)

Certificate = dict[str, Any]


def certificate(problem: Problem, **options: Any) -> Certificate:
    decision = decide(problem, **options)
    assert decision.status == "proved", decision
    data: Certificate = json.loads(json.dumps(decision.certificate))  # plain data
    return data


@pytest.fixture(scope="module")
def genuine() -> dict[str, Certificate]:
    pytest.importorskip("z3")
    pytest.importorskip("cvc5")
    return {
        "vertices": certificate(
            Problem.of({z: (0, 1), s: (-1, 1), t: (-1, 1), w: (0, oo)}, z * s + (1 - z) * t <= 1)
        ),
        "equality": certificate(Problem.of({z: (0, 1)}, (z - z, "==", 0))),
        "bernstein": certificate(gru_row(Rational(13, 10))),
        "multipliers": certificate(gru_norms(a + c / 4 + 2 * b)),
        "z3": certificate(peak(PEAK)),
        "root": certificate(Problem.of({w: (0, oo)}, w < 2, [Eq(w**2, 3)])),
        "lemmas": certificate(Problem.of(NORMS, DETERMINANT < 1, MINORS_QUESTIONS), lemmas=[d < 1]),
    }


@pytest.mark.parametrize("name", ["vertices", "equality", "bernstein", "multipliers", "z3", "root", "lemmas"])
def test_genuine_certificates_stand(name: str, genuine: dict[str, Certificate]) -> None:
    assert fault(genuine[name]) is None
    assert recheck(genuine[name])


def test_cvc5_is_rechecked_by_z3(genuine: dict[str, Certificate]) -> None:
    assert recheck(genuine["z3"] | {"method": "cvc5"})


def lower_bound(data: Certificate) -> None:
    """Subtract from the constant of the conclusion: the statement becomes false."""
    terms = [term for term in data["problem"]["conclusion"]["terms"] if term[1]]
    data["problem"]["conclusion"]["terms"] = [*terms, ["-3", {}]]


def open_hypotheses(data: Certificate) -> None:
    data["problem"]["hypotheses"] = []


def first_box(data: Certificate) -> None:
    del data["witness"]["boxes"][0]


def one_box(data: Certificate) -> None:
    data["witness"]["boxes"] = [""]


TAMPERED: list[tuple[str, Callable[[Certificate], Any], str]] = [
    ("vertices", lower_bound, "the conclusion fails at a vertex"),
    (
        "vertices",
        lambda data: data["witness"].update(value="1/2"),
        "the extreme value is 0 of 8, not 1/2 of 8",
    ),
    ("vertices", lambda data: data["witness"].update(count=4), "not 0 of 4"),
    (
        "vertices",
        lambda data: data["witness"]["at"].update(z="1/2", s="0", t="0"),
        "the extreme value 0 is not at",
    ),
    ("vertices", lambda data: data["problem"]["variables"][0].__setitem__(2, "oo"), "an infinite interval"),
    ("equality", lower_bound, "fails at a vertex"),
    ("bernstein", lower_bound, "a coefficient on the box .* contradicts the conclusion"),
    ("bernstein", first_box, "the boxes do not fill the box"),
    ("bernstein", one_box, "a coefficient on the box '' contradicts"),
    (
        "bernstein",
        lambda data: data["problem"]["variables"][1].__setitem__(2, "3"),
        "contradicts the conclusion",
    ),
    ("bernstein", lambda data: data["problem"]["variables"][1].__setitem__(2, "oo"), "infinite interval"),
    ("bernstein", lambda data: data["witness"].update(boxes=[]), "do not fill"),
    ("bernstein", lambda data: data["witness"]["boxes"].append("9+"), "do not fill"),
    ("multipliers", lower_bound, "the coefficient of 1: a coefficient on the box .* contradicts"),
    ("multipliers", open_hypotheses, "there is no hypothesis 0"),
    ("multipliers", lambda data: data["witness"].update(scale="-1"), "a multiplier is not negative"),
    ("multipliers", lambda data: data["witness"].update(scale="2"), "contradicts the conclusion"),
    ("multipliers", lambda data: data["witness"].update(hypothesis=None), "contradicts the conclusion"),
    (
        "multipliers",
        lambda data: data["witness"].update(factors=[["a", "-"]]),
        "a is not bounded on both sides",
    ),
    ("multipliers", lambda data: data["witness"]["boxes"].pop("a**1"), "not a certificate: KeyError"),
    (
        "multipliers",
        lambda data: data["problem"]["variables"][4].__setitem__(1, "-oo"),
        "on a line without an end",
    ),
    ("z3", lower_bound, "cvc5 does not agree: sat"),
    ("root", open_hypotheses, "cvc5 does not agree: sat"),
    ("lemmas", lower_bound, "cvc5 does not agree: sat|lemma 1"),
    ("lemmas", lambda data: lower_bound(data["lemmas"][0]), "lemma 1: cvc5 does not agree: sat"),
    (
        "lemmas",
        lambda data: data["lemmas"][0]["problem"]["hypotheses"].pop(),
        "lemma 1 is about another box or other",
    ),
    ("lemmas", open_hypotheses, "lemma 1 is about another box or other hypotheses"),
    ("z3", lambda data: data.update(method="faith"), "no method 'faith'"),
    ("z3", lambda data: data.pop("method"), "not a certificate: KeyError: 'method'"),
    ("z3", lambda data: data.update(problem=None), "not a certificate: TypeError"),
    ("bernstein", lambda data: data["witness"].update(boxes=["1*"]), "not a path of halvings"),
]


@pytest.mark.parametrize(("name", "tamper", "problem"), TAMPERED)
def test_tampered_certificates_fall(
    name: str, tamper: Callable[[Certificate], Any], problem: str, genuine: dict[str, Certificate]
) -> None:
    data = copy.deepcopy(genuine[name])
    tamper(data)
    data["status"] = "proved"  # says nothing
    wrong = fault(data)
    assert wrong is not None
    with pytest.raises(ValueError, match=problem):
        raise ValueError(wrong)
    assert not recheck(data)


def test_replay_is_exact() -> None:
    data = peak(PEAK - Rational(1, 10**12)).to_json()
    assert replay(data, {"z": "2/3"})
    assert not replay(data, {"z": "1/3"})
    assert not replay(peak(PEAK).to_json(), {"z": "2/3"})


paths = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=8).map(tuple)


@given(paths)
def test_paths_are_text_and_back(path: tuple[tuple[int, int], ...]) -> None:
    assert path_of(path_text(path)) == path


@given(paths, st.data())
def test_fills_knows_a_whole_tree(path: tuple[tuple[int, int], ...], data: st.DataObject) -> None:
    """The boxes beside a path, with its end, are a tree; without any one of them they are not."""
    leaves = [path, *((*path[:i], (axis, 1 - side)) for i, (axis, side) in enumerate(path))]
    assert fills(leaves, 3)
    gone = data.draw(st.integers(0, len(leaves) - 1))
    assert not fills([leaf for i, leaf in enumerate(leaves) if i != gone], 3)
    assert not fills([*leaves, leaves[gone]], 3)
    assert fills(leaves, 2) == all(axis < 2 for axis, _ in path)


def test_symbols_are_no_part_of_a_certificate(genuine: dict[str, Certificate]) -> None:
    assert not any(isinstance(x, sympy.Basic) for x in genuine["vertices"]["witness"].values())
