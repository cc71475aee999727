"""Decide a problem: counterexamples first, then exact methods until two independent ones agree."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from derive.claim import Status
from derive.decide.bernstein import Below, Cover, from_terms, nonnegative
from derive.decide.certificate import multiplier_json, path_text, used_box, used_terms
from derive.decide.multipliers import multipliers
from derive.decide.points import Point, candidates, near, refuting, somewhere
from derive.decide.problem import Problem
from derive.decide.relation import Question
from derive.decide.smt import Verdict, consult
from derive.decide.vertices import vertices

_MOST_BOXES = 2000
_MOST_COEFFICIENTS = 20_000
_SHARE = 0.2  # of the time, for multipliers: the solvers need the rest
_MOST_WORK = 200_000  # boxes times coefficients: about a second

Attempt = tuple[str, str, float]  # the method, what came of it, seconds


@dataclass(frozen=True)
class Decision:
    """What became of a problem.

    ``proved``: two independent methods agree, and ``certificate`` can be rechecked.  ``refuted``:
    ``counterexample`` has an exact rational ("p/q") for every variable, replayed with plain fractions.
    ``unknown``: ``method`` says why, ``attempts`` what was tried.
    """

    problem: Problem
    status: Status
    method: str
    certificate: Mapping[str, Any] | None = None
    counterexample: Mapping[str, str] | None = None
    attempts: tuple[Attempt, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.status} ({self.method}): {self.problem}"]
        if self.counterexample is not None:
            lines.append("  at " + ", ".join(f"{name} = {x}" for name, x in self.counterexample.items()))
        lines += [f"  {method}: {outcome}, {seconds:.3f} s" for method, outcome, seconds in self.attempts]
        return "\n".join(lines)


def decide(problem: Problem, *, seconds: float = 10.0, lemmas: Iterable[Question] = ()) -> Decision:
    """Decide ``problem`` within about ``seconds``.

    Each lemma is decided first, from the hypotheses and the lemmas before it; then it is a hypothesis too.
    """
    deadline = time.monotonic() + seconds
    attempts: list[Attempt] = []
    proofs: list[Mapping[str, Any]] = []
    stronger = problem
    for number, question in enumerate(lemmas, 1):
        relation = problem.relation(question)
        lemma = _Trial(stronger.concluding(relation), deadline).run()
        attempts += [
            (f"lemma {number}: {method}", outcome, spent) for method, outcome, spent in lemma.attempts
        ]
        if lemma.certificate is None:
            found = refuting(
                problem, iter([_fractions(lemma.counterexample)] if lemma.counterexample else ())
            )
            if found is not None:
                return Decision(problem, "refuted", "lemma", None, _strings(found), tuple(attempts))
            reason = f"lemma {number}, {relation.show(problem.names)}, is {lemma.status}: {lemma.method}"
            return Decision(problem, "unknown", reason, None, None, tuple(attempts))
        proofs.append(lemma.certificate)
        stronger = stronger.given([relation])
    final = _Trial(stronger, deadline).run()
    certificate = None
    if final.certificate is not None:
        certificate = {**final.certificate, "problem": problem.to_json(), "lemmas": proofs}
    tried = (*attempts, *final.attempts)
    return Decision(problem, final.status, final.method, certificate, final.counterexample, tried)


@dataclass
class _Trial:
    """One problem without lemmas on its way to a decision."""

    problem: Problem
    deadline: float
    attempts: list[Attempt] = field(default_factory=list)
    proofs: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    against: list[str] = field(default_factory=list)  # who calls it false, without a point to show

    def run(self) -> Decision:
        for step in (self._points, self._vertices, self._bernstein, self._multipliers, self._smt):
            found = step()
            if found is not None:
                return self._decision("refuted", self.attempts[-1][0], found)
            if len(self.proofs) > 1 and not self.against:
                return self._decision("proved", " + ".join(method for method, _ in self.proofs[:2]))
        if self.against and self.proofs:
            proving = " and ".join(method for method, _ in self.proofs)
            return self._decision(
                "unknown", f"engines disagree: {proving} for, {' and '.join(self.against)} against"
            )
        if self.against:
            said = " and ".join(self.against)
            return self._decision("unknown", f"{said} found a counterexample, but no rational one near it")
        if self.proofs:
            return self._decision("unknown", f"only {self.proofs[0][0]} proves it; a second method is needed")
        return self._decision("unknown", "no method decided it")

    def _decision(self, status: Status, method: str, point: Point | None = None) -> Decision:
        certificate = None
        if status == "proved":
            (first, witness), (second, other) = self.proofs[:2]
            certificate = {
                "problem": self.problem.to_json(),
                "lemmas": [],
                "method": first,
                "witness": witness,
                "agreed": {"method": second, "witness": other},
            }
        shown = None if point is None else _strings(point)
        return Decision(self.problem, status, method, certificate, shown, tuple(self.attempts))

    def _note(self, method: str, outcome: str, start: float) -> None:
        self.attempts.append((method, outcome, time.monotonic() - start))

    def _points(self) -> Point | None:
        start = time.monotonic()
        found = refuting(self.problem, candidates(self.problem))
        self._note("points", "no counterexample" if found is None else "counterexample", start)
        return found

    def _vertices(self) -> Point | None:
        start = time.monotonic()
        best = vertices(self.problem)
        if best is None:
            return None
        at = dict(zip(self.problem.names, best.at, strict=True))
        if self.problem.conclusion.holds(best.at):
            witness = {"value": str(best.value), "at": _strings(at), "count": best.count}
            self.proofs.append(("vertices", witness))
            self._note("vertices", "proved", start)
            return None
        found = refuting(self.problem, iter([at]))
        self._note("vertices", "needs the hypotheses" if found is None else "counterexample", start)
        return found

    def _bernstein(self) -> Point | None:
        start, problem = time.monotonic(), self.problem
        box = used_box(problem)
        if box is None:
            return None
        size = math.prod(problem.conclusion.degree(i) + 1 for i in problem.used())
        if size > _MOST_COEFFICIENTS:
            self._note("bernstein", f"more than {_MOST_COEFFICIENTS} coefficients", start)
            return None
        form = from_terms(used_terms(problem), box)
        result: Cover | Below | None
        if problem.conclusion.op == "==":
            result = None if any(form.flat) else Cover(((),))
        else:
            most = max(50, min(_MOST_BOXES, _MOST_WORK // size))
            result = nonnegative(form, strict=problem.conclusion.op == ">", most_boxes=most)
        if isinstance(result, Cover):
            self.proofs.append(("bernstein", {"boxes": [path_text(leaf) for leaf in result.leaves]}))
            self._note("bernstein", f"proved, {len(result.leaves)} boxes", start)
            return None
        if result is None:
            self._note("bernstein", "open: a zero that halving does not reach, or too many boxes", start)
            return None
        point = {variable[0]: somewhere(variable) for variable in problem.variables}
        for i, (low, high), t in zip(problem.used(), box, result.point, strict=True):
            point[problem.names[i]] = low + (high - low) * t
        found = refuting(problem, iter([point]))
        self._note("bernstein", "needs the hypotheses" if found is None else "counterexample", start)
        return found

    def _multipliers(self) -> Point | None:
        """Bernstein form again, so not asked where that has proved the conclusion already."""
        if any(method == "bernstein" for method, _ in self.proofs):
            return None
        start = time.monotonic()
        found = multipliers(self.problem, start + (self.deadline - start) * _SHARE)
        if found is not None:
            self.proofs.append(("multipliers", multiplier_json(self.problem, found)))
        self._note("multipliers", "none found" if found is None else "proved", start)
        return None

    def _smt(self) -> Point | None:
        left = max(0.0, self.deadline - time.monotonic())
        with closing(consult(self.problem.smtlib(), left)) as verdicts:
            for verdict in verdicts:
                found = self._hear(verdict)
                if found is not None or (len(self.proofs) > 1 and not self.against):
                    return found
        return None

    def _hear(self, verdict: Verdict) -> Point | None:
        outcome, found = verdict.reason or verdict.result, None
        if verdict.result == "unsat":
            self.proofs.append((verdict.engine, {"how": verdict.how}))
            outcome = "proved"
        elif verdict.model is not None:
            found = refuting(self.problem, near(self.problem, verdict.model))
            outcome = "counterexample"
            if found is None:
                self.against.append(verdict.engine)
                outcome = "a counterexample, but no rational one near it"
        self.attempts.append((verdict.how, outcome, verdict.seconds))
        return found


def _strings(point: Mapping[str, Fraction]) -> dict[str, str]:
    return {name: str(x) for name, x in point.items()}


def _fractions(point: Mapping[str, str]) -> Point:
    return {name: Fraction(x) for name, x in point.items()}
