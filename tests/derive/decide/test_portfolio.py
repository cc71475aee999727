"""Decisions: proved by two methods, refuted at an exact point, or unknown with what was tried."""

import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import pytest
import sympy
from sympy import Eq, Rational, oo

from derive.decide import Problem, decide, portfolio, recheck, replay
from derive.decide.smt import Verdict
from tests.derive.decide.problems import (
    DETERMINANT,
    MINOR,
    MINORS_QUESTIONS,
    NORMS,
    PEAK,
    a,
    b,
    c,
    d,
    gru_norms,
    gru_row,
    hopeless,
    peak,
    s,
    t,
    w,
    z,
)

STABLE = [a + d < 1 + DETERMINANT, DETERMINANT < 1]
MINORS = MINORS_QUESTIONS

PROVED: list[tuple[Callable[[], Problem], str]] = [
    (
        lambda: Problem.of({z: (0, 1), s: (-1, 1), t: (-1, 1)}, z * s + (1 - z) * t <= 1),
        "vertices + bernstein",
    ),
    (lambda: gru_row(Rational(3, 2)), "bernstein + z3"),
    (lambda: peak(PEAK), "z3 + cvc5"),  # halving never reaches 2/3
    (lambda: peak(PEAK + Rational(1, 10**6)), "bernstein + z3"),
    (lambda: Problem.of({z: (0, 1), a: (0, oo)}, z + (1 - z) * a <= 1 + a), "multipliers + z3"),
    (lambda: gru_norms(a + c / 4 + 2 * b), "multipliers + z3"),  # cvc5 does not in 10 s
    (lambda: Problem.of({w: (0, oo)}, w < 2, [Eq(w**2, 3)]), "z3 + cvc5"),
    (
        lambda: Problem.of({z: (0, 1), w: (0, 2)}, 2 * z**3 - 3 * z**2 + z <= w / 18, [Eq(w**2, 3)]),
        "z3 + cvc5",
    ),
    (lambda: Problem.of({z: (0, 1)}, (z * (1 - z) - z, "==", -(z**2))), "vertices + bernstein"),
    (lambda: Problem.of({z: (0, 1), s: (-oo, oo)}, s >= 0, [s >= z]), "z3 + cvc5"),
    (lambda: Problem.of({z: (0, 1)}, z >= 0, [z**2 <= Rational(1, 2)]), "vertices + bernstein"),
    (lambda: Problem.of(NORMS, 1 - a > 0, STABLE), "z3 + cvc5"),
    (lambda: Problem.of(NORMS, MINOR > 0, STABLE), "z3 + cvc5"),
    (lambda: Problem.of(NORMS, STABLE[0], MINORS), "z3 + cvc5"),
    (lambda: Problem.of(NORMS, STABLE[1], MINORS), "z3 + cvc5"),
]


@pytest.fixture
def solvers() -> None:
    pytest.importorskip("z3")
    pytest.importorskip("cvc5")


@pytest.mark.usefixtures("solvers")
@pytest.mark.parametrize(("make", "method"), PROVED)
def test_proved_by_two_methods(make: Callable[[], Problem], method: str) -> None:
    decision = decide(make())
    assert (decision.status, decision.method) == ("proved", method), decision
    assert decision.certificate is not None
    assert decision.certificate["problem"] == make().to_json()
    assert f"{decision.certificate['method']} + {decision.certificate['agreed']['method']}" == method
    assert recheck(decision.certificate)
    assert decision.counterexample is None


REFUTED: list[Callable[[], Problem]] = [
    lambda: peak(PEAK * Rational(98, 100)),
    lambda: peak(PEAK - Rational(1, 10**9)),
    lambda: gru_row(Rational(5, 4) * Rational(98, 100)),
    lambda: Problem.of({z: (0, 1), a: (0, oo)}, z + (1 - z) * a <= a),
    lambda: Problem.of({z: (0, 1)}, (z**2, "==", z)),
    lambda: Problem.of(NORMS, a < 1, STABLE[:1]),  # without the determinant
    lambda: Problem.of(NORMS, MINOR > 0, [MINORS[0], d < 1]),
    lambda: Problem.of({a: (0, oo)}, a**2 <= 1000 * a),
    lambda: Problem.of({z: (0, 1)}, (z - Rational(1, 3)) ** 2 > 0),  # a zero that only a solver finds
    lambda: Problem.of({z: (0, 2)}, z**2 > 2 + Rational(1, 10**6), [z**2 > 2]),  # the model may be irrational
]


@pytest.mark.usefixtures("solvers")
@pytest.mark.parametrize("make", REFUTED)
def test_refuted_at_an_exact_point(make: Callable[[], Problem]) -> None:
    problem = make()
    decision = decide(problem)
    assert decision.status == "refuted", decision
    assert decision.counterexample is not None
    assert {name: str(Fraction(x)) for name, x in decision.counterexample.items()} == decision.counterexample
    assert not problem.holds_at(decision.counterexample)
    assert replay(problem.to_json(), decision.counterexample)
    assert decision.certificate is None


@pytest.mark.usefixtures("solvers")
def test_an_irrational_counterexample_is_unknown_and_says_so() -> None:
    decision = decide(Problem.of({w: (0, oo)}, w < Rational(17, 10), [Eq(w**2, 3)]))
    assert decision.status == "unknown"
    assert decision.method == "z3 and cvc5 found a counterexample, but no rational one near it"


@pytest.mark.usefixtures("solvers")
def test_no_time_is_unknown_with_attempts() -> None:
    start = time.monotonic()
    decision = decide(hopeless(), seconds=1.5)
    assert time.monotonic() - start < 8
    assert (decision.status, decision.method) == ("unknown", "no method decided it")
    tried = {method: outcome for method, outcome, _ in decision.attempts}
    assert tried["points"] == "no counterexample"
    assert "qfnra-nlsat" in tried["z3"]
    assert "cvc5" in tried["cvc5"]
    assert "unknown (no method decided it)" in str(decision)


def engines_say(monkeypatch: pytest.MonkeyPatch, **results: Any) -> None:
    def consult(text: str, seconds: float, which: Sequence[str] = ("z3", "cvc5")) -> Iterator[Verdict]:
        for engine in which:
            result, model = results[engine] if isinstance(results[engine], tuple) else (results[engine], None)
            reason = f"{engine} is not installed" if result == "missing" else ""
            yield Verdict(engine, result, engine, 0.0, reason, model)

    monkeypatch.setattr(portfolio, "consult", consult)


def test_one_engine_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    engines_say(monkeypatch, z3="unsat", cvc5="missing")
    decision = decide(peak(PEAK))
    assert (decision.status, decision.method) == ("unknown", "only z3 proves it; a second method is needed")
    assert ("cvc5", "cvc5 is not installed", 0.0) in decision.attempts
    assert decision.certificate is None


def test_exact_methods_need_no_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    engines_say(monkeypatch, z3="missing", cvc5="missing")
    assert decide(Problem.of({z: (0, 1), s: (-1, 1)}, z * s <= 1)).status == "proved"
    assert decide(peak(PEAK * Rational(98, 100))).status == "refuted"
    decision = decide(gru_row(sympy.Integer(2)))
    assert (decision.status, decision.method) == (
        "unknown",
        "only bernstein proves it; a second method is needed",
    )


@pytest.mark.parametrize(
    ("make", "z3", "cvc5", "method"),
    [
        (
            lambda: peak(PEAK),
            "unsat",
            ("sat", {"z": ["1/2", "1/2"]}),
            "engines disagree: z3 for, cvc5 against",
        ),
        (lambda: peak(PEAK), ("sat", {"z": ["1", "1"]}), "unsat", "engines disagree: cvc5 for, z3 against"),
        (
            lambda: gru_row(sympy.Integer(2)),
            ("sat", {}),
            "unsat",
            "engines disagree: bernstein and cvc5 for, z3 against",
        ),
    ],
)
def test_disagreement_is_unknown(
    make: Callable[[], Problem], z3: Any, cvc5: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines_say(monkeypatch, z3=z3, cvc5=cvc5)
    decision = decide(make())
    assert (decision.status, decision.method) == ("unknown", method)


def test_an_exact_point_beats_a_wrong_unsat(monkeypatch: pytest.MonkeyPatch) -> None:
    engines_say(monkeypatch, z3="unsat", cvc5=("sat", {"v0": ["1/3", "1/3"], "z": ["1/3", "1/3"]}))
    decision = decide(Problem.of({z: (0, 1)}, (z - Rational(1, 3)) ** 2 > 0))
    assert (decision.status, decision.counterexample) == ("refuted", {"z": "1/3"})


@pytest.mark.usefixtures("solvers")
def test_lemmas_are_proved_first_and_kept() -> None:
    problem = Problem.of(NORMS, DETERMINANT < 1, MINORS)
    decision = decide(problem, lemmas=[d < 1, (a * d, "<", 1)])
    assert decision.status == "proved", decision
    assert decision.certificate is not None
    assert [lemma["method"] for lemma in decision.certificate["lemmas"]] == ["z3", "z3"]
    assert len(decision.certificate["lemmas"][1]["problem"]["hypotheses"]) == 3
    assert decision.certificate["problem"] == problem.to_json()
    assert recheck(decision.certificate)
    assert decision.attempts[0][0] == "lemma 1: points"


@pytest.mark.usefixtures("solvers")
def test_a_false_lemma_proves_nothing() -> None:
    decision = decide(Problem.of(NORMS, DETERMINANT < 1, MINORS), lemmas=[(a, "<", Rational(1, 2))])
    assert decision.status == "unknown"
    assert decision.method.startswith("lemma 1, -a + 1/2 > 0, is refuted")
    assert decision.certificate is None


def test_a_false_lemma_may_refute() -> None:
    decision = decide(peak(PEAK * Rational(1, 2)), lemmas=[(PEAK * Rational(1, 2), ">=", z**2 * (1 - z))])
    assert decision.status == "refuted"
    assert replay(decision.problem.to_json(), decision.counterexample or {})


def test_many_coefficients_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    engines_say(monkeypatch, z3="unsat", cvc5="unsat")
    x = sympy.symbols("x0:10")
    decision = decide(Problem.of(dict.fromkeys(x, (0, 1)), (sum(v**2 for v in x), ">=", 0)))
    assert decision.method == "z3 + cvc5"
    assert ("bernstein", "more than 20000 coefficients") in [attempt[:2] for attempt in decision.attempts]
