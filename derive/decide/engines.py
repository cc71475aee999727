"""One question to one SMT solver: SMT-LIB text in, plain data out.

The file imports only the standard library at the top, so that it also runs as a script in a process of its
own (:mod:`derive.decide.workers`), which can be killed: cvc5 was seen to run for minutes past its time limit.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

# An answer: "result" is sat, unsat, unknown or missing; "reason" says why it is not one of the first two.
# "model" has for every constant the ends of an interval of exact rationals, equal where it is rational.
Answer = dict[str, Any]

Z3_TACTICS = ("qfnra-nlsat", "smt", "default")
_DIGITS = 40  # of an algebraic number in a model


def z3(text: str, tactic: str, milliseconds: int) -> Answer:
    """Ask z3 with one of :data:`Z3_TACTICS`, in a context of its own."""
    try:
        import z3 as solver_of
    except ImportError:
        return {"result": "missing", "reason": "z3 is not installed (pip install cellwright[proofs])"}
    context = solver_of.Context()
    solver = (
        solver_of.Solver(ctx=context) if tactic == "default" else solver_of.Tactic(tactic, context).solver()
    )
    try:
        solver.set("timeout", milliseconds)
        solver.add(solver_of.parse_smt2_string(text, ctx=context))
        result = str(solver.check())
        if result == "unknown":
            return {"result": result, "reason": f"z3 {tactic}: {solver.reason_unknown()}"}
        if result == "unsat":
            return {"result": result}
        model = solver.model()
        values = {d.name(): _of_z3(model[d], solver_of) for d in model.decls()}
    except solver_of.Z3Exception as error:
        return {"result": "unknown", "reason": f"z3 {tactic}: {error}"}
    return {"result": result, "model": values}


def _of_z3(value: Any, solver_of: Any) -> list[str]:
    if isinstance(value, solver_of.AlgebraicNumRef):
        middle = value.approx(_DIGITS)
        exact, slack = _of_z3(middle, solver_of)[0], Fraction(1, 10**_DIGITS)
        return [str(Fraction(exact) - slack), str(Fraction(exact) + slack)]
    number = str(Fraction(value.numerator_as_long(), value.denominator_as_long()))
    return [number, number]


def cvc5(text: str, _: str, milliseconds: int) -> Answer:
    """Ask cvc5."""
    try:
        import cvc5 as solver_of
    except ImportError:
        return {"result": "missing", "reason": "cvc5 is not installed (pip install cellwright[proofs])"}
    solver = solver_of.Solver(solver_of.TermManager())
    solver.setOption("produce-models", "true")
    solver.setOption("tlimit-per", str(milliseconds))
    parser = solver_of.InputParser(solver)
    parser.setStringInput(solver_of.InputLanguage.SMT_LIB_2_6, text, "problem")
    names = parser.getSymbolManager()
    try:
        while not (command := parser.nextCommand()).isNull():
            if command.getCommandName() == "check-sat":
                break
            command.invoke(solver, names)
        result = solver.checkSat()
        if result.isUnsat():
            return {"result": "unsat"}
        if not result.isSat():
            return {"result": "unknown", "reason": f"cvc5: {result.getUnknownExplanation().name.lower()}"}
        values = {str(t): _of_cvc5(solver.getValue(t)) for t in names.getDeclaredTerms()}
    except RuntimeError as error:  # cvc5 raises nothing finer
        return {"result": "unknown", "reason": f"cvc5: {error}"}
    return {"result": "sat", "model": values}


def _of_cvc5(value: Any) -> list[str]:
    if value.isRealAlgebraicNumber():
        ends = (value.getRealAlgebraicNumberLowerBound(), value.getRealAlgebraicNumberUpperBound())
        return [_of_cvc5(end)[0] for end in ends]
    number = str(Fraction(value.getRealValue()))
    return [number, number]


ENGINES: dict[str, Callable[[str, str, int], Answer]] = {"z3": z3, "cvc5": cvc5}
ASKS = (*(f"z3:{tactic}" for tactic in Z3_TACTICS), "cvc5")


def ask(whom: str, text: str, milliseconds: int) -> Answer:
    """Ask one of :data:`ASKS` in this process: only the solver itself keeps the time limit."""
    engine, _, tactic = whom.partition(":")
    return ENGINES[engine](text, tactic, milliseconds)


def serve(engine: str) -> None:
    """Load the engine and say so by a line; answer questions, a line of JSON each, until the input ends.

    The process dies rather than run far past a limit.
    """
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a solver prints is no answer
    warm = "(declare-const x Real)(assert (> x 0.0))(check-sat)"
    print(json.dumps(ENGINES[engine](warm, Z3_TACTICS[0], 1000)), file=replies, flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        signal.alarm(question["milliseconds"] // 1000 + 5)
        answer = ask(question["ask"], question["text"], question["milliseconds"])
        signal.alarm(0)
        print(json.dumps(answer), file=replies, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
